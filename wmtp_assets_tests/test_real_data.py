"""Real rows through the same assets and checks: HumanEval, MBPP, one code_contests problem, LLaMA's
tokenizer. Skipped where the data is not beside the checkout.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import shutil
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from wmtp_assets.catalog import load_catalog
from wmtp_assets.definitions import build_defs

DATA = (Path(__file__).parents[1] / "../shared/data").resolve()
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real data is not at {DATA}")

SPLITS = {"train": (601, 975), "validation": (511, 601), "test": (11, 511)}  # MBPP's, on the Hub


def hub_of_real_data(root: Path) -> None:
    """A directory hub: the rows as parquet under the names that the Hub gives them."""
    models = root / "models/real/llama"
    models.mkdir(parents=True)
    shutil.copy(DATA / "llama_tokenizer/tokenizer.model", models)
    for name in ("weights.pth", "params.json"):  # named by the catalog, never taken by this test
        (models / name).write_bytes(b"not taken")
    code = root / "datasets/real/code_contests/data"
    code.mkdir(parents=True)
    shutil.copy(DATA / "code_contests/valid-00000-of-00001.parquet", code)
    with gzip.open(DATA / "humaneval/HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        write_parquet(root / "datasets/real/humaneval/test.parquet", map(json.loads, file))
    text = (DATA / "mbpp/mbpp.jsonl").read_text(encoding="utf-8")
    tasks = [json.loads(line) for line in text.splitlines()]
    for split, (first, end) in SPLITS.items():
        rows = [task for task in tasks if first <= task["task_id"] < end]
        write_parquet(root / f"datasets/real/mbpp/{split}.parquet", rows)


def write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def upstream(name: str) -> dict[str, str]:
    return {"repository": f"real/{name}", "revision": "main", "licence": "its own"}


def write_catalog(path: Path) -> None:
    sha256 = hashlib.sha256((DATA / "llama_tokenizer/tokenizer.model").read_bytes()).hexdigest()
    catalog = {
        "name": "real",
        "tokenizer": {"from_model": "llama", "vocab_size": 32000},
        "models": {
            "llama": {
                "layout": "meta-mtp",
                "upstream": upstream("llama"),
                "files": {
                    "weights": ["weights.pth"],
                    "config": "params.json",
                    "tokenizer": {"path": "tokenizer.model", "sha256": sha256},
                },
                "source_dtype": "float32",
                "dtype": "float16",
                "expected": {"parameters": 1, "tensors": 1},
            }
        },
        "datasets": {
            "codecontests": {
                "layout": "code-contests",
                "upstream": upstream("code_contests"),
                "splits": {
                    "valid": {
                        "files": ["data/valid-*.parquet"],
                        "rows": 13,
                        "correct": 4,
                        "incorrect": 9,
                    }
                },
            },
            "mbpp": {
                "layout": "mbpp",
                "upstream": upstream("mbpp"),
                "splits": {
                    split: {"files": [f"{split}.parquet"], "rows": end - first}
                    for split, (first, end) in SPLITS.items()
                },
            },
            "humaneval": {
                "layout": "humaneval",
                "upstream": upstream("humaneval"),
                "splits": {"test": {"files": ["test.parquet"], "rows": 164}},
            },
        },
    }
    path.write_text(yaml.safe_dump(catalog, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="session")
def storage(shared_folder: Path) -> Path:
    """All datasets made of the real rows; every check ran, and a failed one stops this."""
    root = shared_folder / "real"
    root.mkdir(exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "made").exists():
            for leftover in ("hub", "storage"):
                shutil.rmtree(root / leftover, ignore_errors=True)
            make_all(root)
            (root / "made").touch()
    return root / "storage"


def make_all(root: Path) -> None:
    hub_of_real_data(root / "hub")
    write_catalog(root / "real.yaml")
    catalog = load_catalog(root / "real.yaml")
    defs = build_defs(catalog, str(root / "hub"), root / "storage")
    chosen = dg.AssetSelection.groups("tokenizer", "codecontests", "mbpp", "humaneval")
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        graph = defs.resolve_asset_graph()
        keys = chosen.resolve(graph)
        job = defs.resolve_job_def("materialize_all").get_subset(
            asset_selection=keys,
            asset_check_selection={k for k in graph.asset_check_keys if k.asset_key in keys},
        )
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    wrong = [
        f"{check.asset_key.to_user_string()} {check.check_name}"
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]
    assert wrong == []
    assert result.success


def lines(storage: Path, dataset: str, split: str) -> list[dict[str, Any]]:
    path = storage / f"datasets_v2/{dataset}/processed/{split}.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "split", "rows"),
    [
        ("humaneval", "test", 164),
        ("mbpp", "train", 374),
        ("mbpp", "validation", 90),
        ("mbpp", "test", 500),
        ("codecontests", "valid", 13),
    ],
)
def test_real_rows_come_out_in_their_published_number(
    storage: Path, dataset: str, split: str, rows: int
) -> None:
    found = lines(storage, dataset, split)
    assert len(found) == rows
    folder = storage / f"datasets_v2/{dataset}/processed"
    metadata = json.loads((folder / f"{split}_metadata.json").read_bytes())
    assert len(metadata["metadata"]) == metadata["stats"]["total"] == rows


@pytest.mark.slow
def test_the_real_problem_gives_exactly_its_python_rows(storage: Path) -> None:
    found = lines(storage, "codecontests", "valid")
    name = "1553_A. Digits Sum"
    assert [(row["task_id"], row["is_correct"]) for row in found] == [
        *((f"{name}_correct_{i}", True) for i in (0, 3, 4, 5)),
        *((f"{name}_incorrect_{i}", False) for i in range(1, 10)),
    ]
    solutions = pq.read_table(DATA / "code_contests/valid-00000-of-00001.parquet").to_pylist()[0]
    for row in found:
        kind, place = row["task_id"].rsplit("_", 2)[1:]
        there = solutions["solutions" if kind == "correct" else "incorrect_solutions"]
        assert row["output"] == there["solution"][int(place)]
        assert row["instruction"] == solutions["description"]


@pytest.mark.slow
def test_real_tasks_keep_their_tests_and_their_text(storage: Path) -> None:
    with gzip.open(DATA / "humaneval/HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        tasks = [json.loads(line) for line in file]
    found = lines(storage, "humaneval", "test")
    assert [row["task_id"] for row in found] == [task["task_id"] for task in tasks]
    assert [row["test"] for row in found] == [task["test"] for task in tasks]
    assert not any("is_correct" in row for row in found)
    mbpp = (DATA / "mbpp/mbpp.jsonl").read_text(encoding="utf-8").splitlines()
    tests = {str(task["task_id"]): task["test_list"] for task in map(json.loads, mbpp)}
    for split in SPLITS:
        for row in lines(storage, "mbpp", split):
            assert row["test_list"] == tests[str(row["task_id"]).rpartition("/")[2]]
