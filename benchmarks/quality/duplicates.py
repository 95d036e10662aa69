"""What near-duplicates cost beside building the rows, and whether they are found.

    python -m benchmarks.quality.duplicates       # from the repository's root; SCALE=0.02 ROUNDS=3

Environment: as `benchmarks.codecontests` (SCALE, ROUNDS, BENCH_DIR, TOKENIZER). The rows are those
of `near_copies`. Ours and the build are processes of their own, in turn; medians of their CPU
seconds, imports included. Recall is that of pairs, against comparing every two solutions of 200
problems drawn at random (of those with many, 200 of them).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.codecontests.__main__ import default_tokenizer
from benchmarks.measure import Measured, run
from benchmarks.quality.near_copies import write_shards
from benchmarks.report import Report

TIMES_THE_BUILD, RECALL, PROBLEMS, MEGABYTES = 2.0, 0.99, 200, 1000
_HERE = "benchmarks.quality.duplicates"


def main(folder: Path, scale: float, rounds: int, tokenizer: Path) -> int:
    """Measures both. 1 when a bar is missed."""
    report = Report()
    shards = list(map(str, write_shards(folder / "hub", scale)))
    found: dict[str, list[Measured]] = {"build": [], "duplicates": []}
    for _ in range(rounds):
        found["build"].append(run([_HERE, "build", str(folder), str(tokenizer), *shards]))
        found["duplicates"].append(run([_HERE, "duplicates", str(folder)]))
    build, ours = (
        statistics.median(one.cpu for one in found[way]) for way in ("build", "duplicates")
    )
    stated = found["duplicates"][0].result
    for name in ("rows", "clusters", "rows_of_several", "largest", "of_both"):
        report.figure(f"duplicates.{name}", float(str(stated[name])))
    report.figure("duplicates.build_cpu_s", build)
    report.figure("duplicates.cpu_s", ours)
    report.figure("duplicates.cpu_over_build", ours / build, TIMES_THE_BUILD)
    report.figure("duplicates.microseconds_per_row", 1e6 * ours / float(str(stated["rows"])))
    report.figure("duplicates.wall_s", statistics.median(one.wall for one in found["duplicates"]))
    peak = max(one.peak_mb for one in found["duplicates"])
    report.figure("duplicates.peak_mb", peak, MEGABYTES)
    compared = run([_HERE, "every_pair", str(folder)]).result
    near, missed = (int(str(compared[name])) for name in ("near", "missed"))
    report.figure("duplicates.pairs_near", near)
    report.figure("duplicates.recall", (near - missed) / max(near, 1), RECALL, least=True)
    report.figure("duplicates.rows_wrongly_together", float(str(compared["unrelated"])), 0)
    return 0 if report.ok else 1


def step(way: str, folder: Path, given: list[str]) -> dict[str, object]:
    """One of the processes."""
    if way == "build":
        from wmtp_assets.corpora.build import build_split
        from wmtp_assets.corpora.formats import FORMATS

        tokenizer, *shards = map(Path, given)
        report = build_split(FORMATS["code-contests"], shards, tokenizer, folder, "train")
        return {"rows": report.rows}
    from wmtp_assets.corpora.reader import Corpus

    corpus, path = Corpus(folder / "train.jsonl"), folder / "train_duplicates.parquet"
    if way == "duplicates":
        from wmtp_assets.quality.duplicates import write_duplicates

        return write_duplicates(corpus, path)
    from wmtp_assets.corpora.annotations import AnnotationFile
    from wmtp_assets.corpora.row_index import as_numpy
    from wmtp_assets.quality.every_pair import compare_some

    cluster = as_numpy(AnnotationFile(path, "duplicates").by_row()["cluster"])
    found = compare_some(corpus, cluster, seed=16, problems=PROBLEMS, pairs=None)
    return {name: getattr(found, name) for name in ("problems", "near", "missed", "unrelated")}


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(step(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])))
    else:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as made:
            asked = float(os.environ.get("SCALE", "0.02")), int(os.environ.get("ROUNDS", "3"))
            sys.exit(main(Path(made), *asked, default_tokenizer()))
