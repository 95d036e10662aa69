"""The sample's MBPP and HumanEval have upstream's columns, and solutions that pass."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from wmtp_assets.sample.evalsets import HUMANEVAL, MBPP
from wmtp_assets.sample.tasks import TASKS


def _execute(program: str, name: str = "") -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": name}
    exec(program, scope)  # noqa: S102  # the sample's programs are our own
    return scope


def test_the_mbpp_splits_have_upstreams_columns_and_numbering(hub: Path) -> None:
    counts = {}
    for split in ("train", "validation", "test", "prompt"):
        table = pq.read_table(hub / MBPP / f"full/{split}-00000-of-00001.parquet")
        ids = table["task_id"].to_pylist()
        counts[split] = (ids[0], len(ids))
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert counts == {
        "train": (601, 14),
        "validation": (511, 8),
        "test": (11, 16),
        "prompt": (1, 2),
    }


def test_every_mbpp_solution_passes_its_tests_with_the_setup_run_after_it(hub: Path) -> None:
    rows = [
        row for path in (hub / MBPP / "full").iterdir() for row in pq.read_table(path).to_pylist()
    ]
    for row in rows:
        tests = row["test_list"] + row["challenge_test_list"]
        _execute("\n".join([row["code"], row["test_setup_code"], *tests]))
    assert any(row["test_setup_code"] for row in rows)
    with_crlf = sum("\r\n" in row["code"] for row in rows)
    assert with_crlf > len(rows) / 2
    assert any("\n" in row["code"] and "\r" not in row["code"] for row in rows)
    assert any(not row["code"].isascii() for row in rows)


def test_every_humaneval_solution_passes_its_check(hub: Path) -> None:
    path = hub / HUMANEVAL / "openai_humaneval/test-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    assert [row["task_id"] for row in rows] == [f"HumanEval/{n}" for n in range(12)]
    for row in rows:
        scope = _execute(row["prompt"] + row["canonical_solution"] + row["test"])
        scope["check"](scope[row["entry_point"]])
    assert any(not row["prompt"].isascii() for row in rows)


def test_a_few_mbpp_tasks_are_in_two_splits() -> None:
    texts = {split: {task.text for task in tasks} for split, (_, tasks) in TASKS.items()}
    codes = {split: {task.code for task in tasks} for split, (_, tasks) in TASKS.items()}
    shared = {
        pair: (len(texts[pair[0]] & texts[pair[1]]), len(codes[pair[0]] & codes[pair[1]]))
        for pair in itertools.combinations(TASKS, 2)
    }
    assert {pair: counts for pair, counts in shared.items() if any(counts)} == {
        ("test", "validation"): (1, 1),
        ("test", "train"): (1, 2),
        ("validation", "train"): (1, 1),
    }
