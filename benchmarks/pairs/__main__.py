"""How soon, and in how much memory, a rank has its pairs at upstream's full size.

    python -m benchmarks.pairs [FOLDER]          # from the repository's root; ROUNDS=3

Every way is a process of its own, in turn with the others; medians. `process_s` is wall-clock time
from the start of Python to the pairs; `seconds` and `cpu` begin when modules are imported. Peers
are the plain way of `ways.py`: from the metadata file that training loads (`document`), and from
one that holds nothing but its problem_index_map (`map`).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Measured, run
from benchmarks.pairs.ways import REQUESTS
from benchmarks.pairs.world import write
from benchmarks.report import Report

SECONDS, TIMES_FASTER, TIMES_LEANER = 1.0, 20.0, 8.0
WAYS = ("index", "document", "map")


def main(folder: Path, rounds: int) -> int:
    """Measures every request in every way. 1 when a bar is missed."""
    if not (folder / "train_map.json").exists():
        write(folder)
    report = Report()
    for name in REQUESTS:
        found: dict[str, list[Measured]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                found[way].append(run(["benchmarks.pairs.ways", way, name, str(folder)]))
        pairs = {int(str(each.result["pairs"])) for each in (found[way][0] for way in WAYS)}
        assert len(pairs) == 1, pairs
        report.figure(f"{name}.pairs", pairs.pop())
        for way in WAYS:
            bar = SECONDS if way == "index" else None
            report.figure(f"{name}.{way}.process_s", _median(found[way], lambda x: x.wall), bar)
            for key in ("seconds", "cpu", "peak_mb"):
                report.figure(f"{name}.{way}.{key}", _median(found[way], _result(key)))
        for way in WAYS[1:]:
            bars = (TIMES_FASTER, TIMES_LEANER) if way == "document" else (None, None)
            for key, bar in zip(("cpu", "peak_mb"), bars, strict=True):
                of = _result(key)
                times = [of(a) / of(b) for a, b in zip(found[way], found["index"], strict=True)]
                report.figure(
                    f"{name}.{way}_over_index.{key}", statistics.median(times), bar, least=True
                )
    return 0 if report.ok else 1


def _result(key: str) -> Callable[[Measured], float]:
    return lambda measured: float(str(measured.result[key]))


def _median(found: list[Measured], what: Callable[[Measured], float]) -> float:
    return statistics.median(map(what, found))


if __name__ == "__main__":
    times = int(os.environ.get("ROUNDS", "3"))
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1]), times))
    with tempfile.TemporaryDirectory() as made:
        sys.exit(main(Path(made), times))
