"""Ray and array jobs beside one process, at equal workers: time, processor time, and what follows.

    python -m benchmarks.engine            # from the repository's root

Environment: PROBLEMS of 20 rows each (default 40), TESTS of a problem (default 20), ROUNDS (default
3), WORKERS (default "2 4 8"). In each round every way executes the same rows with nothing known, in
turn; figures are medians. The processor time of a way is that of all processes that it started.
Verdicts must be the same for every way and number of workers.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.engine.rows import SOLUTIONS, write_rows
from benchmarks.report import Report

WAYS = ("local", "ray", "slurm")
MANY, PART_SECONDS = 100, 600
"""For what is worked out: workers, and how long a part is meant to take."""


def main() -> int:
    """Prints figures, a JSON line each; exit status 1 where verdicts differ."""
    problems, tests = (int(os.environ.get(n, d)) for n, d in (("PROBLEMS", 40), ("TESTS", 20)))
    rounds = int(os.environ.get("ROUNDS", 3))
    every_workers = [int(one) for one in os.environ.get("WORKERS", "2 4 8").split()]
    report, taken = Report(), defaultdict[tuple[str, int], list[dict[str, Any]]](list)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        write_rows(Path(name), problems, tests)
        for number in range(rounds):
            ways = WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]
            for workers in every_workers:
                for way in ways:
                    taken[way, workers].append(run(way, workers, name))
                    print(json.dumps({"way": way, "workers": workers, **taken[way, workers][-1]}))
    said = {one["verdicts"] for each in taken.values() for one in each}
    report.figure("engine.different_verdicts", len(said) - 1, 0)
    for workers in every_workers:
        local = taken["local", workers]
        for way in WAYS[1:]:
            for what in ("wall", "cpu"):
                ratio = median(taken[way, workers], what) / median(local, what)
                report.figure(f"engine.{way}.{what}_over_local.{workers}", ratio)
    least = every_workers[0]
    rows = problems * SOLUTIONS
    start = median(taken["ray", least], "start")
    report.figure("engine.ray.seconds_to_start", start)
    join = median(taken["local", least], "join") / rows
    report.figure("engine.join_microseconds_per_row", 1e6 * join)
    cpu = median(taken["local", least], "cpu") / rows
    report.figure("engine.local.cpu_milliseconds_per_row", 1e3 * cpu)
    for way in WAYS[1:]:
        more = median(taken[way, least], "cpu") - median(taken["local", least], "cpu")
        part = max(0.0, more) / taken[way, least][0]["parts"]
        report.figure(f"engine.{way}.cpu_seconds_per_part", part)
        # Parts of ten minutes: each costs `part` more, and the join goes through all rows alone.
        rows_of_part = PART_SECONDS / cpu
        alone = MANY * 10 * rows_of_part * cpu
        together = 10 * (PART_SECONDS + part) + start + MANY * 10 * rows_of_part * join
        report.figure(f"engine.{way}.speed_up_worked_out_at_{MANY}", alone / together)
    return 0 if report.ok else 1


def median(taken: list[dict[str, Any]], what: str) -> float:
    return statistics.median(one[what] for one in taken)


def run(way: str, workers: int, folder: str) -> dict[str, Any]:
    """What a way printed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engine.way", way, str(workers), folder],
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
