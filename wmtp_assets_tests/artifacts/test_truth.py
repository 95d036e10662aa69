"""What is stored is what upstream published: an attacker who reseals every record with the
package's own functions still closes the gate, because the source disagrees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place
from wmtp_assets.artifacts.types import Checkpoint
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets_tests.artifact_checks import breaking
from wmtp_assets_tests.artifact_checks.breaking import (
    Change,
    checkpoint,
    document,
    recommit,
    values,
)
from wmtp_assets_tests.artifacts.editions import planted
from wmtp_assets_tests.artifacts.resealing import (
    Answers,
    Row,
    closed_by,
    descendants,
    failing,
    reseal,
    split,
)

MTP, REF, MICRO = "models/meta-llama-mtp", "models/ref-sheared-llama-2.7b", "models/micro-ref"
HUMANEVAL, MBPP = "datasets/humaneval_test", "datasets/mbpp_test"
CODE, TRAIN = "datasets/codecontests_valid", "datasets/codecontests_train"
SMALL = "datasets/codecontests_small_train"
EMBEDDING = "model.embed_tokens.weight"
Rows = Callable[[list[Row]], object]


def swap_outputs(rows: list[Row]) -> None:
    one, other = rows[1]["record"], rows[4]["record"]
    one["output"], other["output"] = other["output"], one["output"]


def swap_within_problem(rows: list[Row]) -> None:
    """Two solutions of one problem and class change places, task ids and all."""
    at = next(
        i
        for i in range(len(rows) - 1)
        if (rows[i]["problem"], rows[i]["is_correct"])
        == (rows[i + 1]["problem"], rows[i + 1]["is_correct"])
        and rows[i]["record"]["output"] != rows[i + 1]["record"]["output"]
    )
    rows[at], rows[at + 1] = rows[at + 1], rows[at]


def one_character(field: str) -> Rows:
    def change(rows: list[Row]) -> None:
        text = rows[3]["record"][field]
        rows[3]["record"][field] = text[:-1] + ("x" if text[-1:] != "x" else "y")

    return change


def twice(rows: list[Row]) -> None:
    again = {**rows[5], "record": {**rows[5]["record"]}}
    again["record"]["task_id"] += "9"
    rows.insert(6, again)
    rows.pop()


def one_for_another(rows: list[Row]) -> None:
    """A row gone and another one made of its neighbour: every count is what it was."""
    kind = rows[7]["record"]["is_correct"]
    near = next(row for row in rows[8:] if row["record"]["is_correct"] == kind)
    rows[7]["record"]["output"] = near["record"]["output"] + "\n"


def another_rating(rows: list[Row]) -> None:
    rows[3]["cf_rating"] = (rows[3]["cf_rating"] or 0) + 100


def another_language(rows: list[Row]) -> None:
    rows[3]["language"] = 4 - rows[3]["language"]


def another_difficulty(rows: list[Row]) -> None:
    for row in rows:
        if row["problem"] == rows[0]["problem"]:
            row["difficulty"] = row["record"]["metadata"]["difficulty"] = 7


ROWS: dict[str, tuple[str, Rows]] = {
    "two solutions swapped": (HUMANEVAL, swap_outputs),
    "two solutions of MBPP swapped": (MBPP, swap_outputs),
    "all lines reversed": (CODE, lambda rows: rows.reverse()),
    "all lines of the large split reversed": (TRAIN, lambda rows: rows.reverse()),
    "two solutions of one problem in the other order": (CODE, swap_within_problem),
    "one character of an instruction": (HUMANEVAL, one_character("instruction")),
    "one character of a solution": (CODE, one_character("output")),
    "one character of a task id": (MBPP, one_character("task_id")),
    "one character of a test": (HUMANEVAL, one_character("test")),
    "the setup code of a test": (
        MBPP,
        lambda rows: rows[2]["record"].update(test_setup_code="import os"),
    ),
    "a test left out": (MBPP, lambda rows: rows[2]["record"]["test_list"].pop()),
    "a row twice and the last one gone": (CODE, twice),
    "a row made of its neighbour": (CODE, one_for_another),
    "another rating in the index": (CODE, another_rating),
    "another language in the index": (CODE, another_language),
    "a flag in the index": (HUMANEVAL, lambda rows: rows[2].update(flags=4)),
    "another problem's number in the index": (MBPP, lambda rows: rows[2].update(problem=3)),
    "another difficulty, everywhere": (CODE, another_difficulty),
    "has_tests turned over": (
        CODE,
        lambda rows: rows[0]["record"]["metadata"].update(has_tests=False),
    ),
    "a small copy with other rows": (SMALL, one_character("output")),
    "a small copy in another order": (SMALL, lambda rows: rows.reverse()),
}


# Here the attacker has what was changed executed, too; elsewhere nothing is, which takes seconds.
EXECUTED = {"two solutions swapped", "a row made of its neighbour"}


@pytest.fixture
def unexecuted(memory: Path, project: Project) -> Project:
    """The rows of the sample, of which nothing was executed, in memory."""
    whole = project.catalog
    origin = whole.tokenizer.from_model
    catalog = whole.model_copy(
        update={
            "models": {origin: whole.models[origin]},
            "datasets": {
                name: rows.model_copy(update={"quality": None})
                for name, rows in whole.datasets.items()
            },
        }
    )
    return planted(project, catalog, memory / "storage")


@pytest.mark.parametrize("case", ROWS)
def test_rows_that_upstream_does_not_have_close_the_gate(
    request: pytest.FixtureRequest, case: str
) -> None:
    name, change = ROWS[case]
    world = request.getfixturevalue("at_hand" if case in EXECUTED else "unexecuted")
    tokenizer = world.store.path("models/tokenizer") / "tokenizer.model"
    reseal(world, name, split(tokenizer, change))
    answers = Answers.about(world, name, *descendants(world, name))
    wrong = answers.wrong()
    # A few rows are executed again, which may be some that were changed.
    assert wrong.pop(f"{name}_verdicts", set()) <= {"verdicts_repeat"}
    assert wrong == {name: {"rows_equal_source"}}
    assert not answers.verdict().open


def test_a_row_dropped_with_every_count_adjusted_closes_the_gate(at_hand: Project) -> None:
    """Also in a catalog that states no counts."""
    tokenizer = at_hand.store.path("models/tokenizer") / "tokenizer.model"
    (jsonl,) = at_hand.store.path(CODE).glob("*.jsonl")
    gone = json.loads(jsonl.read_bytes().splitlines()[5])
    of_class = "correct" if gone["is_correct"] else "incorrect"
    lost = {"kept": -1, f"kept_{of_class}": -1}
    lost |= {"too_long_by_count": 1, f"too_long_by_count_{of_class}": 1}
    reseal(at_hand, CODE, split(tokenizer, lambda rows: rows.pop(5), **lost))
    assert closed_by(at_hand, CODE) == {CODE: {"row_counts", "rows_equal_source"}}


STATS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a token mean": lambda value: value["tokens"]["output_tokens"].update(mean=1.0),
    "a language": lambda value: value["language_dist"].update({"1": 0}),
    "a source": lambda value: value["source_dist"].update({"0": 10_000}),
    "problems": lambda value: value.update(problems_with_rows=1),
    "difficulties of a class": lambda value: value["difficulty_by_class"].pop("correct"),
    "the tokenizer": lambda value: value.update(tokenizer_sha256="0" * 64),
    "the limit": lambda value: value.update(max_tokens=4096),
    "the funnel": lambda value: value["funnel"].update(rows_repaired=99),
    "the split's name": lambda value: value.update(split="train"),
}


@pytest.mark.parametrize("case", STATS)
def test_statistics_that_are_not_those_of_the_rows_close_the_gate(
    at_hand: Project, case: str
) -> None:
    reseal(at_hand, CODE, document("valid_stats.json", STATS[case]))
    assert failing(at_hand, CODE) & {"stats_add_up", "rows_equal_source"}


# Checkpoints.


def turned(values: np.ndarray[Any, Any]) -> None:
    """The sign of 14,848 of 32,768 values, none of them among the first, middle or last 1,024."""
    assert values.size == 32_768
    values[1024:15872] *= -1


def sealed(change: Change) -> Change:
    """The change, with the certificate written as the package writes it."""

    def at(folder: Path) -> None:
        change(folder)
        path = folder / "certificate.json"
        path.write_bytes(json_bytes(json.loads(path.read_bytes())))

    return at


def swapped(one: str, other: str) -> Change:
    def change(header: breaking.Header, data: bytearray) -> None:
        (a, b), (c, d) = header[one]["data_offsets"], header[other]["data_offsets"]
        data[a:b], data[c:d] = data[c:d], data[a:b]

    return checkpoint(change)


def other_rows(project: Project) -> Change:
    """The micro model's embedding, cut from the base's rows 1... instead of 0..."""
    base = Checkpoint(*place(project, REF))
    header, data = breaking.split_checkpoint(base.path)
    begin, end = header[EMBEDDING]["data_offsets"]
    whole = np.frombuffer(data[begin:end], np.float16).reshape(header[EMBEDDING]["shape"])

    def fill(values: np.ndarray[Any, Any]) -> None:
        small = values.reshape(-1, 32)
        small[:] = np.roll(whole, -1, axis=0)[: len(small), :32]

    return values(EMBEDDING, fill)


LAYER = "model.layers.{}.self_attn.q_proj.weight"
WEIGHTS: dict[str, tuple[str, Callable[[Project], Change]]] = {
    "signs outside of what fixed windows read": (REF, lambda p: values(EMBEDDING, turned)),
    "two tensors of one shape swapped": (
        REF,
        lambda p: swapped(LAYER.format(1), LAYER.format(2)),
    ),
    "a slice cut from other rows": (MICRO, other_rows),
    "one value of a small tensor": (
        MTP,
        lambda p: values("norm.weight", lambda v: v.__setitem__(17, 0.5)),
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_values_that_upstream_does_not_have_close_the_gate(at_hand: Project, case: str) -> None:
    name, change = WEIGHTS[case]
    reseal(at_hand, name, sealed(change(at_hand)))
    # All else was made from it anew, and agrees with it.
    answers = Answers.about(at_hand, name, *descendants(at_hand, name))
    assert answers.wrong() == {name: {"sampled_values_equal_source"}}
    assert not answers.verdict().open


CERTIFIED: dict[str, Callable[[dict[str, Any]], object]] = {
    "the reason for what is left out": lambda value: value["dropped"][0].update(reason="because"),
    "a tensor's source": lambda value: value["tensors"][0].update(source_name="other"),
    "a tensor's source dtype": lambda value: value["tensors"][0].update(source_dtype="bfloat16"),
    "a tensor's digest at the source": lambda value: value["tensors"][0].update(
        source_digest="0" * 64
    ),
    "a count": lambda value: value["tensors"][0].update(overflow=3),
    "an error": lambda value: value["tensors"][0].update(max_cast_error=0.0),
    "a source's size": lambda value: value["source_files"].update({"consolidated.pth": 1}),
    "the parameters": lambda value: value.update(parameters=1),
    "the layout": lambda value: value.update(layout="llama"),
    "what is left out": lambda value: value["dropped"].clear(),
}


@pytest.mark.parametrize("case", CERTIFIED)
def test_a_certificate_that_says_otherwise_closes_the_gate(at_hand: Project, case: str) -> None:
    reseal(at_hand, MTP, sealed(document("certificate.json", CERTIFIED[case])))
    assert closed_by(at_hand, MTP, f"{MTP}_certificate") == {MTP: {"certificate_describes_source"}}


def test_what_a_slice_says_of_its_base_is_held_against_the_base(at_hand: Project) -> None:
    def change(value: dict[str, Any]) -> None:
        another_theta(value["config"])

    reseal(at_hand, MICRO, sealed(document("slice.json", change)))
    assert closed_by(at_hand, MICRO, f"{MICRO}_config") == {MICRO: {"certificate_describes_source"}}


# Documents.


def another_theta(config: dict[str, Any]) -> None:
    """rope_theta, in the words of transformers 4 and 5."""
    config["rope_theta"] = config["rope_parameters"]["rope_theta"] = 500_000.0


DOCUMENTS: dict[str, tuple[str, Change]] = {
    "rope_theta": (
        f"{REF}_config",
        document("config.json", another_theta),
    ),
    "an epsilon": (
        f"{REF}_config",
        document("config.json", lambda value: value.update(rms_norm_eps=1e-3)),
    ),
    "an epsilon of the slice": (
        f"{MICRO}_config",
        document("config.json", lambda value: value.update(rms_norm_eps=1e-3)),
    ),
    "theta of params.json": (
        f"{MTP}_config",
        document("params.json", lambda value: value.update(rope_theta=1e6)),
    ),
    "config.json beside params.json": (
        f"{MTP}_config",
        document("config.json", lambda value: value.update(rope_theta=1e6)),
    ),
    "a setting of the tokenizer": (
        "models/tokenizer",
        document("tokenizer_config.json", lambda value: value.update(add_bos_token=False)),
    ),
    "how the tokenizer decodes": (
        "models/tokenizer",
        document("tokenizer.json", lambda value: value["decoder"]["decoders"].pop()),
    ),
    "one more file of the tokenizer": (
        "models/tokenizer",
        lambda folder: (folder / "added_tokens.json").write_text('{"<x>": 512}') and None,
    ),
    "where a model came from": (
        f"{REF}_metadata",
        document("metadata.json", lambda value: value.update(repository="other/model")),
    ),
    "what was done to a model": (
        f"{REF}_metadata",
        document("metadata.json", lambda value: value["conversion"].update(source_dtype="x")),
    ),
    "a digest in a model's metadata": (
        f"{REF}_metadata",
        document("metadata.json", lambda value: value["sha256"].update({"tokenizer.model": "0"})),
    ),
    "one more word in the adapter": (
        f"{MTP}_adapter",
        lambda folder: (
            (folder / "meta_adapter.yaml").write_text(
                (folder / "meta_adapter.yaml").read_text() + "attention: flash\n"
            )
            and None
        ),
    ),
    "one more field in the schema": (
        "datasets/humaneval_schema",
        document("schema.json", lambda value: value.update(title="x")),
    ),
    "the config beside the shards": (
        f"{REF}_shards",
        document("sharded/config.json", lambda value: value.update(rope_theta=500_000.0)),
    ),
    "one more file beside the shards": (
        f"{REF}_shards",
        lambda folder: (folder / "sharded/generation_config.json").write_text("{}") and None,
    ),
    "the index of the shards": (
        f"{REF}_shards",
        document(
            "sharded/model.safetensors.index.json", lambda value: value["metadata"].update(x=1)
        ),
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_document_that_its_inputs_do_not_give_closes_the_gate(
    at_hand: Project, case: str
) -> None:
    name, change = DOCUMENTS[case]
    reseal(at_hand, name, change)
    answers = Answers.about(at_hand, name, *descendants(at_hand, name))
    assert set(answers.wrong()) == {name}
    assert not answers.verdict().open


def test_metadata_whose_entries_are_off_by_one_closes_the_gate(at_hand: Project) -> None:
    def shift(value: dict[str, Any]) -> None:
        value["metadata"].insert(0, value["metadata"].pop())

    reseal(at_hand, f"{CODE}_metadata", document("valid_metadata.json", shift))
    assert set(closed_by(at_hand, f"{CODE}_metadata")) == {f"{CODE}_metadata"}


# Code versions, and what was fetched.


@pytest.mark.parametrize(
    "name",
    [HUMANEVAL, REF, f"{REF}_config", f"{REF}_shards", "models/tokenizer", f"{REF}_raw", SMALL],
)
def test_what_another_version_of_the_code_made_closes_the_gate(at_hand: Project, name: str) -> None:
    recommit(at_hand, name, lambda folder: None, code_version="0-other")
    for wanted in at_hand.sets.values():
        if name in wanted.artifacts:
            at_hand.store.publish(wanted)
    wrong = closed_by(at_hand, name)
    assert wrong == {name: {"inputs_current"}}


def test_shards_in_another_order_than_upstreams_close_the_gate(at_hand: Project) -> None:
    """The list of what was fetched is turned round, and the split built from it anew."""

    def turn(folder: Path) -> None:
        listing = json.loads((folder / "fetched.json").read_bytes())
        listing["files"] = dict(reversed(listing["files"].items()))
        (folder / "fetched.json").write_text(json.dumps(listing, indent=2) + "\n")

    reseal(at_hand, f"{TRAIN}_raw", turn)
    wrong = closed_by(at_hand, f"{TRAIN}_raw", TRAIN)
    assert wrong == {f"{TRAIN}_raw": {"fetched_files"}, TRAIN: {"rows_equal_source"}}


def test_a_shard_that_the_list_of_what_was_fetched_leaves_out_closes_the_gate(
    at_hand: Project,
) -> None:
    def shorter(folder: Path) -> None:
        listing = json.loads((folder / "fetched.json").read_bytes())
        listing["files"].popitem()
        (folder / "fetched.json").write_text(json.dumps(listing, indent=2) + "\n")

    recommit(at_hand, f"{TRAIN}_raw", shorter)
    assert "fetched_files" in failing(at_hand, f"{TRAIN}_raw")
