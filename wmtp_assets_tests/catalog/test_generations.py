"""The generations of the contract: which artifacts serve which, and what differs between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from wmtp_assets import open_corpus
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.catalog import Catalog, CatalogError, load_catalog
from wmtp_assets.catalog.artifacts import artifacts_of
from wmtp_assets.catalog.contract import published_sets
from wmtp_assets.catalog.reader import read_catalog
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formats import FORMATS

SHIPPED = Path(__file__).parents[2] / "wmtp_assets" / "catalog" / "sample.yaml"


def sample_with(contract: object) -> Catalog:
    value = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return read_catalog(Path("mine.yaml"), yaml.safe_dump({**value, "contract": contract}))


def test_a_catalog_without_the_field_serves_the_first_phase() -> None:
    assert load_catalog("sample").contract == ("phase1",)
    assert sample_with("phase1") == load_catalog("sample")


@pytest.mark.parametrize("contract", ["current", ["current"], ["current", "phase1"]])
def test_generations_are_named_alone_or_as_a_list_in_any_order(contract: object) -> None:
    wanted = ("current",) if "phase1" not in contract else ("phase1", "current")  # type: ignore[operator]
    assert sample_with(contract).contract == wanted


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ("phase2", "'phase1' or 'current'"),
        ([], "at least 1 item"),
        (["current", "current"], "named twice"),
        (3, "a valid list"),
    ],
)
def test_another_value_is_refused(contract: object, said: str) -> None:
    with pytest.raises(CatalogError) as caught:
        sample_with(contract)
    assert "has 1 mistake. " in str(caught.value)
    assert "mine.yaml:" in str(caught.value)
    assert "contract" in str(caught.value)
    assert said in str(caught.value)
    assert "uple" not in str(caught.value)


def test_what_is_equal_in_both_is_one_artifact_with_the_paths_of_both() -> None:
    first, both = (artifacts_of(sample_with(one)) for one in ("phase1", ["phase1", "current"]))
    assert {name for name, one in both.items() if one.contract == "phase1"} >= {
        name for name in first if "_small_" not in name and "codecontests" not in name
    }
    weights = both["models/meta-llama-mtp"]
    assert set(weights.links) == {
        f"{folder}/meta-llama-mtp/safetensors/{file}"
        for folder in ("models_v2", "models")
        for file in ("model.safetensors", "SHA256SUMS")
    }
    rows = both["datasets/humaneval_test"]
    assert "datasets/humaneval/processed/test.jsonl" in rows.links
    assert "datasets_v2/humaneval/processed/test.jsonl" in rows.links
    assert "datasets/codecontests_train_current" in both
    assert "datasets/mbpp_test_current" in both
    assert "datasets/humaneval_test_current" not in both


@pytest.mark.parametrize("contract", ["phase1", "current"])
def test_one_generation_publishes_no_path_of_the_other(contract: str) -> None:
    paths = {
        path.partition("/")[0]
        for one in published_sets(sample_with(contract))
        for path in one.links
    }
    folders = {"phase1": {"models_v2", "datasets_v2"}, "current": {"models", "datasets"}}
    assert paths == {*folders[contract], "datasets_local_small"}


def test_the_current_rows_of_code_contests_have_no_input(current_project: Project) -> None:
    storage = current_project.storage
    first = open_corpus(storage, "codecontests", "train", "phase1")
    now = open_corpus(storage, "codecontests", "train", "current")
    assert any(row["input"] for row in first)
    assert not any(row["input"] for row in now)
    # Without the input no row is longer than it was: what was kept is kept.
    with_input = {row["task_id"]: {**row, "input": ""} for row in first}
    without = {row["task_id"]: row for row in now}
    assert with_input.items() <= without.items()
    assert not now.column("input_tokens").any()


def test_the_current_instructions_of_mbpp_name_the_function(current_project: Project) -> None:
    storage = current_project.storage
    first = open_corpus(storage, "mbpp", "test", "phase1")
    now = open_corpus(storage, "mbpp", "test", "current")
    for before, after in zip(first, now, strict=True):
        text, _, rest = after["instruction"].partition("\n\nThe function should be named '")
        assert text == before["instruction"]
        name = rest.removesuffix("'.")
        assert f"def {name}(" in after["output"]
        assert f"{name}(" in after["test_list"][0]
        assert {**after, "instruction": text} == before


@pytest.mark.parametrize(
    ("tests", "code", "name"),
    [
        (["assert add(1, 2) == 3"], "def add(a, b):", "add"),
        (["assert (Diff([1], [2])) == [1]"], "def Diff(a, b):", "Diff"),
        (
            ["assert int(lobb_num(5, 3)) == 35"],
            "def f(n):\n  pass\ndef lobb_num(n, m):",
            "lobb_num",
        ),
        (["assert not (is_odd (2))"], "def is_odd(n):", "is_odd"),
        (["assert other(1)"], "def mine(n):", "other"),
        (["assert x == 1"], "def mine(n):", None),
    ],
)
def test_the_name_is_that_of_the_first_call_that_the_reference_defines(
    tests: list[str], code: str, name: str | None
) -> None:
    raw = {
        "text": b"Do it.",
        "code": code.encode(),
        "test_list": [one.encode() for one in tests],
    }
    named = f"Do it.\n\nThe function should be named '{name}'." if name else "Do it."
    assert FORMATS["mbpp"].current.instruction_of(raw).decode() == named  # type: ignore[attr-defined]


def test_a_generation_that_there_is_not_is_refused(project: Project) -> None:
    with pytest.raises(CorpusError, match="no such generation"):
        open_corpus(project.storage, "mbpp", "test", "phase2")  # type: ignore[arg-type]
    with pytest.raises(CorpusError):
        open_corpus(project.storage, "mbpp", "test", "current")


def test_the_gate_opens_on_both_and_reads_each_path(current_project: Project) -> None:
    verdict = evaluate(current_project)
    assert verdict.open, [r for c in verdict.conditions for r in c.reasons]
    for one in published_sets(current_project.catalog):
        for path in one.links:
            assert (current_project.storage / path).exists(), path
    card = (current_project.storage / "datasets/mbpp/processed/schema.json").read_text()
    assert json.loads(card)["title"] == "A row of mbpp"
