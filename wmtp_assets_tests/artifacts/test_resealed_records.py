"""What an attacker writes into headers, metadata and receipts, where no tensor and no row differs:
every record is resealed, and still the gate closes and says what repairs it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import quick, run_checks
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.kinds import KINDS
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets_tests.artifact_checks.breaking import (
    Change,
    answers,
    checkpoint,
    join_checkpoint,
    recommit,
    split_checkpoint,
)
from wmtp_assets_tests.artifacts.resealing import failing, reseal, verdict_about
from wmtp_assets_tests.artifacts.workbench import Workbench

MICRO, REF = "models/micro-ref", "models/ref-sheared-llama-2.7b"
SPLIT = "datasets/humaneval_test"


def noted(value: dict[str, Any] | None) -> Change:
    """Other `__metadata__` in a checkpoint, with sums and certificate to match."""

    def change(header: dict[str, dict[str, Any]], data: bytearray) -> None:
        del header["__metadata__"]
        if value is not None:
            header["__metadata__"] = value

    return checkpoint(change)


def as_written(folder: Path) -> None:
    """The certificate in the very form in which a conversion writes it."""
    path = folder / "certificate.json"
    path.write_bytes(json_bytes(json.loads(path.read_bytes())))


@pytest.mark.parametrize("value", [{"format": "tf", "note": "evil"}, {}, None])
def test_a_note_in_a_checkpoints_header_closes_the_gate(
    copied: Project, value: dict[str, Any] | None
) -> None:
    def change(folder: Path) -> None:
        noted(value)(folder)
        as_written(folder)

    recommit(copied, MICRO, change)
    wrong = {one.name: one for one in quick(copied, copied.artifacts[MICRO]) if not one.passed}
    assert wrong.keys() == {"safetensors_readable"}
    assert "__metadata__" in str(wrong["safetensors_readable"].found)
    assert f"`wmtp materialize {MICRO} --force`" in wrong["safetensors_readable"].hint
    assert not all(one.passed for one in check_against_source(copied, copied.artifacts[MICRO]))


def test_spaces_in_a_checkpoints_header_close_the_gate(copied: Project) -> None:
    """As many bytes of padding as there is room for could hold a message."""

    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        header, data = split_checkpoint(path)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)

    recommit(copied, MICRO, change)
    found = quick(copied, copied.artifacts[MICRO])
    assert {one.name for one in found if not one.passed} == {"safetensors_readable"}


def test_a_note_in_a_shards_header_closes_the_gate(copied: Project) -> None:
    def change(folder: Path) -> None:
        shard = sorted((folder / "sharded").glob("*.safetensors"))[0]
        header, data = split_checkpoint(shard)
        header["__metadata__"]["note"] = "evil"
        join_checkpoint(shard, header, bytes(data))

    recommit(copied, f"{REF}_shards", change)
    found = answers(copied, f"{REF}_shards")["shards_equal_checkpoint"]
    assert not found.passed
    assert "__metadata__" in str(found.found)


def test_a_certificate_in_another_form_is_repaired_where_it_was_written(copied: Project) -> None:
    """What is published is a copy: the hint names the checkpoint, not the copy."""
    reseal(copied, MICRO, noted({"format": "pt", "note": "evil"}))
    wrong = answers(copied, f"{MICRO}_certificate")["certificate_of_checkpoint"]
    assert not wrong.passed
    assert wrong.hint == f"wmtp materialize {MICRO} --force"


def index_with(source: Path, target: Path, keys: Mapping[str, bytes | None]) -> None:
    """A row index with other key-value metadata; None takes a key away."""
    changed = {key.encode(): value for key, value in keys.items()}
    metadata = {b"wmtp": pq.read_metadata(source).metadata[b"wmtp"], **changed}
    kept = {key: value for key, value in metadata.items() if value is not None}
    pq.write_table(pq.read_table(source).replace_schema_metadata(kept), target)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"wmtp": None}, "ARROW:schema"),
        ({"note": b"evil"}, "ARROW:schema, note, wmtp"),
        ({"wmtp": b"[]"}, "[]"),
        ({"wmtp": b"{"}, "JSONDecodeError"),
        ({"wmtp": b'{"rows":1}'}, "other text"),
        ({"wmtp": b'{"rows": 1.0}'}, "whole numbers"),
    ],
)
def test_a_row_index_of_other_metadata_is_refused_by_what_differs(
    project: Project, tmp_path: Path, keys: dict[str, bytes | None], found: str
) -> None:
    index_with(project.store.path(SPLIT) / "test.index.parquet", tmp_path / "x.parquet", keys)
    with pytest.raises(CorpusError) as refused:
        RowIndex(tmp_path / "x.parquet")
    assert "key-value metadata" in refused.value.problem
    assert found in str(refused.value.found)
    assert str(refused.value.expected) != str(refused.value.found)


def test_a_row_index_of_other_types_is_refused_by_what_differs(
    project: Project, tmp_path: Path
) -> None:
    source = pq.read_table(project.store.path(SPLIT) / "test.index.parquet")
    at = source.schema.get_field_index("length")
    wider = source.set_column(at, "length", source["length"].cast(pa.int64()))
    pq.write_table(wider, tmp_path / "x.parquet")
    with pytest.raises(CorpusError, match="types") as refused:
        RowIndex(tmp_path / "x.parquet")
    assert (refused.value.expected, refused.value.found) == ("length int32", "length int64")


def test_a_row_index_with_a_note_closes_the_gate(copied: Project) -> None:
    def change(folder: Path) -> None:
        path = folder / "test.index.parquet"
        index_with(path, path, {"note": b"evil"})

    recommit(copied, SPLIT, change)
    assert failing(copied, SPLIT)


def reworded(file: str, change: Callable[[str], str]) -> Change:
    """Other text in a document, which means the same to most readers."""

    def at(folder: Path) -> None:
        (path,) = folder.glob(file)
        text = path.read_text(encoding="utf-8")
        assert change(text) != text
        path.write_text(change(text), encoding="utf-8")

    return at


REWORDED: dict[str, tuple[str, Change, str]] = {
    "statistics with a fraction": (
        SPLIT,
        reworded("*_stats.json", lambda text: re.sub(r'"kept": (\d+)', r'"kept": \1.0', text)),
        "stats_add_up",
    ),
    "a count of the funnel that is no number": (
        SPLIT,
        reworded("*_stats.json", lambda text: re.sub(r'"problems": \d+', '"problems": "?"', text)),
        "stats_add_up",
    ),
    "statistics with spaces": (
        SPLIT,
        reworded("*_stats.json", lambda text: text + " "),
        "stats_add_up",
    ),
    "a schema with a line more": (
        "datasets/humaneval_schema",
        reworded("schema.json", lambda text: text + "\n"),
        "schema_is_ours",
    ),
    "a listing with a note": (
        f"{SPLIT}_raw",
        reworded("fetched.json", lambda text: text.replace("{", '{"note": "evil",', 1)),
        "fetched_files",
    ),
    "a listing with a fraction": (
        f"{SPLIT}_raw",
        reworded("fetched.json", lambda text: re.sub(r'"size": (\d+)', r'"size": \1.0', text)),
        "fetched_files",
    ),
}


@pytest.mark.parametrize("what", REWORDED)
def test_a_document_in_another_form_than_it_is_written_in_closes_the_gate(
    copied: Project, what: str
) -> None:
    name, change, question = REWORDED[what]
    recommit(copied, name, change)
    assert question in failing(copied, name)


FACTS: dict[str, Mapping[str, object]] = {
    f"{SPLIT}_raw": {"retries": -1},
    "models/tokenizer": {"vocab_size": 99},
    MICRO: {"parameters": 99},
    REF: {"warnings": ["evil"]},
    f"{REF}_shards": {"shards": 99},
    f"{MICRO}_certificate": {"overflows": 99},
    f"{MICRO}_config": {"note": "evil"},
    "models/meta-llama-mtp_adapter": {"rope_theta": 99},
    f"{MICRO}_metadata": {"dtype": "float32"},
    SPLIT: {"rows": 99},
    f"{SPLIT}_metadata": {"total": 99},
    "datasets/humaneval_schema": {"layout": "mbpp"},
    "datasets/codecontests_small_train": {"rows": 99},
    "datasets/codecontests_small_train_metadata": {"correct": 99},
    f"{MICRO}_card": {"note": "evil"},
    "datasets/humaneval_card": {"note": "evil"},
    "datasets/humaneval_test_verdicts": {"executed": False},
    "datasets/mbpp_train_leaks": {"note": "evil"},
    "datasets/codecontests_train_duplicates": {"note": "evil"},
    "datasets/humaneval_quality_card": {"note": "evil"},
}
# Of kinds that only today's training code reads.
FACTS_OF_CURRENT: dict[str, Mapping[str, object]] = {
    "datasets/codecontests_train_current_metadata": {"total": 99},
    "datasets/codecontests_small_train_current_metadata": {"correct": 99},
    "datasets/codecontests_valid_eval": {"problems": -1},
    "datasets/codecontests_valid_tests": {"generated_tests": 99},
    "models/meta-llama-mtp_raw_view": {"files": 99},
}


def test_every_kind_of_artifact_is_among_those_whose_facts_are_changed(
    project: Project, current_project: Project
) -> None:
    kinds = {artifact.kind for artifact in project.artifacts.values()}
    assert {project.artifacts[name].kind for name in FACTS} == kinds
    others = {current_project.artifacts[name].kind for name in FACTS_OF_CURRENT}
    of_no_sample = {Kind.PACKAGE_FILE}
    assert others == set(KINDS) - kinds - of_no_sample


def test_facts_that_the_files_do_not_give_close_the_gate(
    copied: Project, copied_current: Project
) -> None:
    """A receipt is resealed by its own function: nothing but the files contradicts it."""
    _change_facts(copied, FACTS)
    _change_facts(copied_current, FACTS_OF_CURRENT)


def _change_facts(copied: Project, every: Mapping[str, Mapping[str, object]]) -> None:
    for name, changed in every.items():
        receipt = copied.store.current(name)
        assert receipt is not None
        sealed(copied, replace(receipt, facts={**receipt.facts, **changed}))
        wrong = [one for one in quick(copied, copied.artifacts[name]) if not one.passed]
        assert [one.name for one in wrong] == ["receipt_facts"], name
        (field,) = changed
        assert f"{field}: " in str(wrong[0].found)
        assert str(wrong[0].expected) != str(wrong[0].found)
        assert wrong[0].hint == f"wmtp materialize {name} --force"
        assert wrong[0].blocking


@pytest.mark.parametrize(
    "changed",
    [
        {"made_at": "yesterday"},
        {"made_at": "2026-01-01T00:00:00+09:00"},
        {"made_at": "2026-01-01"},
        {"host": "a\nb"},
        {"host": "x" * 4096},
        {"seconds": -1.0},
        {"sequence": 0},
    ],
)
def test_a_making_that_is_no_making_closes_the_gate(
    copied: Project, changed: dict[str, Any]
) -> None:
    receipt = copied.store.current(SPLIT)
    assert receipt is not None
    sealed(copied, replace(receipt, **changed))
    (wrong,) = [one for one in quick(copied, copied.artifacts[SPLIT]) if not one.passed]
    assert wrong.name == "receipt_facts"
    assert next(iter(changed)) in str(wrong.found)


FORMS: tuple[Any, ...] = (
    {"no such tensor": ["0.0", "1.0"]},
    {"model.embed_tokens.weight": [0.0, 1.0]},
    {"model.embed_tokens.weight": ["0.00", "1.0"]},
    {"model.embed_tokens.weight": ["<b>", "1.0"]},
    {"model.embed_tokens.weight": ["1.0"]},
    ["0.0", "1.0"],
    7,
)


def test_ends_of_values_that_no_tensor_has_close_the_gate(copied: Project) -> None:
    """Of a quick look only the form is known; whoever reads the file knows the values."""
    receipt, artifact = copied.store.current(MICRO), copied.artifacts[MICRO]
    assert receipt is not None
    stated = receipt.facts["value_ends"]
    assert "model.embed_tokens.weight" in stated
    for form in FORMS:
        sealed(copied, replace(receipt, facts={**receipt.facts, "value_ends": form}))
        wrong = [one for one in quick(copied, artifact) if not one.passed]
        assert [one.name for one in wrong] == ["receipt_facts"], form
    lie = {**stated, "model.embed_tokens.weight": ["-9.0", "9.0"]}
    sealed(copied, replace(receipt, facts={**receipt.facts, "value_ends": lie}))
    assert all(one.passed for one in quick(copied, artifact))
    (found,) = run_checks(copied, artifact, only={"receipt_facts"})
    assert not found.passed
    assert "value_ends: " in str(found.found)
    earlier = {name: fact for name, fact in receipt.facts.items() if name != "value_ends"}
    sealed(copied, replace(receipt, facts=earlier))
    (found,) = run_checks(copied, artifact, only={"receipt_facts"})
    assert found.passed, "an earlier version stated none"


def test_an_older_version_that_fails_its_checks_is_not_taken_up_again(copied: Project) -> None:
    """A resealed version has the recipe of the sound one: only its checks tell them apart."""
    sound = copied.store.current(SPLIT)
    assert sound is not None

    def change(folder: Path) -> None:
        lines = (folder / "test.jsonl").read_bytes().splitlines(keepends=True)
        (folder / "test.jsonl").write_bytes(b"".join(lines).replace(b"return", b"retrun", 1))

    recommit(copied, SPLIT, change)
    shutil.rmtree(copied.storage / "versions" / SPLIT / sound.digest[:12])
    (copied.storage / "versions" / SPLIT / "current").unlink()
    Workbench(copied).make([SPLIT])
    made = copied.store.current(SPLIT)
    assert made is not None
    assert made.digest == sound.digest
    # One that is sound is taken up again, and not made.
    (copied.storage / "versions" / SPLIT / "current").unlink()
    Workbench(copied).make([SPLIT])
    assert copied.store.current(SPLIT) == made


def test_what_fails_because_of_an_input_names_the_input_once(copied: Project) -> None:
    path = copied.store.path(SPLIT) / "test.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    verdict = verdict_about(copied, SPLIT, f"{SPLIT}_metadata")
    (ready,) = (one for one in verdict.conditions if one.name == "humaneval_ready")
    assert [(one.artifact, one.hint) for one in ready.reasons] == [
        (SPLIT, f"wmtp materialize {SPLIT} --force")
    ]
    (rows,) = (one for one in verdict.conditions if one.name == "metadata_files")
    assert {one.hint for one in rows.reasons} == {f"wmtp materialize {SPLIT} --force"}


def sealed(project: Project, receipt: Receipt) -> None:
    path = project.store.path(receipt.artifact) / "receipt.json"
    path.write_bytes(receipt.to_bytes())
