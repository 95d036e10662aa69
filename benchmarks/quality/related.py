"""What near-duplicates cost in one problem whose solutions are all nearly near-duplicates.

    python -m benchmarks.quality.related       # from the repository's root; RELATED=10000

The worst case of the search: RELATED texts (2,000 unless given) of 2,500 shingles, any two of them
with an index of 0.7, so that every pair is a candidate and hardly one joins a cluster. Every tenth
is a copy of the one before it with 5 of 100 shingles changed. CPU seconds of one process, imports
excluded; recall is that of pairs, against comparing every two of them exactly.
"""

from __future__ import annotations

import json
import os
import sys
import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import run
from benchmarks.report import Report

SHINGLES, KEPT, CHANGED, EVERY = 2500, 0.9075, 0.05, 10
MICROSECONDS, RECALL = 4.0, 0.99
_LARGEST = (1 << 64) - 1


def main() -> int:
    """Measures it. 1 when a bar is missed."""
    report = Report()
    measured = run(["benchmarks.quality.related", "measure", os.environ.get("RELATED", "2000")])
    found = {name: float(str(value)) for name, value in measured.result.items()}
    report.figure("related.texts", found["texts"])
    report.figure("related.cpu_s", found["cpu"])
    pairs = found["texts"] * (found["texts"] - 1) / 2
    report.figure("related.microseconds_per_pair", 1e6 * found["cpu"] / pairs, MICROSECONDS)
    report.figure("related.peak_mb", measured.peak_mb)
    report.figure("related.pairs_near", found["near"])
    report.figure("related.recall", found["found"] / max(found["near"], 1), RECALL, least=True)
    return 0 if report.ok else 1


def texts(count: int) -> NDArray[np.uint64]:
    """The shingles of texts, (count, SHINGLES): what two have in common is at the same places."""
    draw = np.random.default_rng(16)
    core = draw.integers(0, _LARGEST, SHINGLES, np.uint64)
    made = np.empty((count, SHINGLES), np.uint64)
    for at in range(count):
        copied = at % EVERY == EVERY - 1
        made[at] = made[at - 1] if copied else core
        new = draw.random(SHINGLES) >= (1 - CHANGED if copied else KEPT)
        made[at, new] = draw.integers(0, _LARGEST, int(new.sum()), np.uint64)
    return made


def measure(count: int) -> dict[str, float]:
    """CPU seconds of the search, and how many of the near pairs it found."""
    from wmtp_assets.quality.clusters import THRESHOLD, cluster_texts
    from wmtp_assets.quality.shingles import Shingles

    made = texts(count)
    ends = np.arange(1, count + 1) * SHINGLES
    shingles = Shingles(made.reshape(-1), ends, np.arange(count, dtype=np.uint64))
    began = time.process_time()
    labels = cluster_texts(shingles)
    cpu = time.process_time() - began
    near = found = 0
    for one in range(count - 1):
        shared = np.count_nonzero(made[one + 1 :] == made[one], axis=1)
        others = one + 1 + np.flatnonzero(shared >= THRESHOLD * (2 * SHINGLES - shared))
        near += others.size
        found += int(np.count_nonzero(labels[others] == labels[one]))
    return {"texts": count, "cpu": cpu, "near": near, "found": found}


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        sys.exit(main())
