"""One way to execute the rows of a split, as a process of its own; prints what it took.

    python -m benchmarks.engine.way WAY WORKERS FOLDER

WAY is `local`, `ray` or `slurm`. The last is what an array job does: a process for each part, as
many at once as there are workers. FOLDER has the rows (`benchmarks.engine.rows`); nothing that was
executed before is known.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from benchmarks.engine.rows import rows_in
from wmtp_assets.engines.engine import Engine
from wmtp_assets.engines.local import LocalEngine
from wmtp_assets.engines.whole import Plan, results_of
from wmtp_assets.interrupts import descendants
from wmtp_assets.quality.judged_parts import joined
from wmtp_assets.quality.labels import lines
from wmtp_assets.storage.digests import digest_of

PARTS_EACH = 4


def main(way: str, workers: int, folder: Path) -> None:
    """See the module."""
    with tempfile.TemporaryDirectory() as empty:
        whole = replace(rows_in(folder), known=Path(empty) / "known")
        plan = Plan(Path(empty) / "parts/datasets/rows_verdicts/recipe", whole)
        begun = time.perf_counter()
        if way == "slurm":
            plan.write(PARTS_EACH * workers)
            array_job(plan, workers)
        with engine_of(way, workers) as engine:
            started = time.perf_counter() - begun if way == "ray" else 0.0
            parts = len(whole.tasks(plan.parts or engine.parts))
            results = list(results_of(whole, plan, engine))
            joining = time.perf_counter()
            found = joined(results)
            join = time.perf_counter() - joining
            if uncertain := found.uncertain():
                last = whole.only(uncertain)
                found.add(joined(engine.map(last.function, last.tasks(1))))
            cpu = cpu_so_far()  # Ray's processes are still there
        joining = time.perf_counter()
        columns = lines(whole.opened(), whole.rows, found)
        join += time.perf_counter() - joining
        wall = time.perf_counter() - begun
    print(
        json.dumps(
            {
                "wall": wall,
                "start": started,
                "join": join,
                "cpu": cpu,
                "parts": parts,
                "uncertain": len(uncertain),
                "rows": len(columns["row"]),
                "verdicts": digest_of([columns["verdict"], columns["several_answers"]]),
            }
        )
    )


def cpu_so_far() -> float:
    """Seconds of the processor, of this process, of what it waited for, and of what it started and
    still runs: Ray's processes are not waited for, so that nobody else would be told theirs."""
    used = sum(os.times()[:4])
    ticks = os.sysconf("SC_CLK_TCK")
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used += sum(map(int, after_name[11:15])) / ticks
    return used


@contextmanager
def engine_of(way: str, workers: int) -> Iterator[Engine]:
    """The engine, with that many workers."""
    if way == "ray":
        from wmtp_assets.engines.on_ray import RayEngine

        with RayEngine(workers) as on_ray:
            yield on_ray
        return
    with LocalEngine(workers) as local:
        yield local


def array_job(plan: Plan, workers: int) -> None:
    """Every part by a process of its own."""

    def work_on(number: int) -> None:
        subprocess.run(
            [sys.executable, "-m", "wmtp_assets.artifacts.divided", plan.list, str(number)],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work_on, range(plan.parts)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
