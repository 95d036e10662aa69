"""Generated sources with the columns of datasets whose formats are not in the sample."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SITES = {0: "Unknown", 1: "CodeChef", 2: "Codeforces", 3: "HackerEarth", 4: "CodeJam"}
SITES |= {6: "AtCoder", 7: "Aizu"}
PARTS = 2  # of a split that upstream has in several files
_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
GSM8K = pa.schema([("question", _TEXT), ("answer", _TEXT)])
HUMANEVAL_PLUS = pa.schema(
    [(name, _TEXT) for name in ("task_id", "prompt", "canonical_solution", "entry_point", "test")]
)
MBPP_PLUS = pa.schema(
    [
        ("task_id", pa.int64()),
        ("code", _TEXT),
        ("prompt", _TEXT),
        ("source_file", _TEXT),
        ("test_imports", _TEXTS),
        ("test_list", _TEXTS),
        ("test", _TEXT),
    ]
)


def gsm8k_rows(count: int = 6) -> list[dict[str, Any]]:
    """Questions, some with a comma in the answer, white space after it, or a mark before."""
    endings = ("{}", "{:,} ", " {}\n", "{}")
    return [
        {
            "question": f"Ann has {at} “apples” and buys {1000 * at}. How many?",
            "answer": f"{at} + {1000 * at} = <<{at}+{1000 * at}={1001 * at}>>{1001 * at}\n"
            + ("#### is next\n" if at % 3 == 1 else "")
            + f"#### {endings[at % 4].format(1001 * at)}",
        }
        for at in range(count)
    ]


def humaneval_plus_rows(count: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "task_id": f"HumanEval/{at}",
            "prompt": f'def add_{at}(n):\n    """Add {at}."""\n',
            "canonical_solution": f"    return n + {at}\n",
            "entry_point": f"add_{at}",
            "test": f"def check(candidate):\n    for n in range(50):\n"
            f"        assert candidate(n) == n + {at}\n",
        }
        for at in range(count)
    ]


def mbpp_plus_rows(count: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "task_id": 2 + at,
            "code": f"def add(n):\n    return n + {at}\n",
            "prompt": f"Write a function that adds {at}.",
            "source_file": "not read",
            "test_imports": ["import math"] * (at % 2),
            "test_list": [f"assert add(1) == {1 + at}"],
            "test": f"inputs = [[1], [2]]\nassert add(1) == {1 + at}",
        }
        for at in range(count)
    ]


def packaged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks as the releases of evalplus have them, in the fields of its loaders."""
    return [
        {
            "task_id": row["task_id"]
            if isinstance(row["task_id"], str)
            else f"Mbpp/{row['task_id']}",
            "prompt": row["prompt"],
            "entry_point": row.get("entry_point", "add"),
            "canonical_solution": row.get("canonical_solution", row.get("code")),
            "contract": "",
            "base_input": [[[1]]],
            "plus_input": [[[2]], [[3]]],
            "atol": 0,
        }
        for row in rows
    ]


_SUBMISSIONS = pa.list_(pa.struct([("code", _TEXT), ("language", _TEXT)]))
_CASES = pa.list_(pa.struct([("input", _TEXT), ("output", _TEXT)]))
CODE_CONTESTS_PLUS = pa.schema(
    [
        ("source", _TEXT),
        ("id", _TEXT),
        ("title", _TEXT),
        ("description", _TEXT),
        ("time_limit", pa.int64()),
        ("memory_limit", pa.int64()),
        ("validator", _TEXT),
        ("generator", _TEXT),
        ("generator_cmd", _TEXT),
        ("checker", _TEXT),
        ("correct_submissions", _SUBMISSIONS),
        ("incorrect_submissions", _SUBMISSIONS),
        ("test_cases", _CASES),
        ("true_positive_rate", pa.float64()),
        ("true_negative_rate", pa.float64()),
    ]
)


def plus_problem(**given: Any) -> dict[str, Any]:
    """A problem of Code-Contests-Plus; submissions are (language, code) pairs."""
    row: dict[str, Any] = {
        "source": "Codeforces",
        "id": "1_A",
        "title": "Theatre Square",
        "description": "Cover the square.\n\nExample: 6 6 4 gives 4.",
        "time_limit": 1000,
        "memory_limit": 256,
        "checker": '#include "testlib.h"',
        "correct_submissions": [("cpp", "int main;"), ("py3", "print(4)"), ("py2", "print 4")],
        "incorrect_submissions": [("py3", "print(5)"), ("java", "class A {}")],
        "test_cases": [{"input": "6 6 4\n", "output": "4\n"}],
        "true_positive_rate": 1.0,
    }
    row |= given
    for name in ("correct_submissions", "incorrect_submissions"):
        if row[name] is not None:
            row[name] = [one and {"language": one[0], "code": one[1]} for one in row[name]]
    return row


def write_tasks(path: Path, tasks: list[dict[str, Any]]) -> Path:
    """JSON Lines, gzipped where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(task) + "\n" for task in tasks).encode()
    path.write_bytes(gzip.compress(text, mtime=0) if path.name.endswith(".gz") else text)
    return path


def write_rows(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def write_all(hub: Path) -> None:
    """A directory mirror of every source, beside that of code_contests."""
    at = hub / "datasets"
    (shard,) = at.glob("deepmind/code_contests/data/valid-*.parquet")
    problems = []
    for one in pq.read_table(shard, columns=["source", "name"]).to_pylist():
        problem_id, _, title = one["name"].partition(" ")
        problem_id = problem_id.removesuffix(".")
        problems.append(plus_problem(source=SITES[one["source"]], id=problem_id, title=title))
    problems.append(plus_problem(id="9999_Z", title="Not there"))
    folder = at / "ByteDance-Seed/Code-Contests-Plus/ccplus_1x"
    for part in range(PARTS):
        write_rows(
            folder / f"part-0000{part}-of-00020.parquet",
            problems[part::PARTS],
            CODE_CONTESTS_PLUS,
        )
    write_rows(at / "openai/gsm8k/main/train-00000-of-00001.parquet", gsm8k_rows(6), GSM8K)
    write_rows(at / "openai/gsm8k/main/test-00000-of-00001.parquet", gsm8k_rows(3), GSM8K)
    for name, rows, schema in (
        ("humanevalplus", humaneval_plus_rows(), HUMANEVAL_PLUS),
        ("mbppplus", mbpp_plus_rows(), MBPP_PLUS),
    ):
        folder = at / "evalplus" / name
        write_rows(folder / "data/test-00000-of-00001-5973903632b82d40.parquet", rows, schema)
        write_tasks(folder / "test.jsonl", packaged(rows))
