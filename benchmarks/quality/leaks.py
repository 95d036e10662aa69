"""What the search for leaks costs beside building the rows, and whether planted ones are found.

    python -m benchmarks.quality.leaks       # from the repository's root; SCALE=0.02 ROUNDS=3
    SCALE=1 ROUNDS=1 BENCH_DIR=FOLDER python -m benchmarks.quality.leaks  # upstream's size: 20 GB

Environment: as `benchmarks.codecontests` (SCALE, ROUNDS, BENCH_DIR, TOKENIZER). The rows are
those of `benchmarks.codecontests.generator`. They are compared with MBPP and HumanEval, which must
be beside the checkout, and with rows of their own kind that stand for code_contests' valid and
test: SCALE of upstream's 282 problems. Ours and the build are processes of their own, in turn;
medians of their CPU seconds, imports included. Whatever SCALE is, the 1,138 tasks take a second or
two.

Recall is that of 120 planted rows, 40 of each kind (`planting`), each within a longer program. The
generated rows themselves hold none: a pair that is found there is wrong. Precision cannot be
measured by a program: it is that of the 480 pairs in reviewed_leaks.tsv (texts by their SHA-256),
found among functions of installed packages and read by hand.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.codecontests.__main__ import default_tokenizer
from benchmarks.codecontests.generator import PROBLEMS_PER_SHARD, write_shard, write_shards
from benchmarks.measure import Measured, run
from benchmarks.quality.planting import embedded, reformatted, renamed
from benchmarks.report import Report

TIMES_THE_BUILD, RECALL, PRECISION, MEGABYTES = 3.0, 0.98, 0.95, 1000
OWN_PROBLEMS, PLANTED = 282, 40
_HERE = "benchmarks.quality.leaks"
_REAL = Path(__file__).parents[2] / "../shared/data"
_REVIEWED = Path(__file__).with_name("reviewed_leaks.tsv")
_SETS = ("humaneval", "mbpp")


def main(folder: Path, scale: float, rounds: int, tokenizer: Path) -> int:
    """Measures both. 1 when a bar is missed."""
    report = Report()
    shards = list(map(str, write_shards(folder / "hub", scale)))
    own = folder / "own-hub"
    own.mkdir()
    first = 100 * PROBLEMS_PER_SHARD  # no problem of the training split
    write_shard(own, 7, 100, 101, first + max(2, round(OWN_PROBLEMS * scale)))
    rows = {name: real_rows(name) for name in _SETS}
    planted = plant(rows, folder)
    for name, some in (*rows.items(), ("planted", planted)):
        pq.write_table(pa.Table.from_pylist(some), folder / f"{name}.parquet")
    for name, layout, paths in (
        *((name, name.replace("planted", "mbpp"), [folder / f"{name}.parquet"])
          for name in (*_SETS, "planted")),
        ("own", "code-contests", list(own.iterdir())),
    ):  # fmt: skip
        run([_HERE, "build", str(folder), str(tokenizer), name, layout, *map(str, paths)])
    found: dict[str, list[Measured]] = {"build": [], "leaks": []}
    for _ in range(rounds):
        build = [_HERE, "build", str(folder), str(tokenizer), "train", "code-contests", *shards]
        found["build"].append(run(build))
        found["leaks"].append(run([_HERE, "leaks", str(folder), "train", "own"]))
    build_s, ours = (statistics.median(one.cpu for one in found[way]) for way in ("build", "leaks"))
    stated: dict[str, Any] = found["leaks"][0].result
    report.figure("leaks.rows", stated["rows"])
    report.figure("leaks.references", stated["references"])
    report.figure("leaks.build_cpu_s", build_s)
    report.figure("leaks.cpu_s", ours)
    report.figure("leaks.cpu_over_build", ours / build_s, TIMES_THE_BUILD)
    report.figure("leaks.microseconds_per_row", 1e6 * ours / stated["rows"])
    report.figure("leaks.wall_s", statistics.median(one.wall for one in found["leaks"]))
    report.figure("leaks.peak_mb", max(one.peak_mb for one in found["leaks"]), MEGABYTES)
    report.figure("leaks.found_where_none_is_planted", stated["pairs"])
    of_planted: dict[str, Any] = run([_HERE, "leaks", str(folder), "planted"]).result
    hits = sum(expected in of_planted["named"] for expected in answers(rows))
    report.figure("leaks.recall", hits / (3 * PLANTED), RECALL, least=True)
    verdicts = [line.split("\t")[-1] for line in _REVIEWED.read_text().splitlines()[1:]]
    precision = verdicts.count("right") / len(verdicts)
    report.figure("leaks.precision_of_reviewed", precision, PRECISION, least=True)
    return 0 if report.ok else 1


def real_rows(name: str) -> list[dict[str, Any]]:
    """The tasks of MBPP or HumanEval, as upstream's Parquet has them."""
    if not _REAL.is_dir():
        raise SystemExit(f"The real tasks are not at {_REAL}: nothing to look for.")
    if name == "humaneval":
        text = gzip.decompress((_REAL / "humaneval/HumanEval.jsonl.gz").read_bytes()).decode()
    else:
        text = (_REAL / "mbpp/mbpp.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def chosen(rows: dict[str, list[dict[str, Any]]]) -> list[tuple[str, int]]:
    """The tasks that are planted."""
    every = [(name, at) for name, some in rows.items() for at in range(len(some))]
    return random.Random(16).sample(every, PLANTED)


def answers(rows: dict[str, list[dict[str, Any]]]) -> Iterable[list[object]]:
    """What must be found: row, set and row there."""
    for number, (name, at) in enumerate(chosen(rows) * 3):
        yield [number, name, at]


def plant(rows: dict[str, list[dict[str, Any]]], folder: Path) -> list[dict[str, Any]]:
    """Rows that hold tasks verbatim, reformatted and renamed."""
    draw = random.Random(17)
    programs = []
    for name, at in chosen(rows):
        task = rows[name][at]
        both = task.get("prompt", "") + task.get("canonical_solution", task.get("code", ""))
        programs.append(both.replace("\r\n", "\n"))
    written = [
        *programs,
        *reformatted(programs, folder / "formatted", draw),
        *(renamed(text, draw) for text in programs),
    ]
    return [
        {
            "task_id": at,
            "text": f"Solve problem {at}.",
            "code": embedded(text, draw),
            "test_list": ["assert True"],
            "test_setup_code": "",
        }
        for at, text in enumerate(written)
    ]


def step(way: str, folder: Path, given: list[str]) -> dict[str, object]:
    """One of the processes."""
    if way == "build":
        from wmtp_assets.corpora.build import build_split
        from wmtp_assets.corpora.formats import FORMATS

        tokenizer, name, layout, *shards = given
        paths = list(map(Path, shards))
        report = build_split(FORMATS[layout], paths, Path(tokenizer), folder, name)
        return {"rows": report.rows}
    from wmtp_assets.corpora.annotations import AnnotationFile
    from wmtp_assets.corpora.reader import Corpus
    from wmtp_assets.quality.leaks.references import Source
    from wmtp_assets.quality.leaks.table import write_leaks

    train, *own = given
    corpus = Corpus(folder / f"{train}.jsonl")
    sources = [Source(name, name, Corpus(folder / f"{name}.jsonl")) for name in _SETS]
    sources += [Source(name, name, Corpus(folder / f"{name}.jsonl"), whole=True) for name in own]
    path = folder / f"{train}_leaks.parquet"
    facts = write_leaks(corpus, sources, path)
    lines = AnnotationFile(path, "leaks").table(["row", "dataset", "row_there"]).to_pylist()
    return {
        "rows": len(corpus),
        "references": sum(len(source.corpus) for source in sources),
        "pairs": facts["pairs"],
        "named": [list(line.values()) for line in lines[:10_000]],
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(step(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])))
    else:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as made:
            sys.exit(
                main(
                    Path(made),
                    float(os.environ.get("SCALE", "0.02")),
                    int(os.environ.get("ROUNDS", "3")),
                    default_tokenizer(),
                )
            )
