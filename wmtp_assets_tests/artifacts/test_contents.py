"""Records that were resealed to say more, or something else, than this package writes: further
files, another document, other inputs, other words in statistics and row index."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.corpora.row_index import SCHEMA, RowIndex
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.artifact_checks.breaking import document, recommit
from wmtp_assets_tests.artifacts.resealing import Answers, failing, follow, reseal

MTP, MICRO = "models/meta-llama-mtp", "models/micro-ref"
CODE, HUMANEVAL = "datasets/codecontests_valid", "datasets/humaneval_test"
SMALL = "datasets/codecontests_small_valid"

# Artifact -> the published file that is changed, and how.
BEHIND: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    f"{CODE}_metadata": ("valid_metadata.json", lambda value: value["metadata"].reverse()),
    f"{SMALL}_metadata": ("valid_small_metadata.json", lambda value: value["metadata"].reverse()),
    f"{MICRO}_certificate": ("certificate.json", lambda value: value.update(parameters=1)),
    "datasets/humaneval_schema": ("schema.json", lambda value: value["properties"].clear()),
}


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize("elsewhere", ["beside.json", "../../beside.json"])
def test_a_sound_document_beside_the_published_one_does_not_speak_for_it(
    at_hand: Project, name: str, elsewhere: str
) -> None:
    """The receipt calls another file the document, inside of the artifact's folder or outside."""
    file, change = BEHIND[name]
    receipt = at_hand.store.current(name)
    assert receipt is not None

    def put(folder: Path) -> None:
        target = folder / "beside.json"
        if elsewhere.startswith(".."):
            target = at_hand.store.path(name).parents[1] / "beside.json"
            (folder / "other.json").write_text("{}")  # else the only file is the document
        shutil.copyfile(folder / file, target)
        document(file, change)(folder)

    recommit(at_hand, name, put, facts={**receipt.facts, "document": elsewhere})
    follow(at_hand, name)
    answers = Answers.about(at_hand, name)
    assert name in answers.wrong()
    assert not answers.verdict().open


@pytest.mark.parametrize(
    "name",
    [
        f"{MTP}_raw",
        MTP,
        f"{MTP}_config",
        f"{MTP}_certificate",
        f"{MTP}_adapter",
        f"{MTP}_metadata",
        "models/ref-sheared-llama-2.7b_shards",
        "models/tokenizer",
        CODE,
        f"{CODE}_metadata",
        "datasets/codecontests_schema",
        SMALL,
        f"{SMALL}_metadata",
    ],
)
@pytest.mark.parametrize("file", ["generation_config.json", "folder/file"])
def test_a_receipt_that_lists_a_further_file_closes_the_gate(
    at_hand: Project, name: str, file: str
) -> None:
    def add(folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("{}")

    recommit(at_hand, name, add)
    assert "files_unchanged" in failing(at_hand, name)


@pytest.mark.parametrize("name", [f"{MTP}_raw", MTP, f"{MTP}_metadata", HUMANEVAL, SMALL])
@pytest.mark.parametrize("kind", ["one more", "one fewer", "another", "none"])
def test_a_receipt_that_states_other_inputs_closes_the_gate(
    at_hand: Project, name: str, kind: str
) -> None:
    receipt = at_hand.store.current(name)
    assert receipt is not None
    inputs = dict(receipt.inputs)
    first = next(iter(inputs))
    if kind == "one more":
        inputs["models/other"] = "0" * 64
    elif kind == "one fewer":
        del inputs[first]
    elif kind == "another":
        inputs[first] = "0" * 40
    else:
        inputs = {}
    recommit(at_hand, name, lambda folder: None, inputs=inputs)
    assert failing(at_hand, name) == {"inputs_current"}


STATED: dict[str, Callable[[dict[str, Any]], object]] = {
    "the size of the metadata": lambda value: value["metadata"].update(bytes=1),
    "the digest of the metadata": lambda value: value["metadata"].update(sha256="0" * 64),
    "the size of the index": lambda value: value["index"].update(bytes=1),
    "the digest of the index": lambda value: value["index"].update(sha256="0" * 64),
    "a field of no meaning": lambda value: value.update(reviewed=True),
}


@pytest.mark.parametrize("case", STATED)
@pytest.mark.parametrize("name", [CODE, HUMANEVAL, SMALL])
def test_every_field_of_the_statistics_is_compared(at_hand: Project, name: str, case: str) -> None:
    (file,) = at_hand.store.path(name).glob("*_stats.json")
    reseal(at_hand, name, document(file.name, STATED[case]))
    assert failing(at_hand, name) & {"stats_add_up", "rows_equal_source"}


@pytest.mark.parametrize("case", ["bytes", "sha256", "further"])
@pytest.mark.parametrize("name", [CODE, HUMANEVAL, SMALL])
def test_a_row_index_that_describes_other_metadata_closes_the_gate(
    at_hand: Project, name: str, case: str
) -> None:
    """With the statistics to match: a reader would refuse the pair, or believe it."""

    def change(folder: Path) -> None:
        (path,) = folder.glob("*.index.parquet")
        facts = RowIndex(path).facts
        if case == "further":
            facts["reviewed"] = True
        else:
            facts["metadata"][case] = 1 if case == "bytes" else "0" * 64
        table = pq.read_table(path).replace_schema_metadata(None)
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({"wmtp": json.dumps(facts, sort_keys=True)})
        (stats,) = folder.glob("*_stats.json")
        file = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        document(stats.name, lambda value: value.update({**facts, "index": file}))(folder)

    reseal(at_hand, name, change)
    assert failing(at_hand, name) | failing(at_hand, f"{name}_metadata")
