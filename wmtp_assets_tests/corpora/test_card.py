"""`datasets.load_dataset` of a published folder gives its rows by split, not the row index."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.schemas import schema_documents
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.card import dataset_card
from wmtp_assets_tests.corpora.conftest import BY_LABEL, rows_of

_FOLDERS = {
    "datasets_v2/codecontests/processed": ("train", "valid", "test"),
    "datasets_v2/mbpp/processed": ("train", "validation", "test"),
    "datasets_v2/humaneval/processed": ("test",),
    "datasets_local_small/codecontests_small": ("train", "valid", "test"),
}
_TEXT = datasets.Value("string")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for flag in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setattr(f"datasets.config.{flag}", True, raising=False)


def _lines(folder: Path, split: str) -> list[dict[str, Any]]:
    small = "_small" if folder.name.endswith("_small") else ""
    return rows_of(folder / f"{split}{small}.jsonl")


@pytest.mark.parametrize("folder", _FOLDERS)
def test_a_published_folder_loads_as_its_rows(
    project: Project, tmp_path: Path, folder: str
) -> None:
    path = project.store.root / folder
    splits = _FOLDERS[folder]
    whole = datasets.load_dataset(str(path), cache_dir=str(tmp_path / "cache"))
    streamed = datasets.load_dataset(
        str(path), streaming=True, cache_dir=str(tmp_path / "streamed")
    )
    assert tuple(whole) == tuple(streamed) == splits
    for split in splits:
        rows = _lines(path, split)
        assert rows
        assert whole[split].to_list() == rows
        assert list(streamed[split]) == rows
        assert whole[split].features == streamed[split].features == whole[splits[0]].features
        metadata = whole[split].features["metadata"]
        assert metadata["has_tests"] == datasets.Value("bool")
        wanted = datasets.Value("int64") if "codecontests" in folder else None
        assert metadata.get("difficulty") == wanted
    one = datasets.load_dataset(str(path), split=splits[-1], cache_dir=str(tmp_path / "cache"))
    assert one.to_list() == _lines(path, splits[-1])


_CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "codecontests": ({"is_correct": True}, {"is_correct": datasets.Value("bool")}),
    "mbpp": (
        {"test_list": [], "test_setup_code": ""},
        {"test_list": datasets.List(_TEXT), "test_setup_code": _TEXT},
    ),
    "humaneval": ({"test": "", "entry_point": ""}, {"test": _TEXT, "entry_point": _TEXT}),
}


@pytest.mark.parametrize("dataset", _CASES)
def test_types_do_not_depend_on_the_rows(tmp_path: Path, dataset: str) -> None:
    fields, types = _CASES[dataset]
    graded = dataset == "codecontests"
    metadata = {"source": dataset, **({"difficulty": 3} if graded else fields), "has_tests": False}
    row = {"instruction": "", "input": "", "output": "", "task_id": "11", **fields}
    row |= {"metadata": metadata}
    (tmp_path / "test.jsonl").write_text(json.dumps(row) + "\n")
    # What lies beside the rows is not theirs.
    (tmp_path / "test_metadata.json").write_text('{"metadata": [], "stats": {"total": 0}}')
    (tmp_path / "test.index.parquet").write_bytes(b"PAR1")
    card = dataset_card(BY_LABEL[dataset], {"test": "test.jsonl"}, "of one row")
    (tmp_path / "README.md").write_bytes(card)
    loaded = datasets.load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["test"]
    assert loaded["test"].to_list() == [row]
    assert loaded["test"].features == datasets.Features(
        {
            **dict.fromkeys(("instruction", "input", "output", "task_id"), _TEXT),
            **types,
            "metadata": {
                "source": _TEXT,
                **({"difficulty": datasets.Value("int64")} if graded else types),
                "has_tests": datasets.Value("bool"),
            },
        }
    )


def test_rows_of_another_generation_or_edition_do_not_come_out_of_the_cache(
    current_project: Project, tmp_path: Path
) -> None:
    """`datasets` caches by the folder's name and its card: both folders are called `processed`."""
    processed = [
        current_project.storage / at / "mbpp/processed" for at in ("datasets", "datasets_v2")
    ]
    moved = tmp_path / "processed"
    for folder in processed:  # the first into the cache; then the other, also in its place
        shutil.copytree(folder, moved, dirs_exist_ok=True)
        for path in (folder, moved):
            loaded = datasets.load_dataset(
                str(path), split="test", cache_dir=str(tmp_path / "cache")
            )
            assert loaded.to_list() == _lines(folder, "test")
    first, second = (_lines(folder, "test") for folder in processed)
    assert first != second


