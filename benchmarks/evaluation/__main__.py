"""What the tests of whole problems cost: written, checked, and one problem's read.

    python -m benchmarks.evaluation [FOLDER]          # from the repository's root

Environment: SCALE, the fraction of the training split's 13,328 problems (default 0.1, half a
gigabyte of tests). `write` makes JSON and Parquet from upstream's shards, `check` compares the two
whole, `one` reads a problem's tests from the Parquet file and `json` from the other: each a process
of its own. `large` is `write` for 20 problems of which one has 120 MB of tests.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.codecontests.generator import PROBLEMS, PROBLEMS_PER_SHARD, SCHEMA
from benchmarks.measure import run
from benchmarks.report import Report

_POOL = 4 << 20
_COLUMNS = (
    "name",
    "description",
    "public_tests",
    "private_tests",
    "generated_tests",
    "source",
    "difficulty",
    "cf_rating",
    "time_limit",
    "memory_limit_bytes",
)
_SCHEMA = pa.schema([SCHEMA.field(name) for name in _COLUMNS])
MEGABYTES, OF_LARGE = 300, 1000
"""Anonymous memory that writing may take: of a split, and of one with a problem of 120 MB."""


def write_shards(folder: Path, problems: int, seed: int = 5) -> None:
    """Shards of `problems` with some hundred tests each, 0.4 MB together, as heavy-tailed."""
    random = np.random.default_rng(seed)
    digits = random.choice(np.frombuffer(b"0123456789 0123456789\n", np.uint8), _POOL)
    pool = digits.tobytes().decode("ascii")

    def texts(count: int, mean: float) -> list[str]:
        sizes = np.maximum(2, random.lognormal(np.log(mean) - 0.72, 1.2, count)).astype(int)
        begins = random.integers(0, _POOL - min(int(sizes.max(initial=2)), _POOL - 1), count)
        return [pool[b : b + s] for b, s in zip(begins.tolist(), sizes.tolist(), strict=True)]

    def tests(count: int, mean: float) -> dict[str, list[str]]:
        return {"input": texts(count, mean), "output": texts(count, mean / 3)}

    for shard, first in enumerate(range(0, problems, PROBLEMS_PER_SHARD)):
        with pq.ParquetWriter(folder / f"train-{shard:05d}.parquet", _SCHEMA) as writer:
            rows = [
                {
                    "name": f"{at}_A. A Problem and Its Name",
                    "description": pool[at : at + 1800],
                    "public_tests": tests(int(random.integers(1, 4)), 60),
                    "private_tests": tests(int(random.lognormal(2.2, 0.8)), 500),
                    "generated_tests": tests(int(random.lognormal(4.5, 0.4)), 3000),
                    "source": 2,
                    "difficulty": 7,
                    "cf_rating": 800,
                    "time_limit": {"seconds": 2, "nanos": 0},
                    "memory_limit_bytes": 256_000_000,
                }
                for at in range(first, min(first + PROBLEMS_PER_SHARD, problems))
            ]
            _add_to(writer, rows)


def write_large(folder: Path) -> None:
    """A shard of 20 problems, the tenth with 120 tests of a megabyte."""
    write_shards(folder, 20)
    (path,) = folder.glob("train-*.parquet")
    rows = pq.read_table(path).to_pylist()
    digits = np.random.default_rng(6).integers(48, 58, 1 << 20, np.uint8).tobytes().decode("ascii")
    rows[10]["generated_tests"] = {
        "input": [digits[at:] + digits[:at] for at in range(120)],
        "output": ["1\n"] * 120,
    }
    with pq.ParquetWriter(path, _SCHEMA) as writer:
        _add_to(writer, rows)


def _add_to(writer: pq.ParquetWriter, rows: list[dict[str, Any]]) -> None:
    # One row group per shard, as upstream has them.
    writer.write_table(pa.Table.from_pylist(rows, _SCHEMA), row_group_size=len(rows))


def step(name: str, folder: Path) -> dict[str, object]:
    """One of the ways."""
    wanted = "7_A. A Problem and Its Name"
    if name == "json":
        with (folder / "train_tests.json").open("rb") as file:
            return {"tests": len(json.load(file)[wanted]["generated_tests"]["input"])}
    from wmtp_assets.corpora.tests_file import ProblemTestsFile

    if name == "one":
        before = _bytes_read()
        tests = ProblemTestsFile(folder / "train_tests.parquet")
        opened = _bytes_read()
        found = len(tests[wanted]["generated_tests"]["input"])
        return {"tests": found, "opening": opened - before, "problem": _bytes_read() - opened}
    from wmtp_assets.corpora.formats import FORMATS

    source = FORMATS["code-contests"].evaluation
    assert source is not None
    shards = sorted(folder.glob("train-*.parquet"))
    if name == "write":
        from wmtp_assets.corpora.evaluation_files import write_tests

        return dict(write_tests(source, shards, folder, "train").counts)
    from wmtp_assets.corpora.evaluation_checks import StoredTests, parquet_equals_json
    from wmtp_assets.corpora.evaluation_source import EvaluatedSplit

    made_from = EvaluatedSplit(source, "train", shards)
    stored = StoredTests(folder / "train_tests.json", lambda: made_from)
    return {"passed": parquet_equals_json.of(stored).passed}


def _bytes_read() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


def main(folder: Path) -> int:
    """Measures each way. 1 when writing takes more memory than it may, or a check fails."""
    problems = round(PROBLEMS * float(os.environ.get("SCALE", "0.1")))
    whole, large = folder / "whole", folder / "large"
    for place in (whole, large):
        place.mkdir(exist_ok=True)
    write_shards(whole, problems)
    write_large(large)
    report = Report()
    here = "benchmarks.evaluation"
    for name in ("write", "check", "one", "json"):
        found = run([here, name, str(whole)])
        report.figure(f"{name}.cpu_s", found.cpu)
        report.figure(f"{name}.wall_s", found.wall)
        report.figure(f"{name}.peak_mb", found.peak_mb, MEGABYTES if name == "write" else None)
        for key, value in found.result.items():
            report.figure(
                f"{name}.{key}", float(str(int(bool(value)) if key == "passed" else value))
            )
    for name in ("json", "parquet"):
        report.figure(f"{name}_mb", (whole / f"train_tests.{name}").stat().st_size / 1e6)
    found = run([here, "write", str(large)])
    report.figure("large.peak_mb", found.peak_mb, OF_LARGE)
    report.figure("large.check_peak_mb", run([here, "check", str(large)]).peak_mb)
    return 0 if report.ok else 1


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(step(sys.argv[1], Path(sys.argv[2]))))
    elif len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as made:
            sys.exit(main(Path(made)))