def test_the_card_of_a_small_copy_is_another_for_another_choice_of_rows(
    current_project: Project,
) -> None:
    store = current_project.store
    schema = current_project.artifacts["datasets/mbpp_schema_current"]
    rows = {"train": 100, "validation": 32, "test": 32}
    assert schema.settings["small"] == {"rows": rows, "seed": 42}
    cards = set()
    for choice in (
        {"rows": rows, "seed": 42},
        {"rows": rows, "seed": 43},
        {"rows": {**rows, "test": 3}, "seed": 42},
    ):
        chosen = replace(schema, settings={**schema.settings, "small": choice})
        cards.add(schema_documents(store, chosen).files["README_small.md"])
    assert len(cards) == 3


def test_a_split_that_is_counted_as_empty_is_not_declared() -> None:
    from wmtp_assets.catalog import load_catalog
    from wmtp_assets.catalog.artifacts import artifacts_of

    catalog = load_catalog("sample")
    dataset = catalog.datasets["codecontests"]
    empty = dataset.splits["valid"].model_copy(update={"rows": 0, "correct": 0, "incorrect": 0})
    changed = dataset.model_copy(update={"splits": {**dataset.splits, "valid": empty}})
    catalog = catalog.model_copy(update={"datasets": {"codecontests": changed}})
    settings = artifacts_of(catalog)["datasets/codecontests_schema"].settings
    assert settings["files"] == {"train": "train.jsonl", "test": "test.jsonl"}
    assert settings["small_files"] == {"train": "train_small.jsonl", "test": "test_small.jsonl"}


def test_a_split_in_which_no_rows_were_found_is_not_declared(
    copied: Project, tmp_path: Path
) -> None:
    name, schema = "datasets/codecontests_valid", copied.artifacts["datasets/codecontests_schema"]
    receipt = copied.store.current(name)
    assert receipt is not None
    shard = next(Path(str(copied.hub_spec)).glob("datasets/deepmind/*/data/valid-*.parquet"))
    empty = tmp_path / "valid.parquet"
    pq.write_table(pq.read_table(shard).slice(0, 0), empty)
    tokenizer = copied.store.path("models/tokenizer") / "tokenizer.model"
    with copied.store.stage(name) as staging:
        report = build_split(BY_LABEL["codecontests"], [empty], tokenizer, staging.path, "valid")
        assert report.rows == 0
        staging.commit(
            inputs=receipt.inputs,
            code_version=receipt.code_version,
            entry_digest=receipt.entry_digest,
            facts={**receipt.facts, "rows": report.rows},
            seconds=0.0,
        )
    folder = tmp_path / "processed"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        made = copied.store.path(f"datasets/codecontests_{split}") / f"{split}.jsonl"
        shutil.copyfile(made, folder / made.name)
    schema_documents(copied.store, schema).write(folder)
    for streaming in (False, True):
        loaded = datasets.load_dataset(
            str(folder), streaming=streaming, cache_dir=str(tmp_path / f"cache {streaming}")
        )
        assert {split: list(rows) for split, rows in loaded.items()} == {
            split: _lines(folder, split) for split in ("train", "test")
        }
