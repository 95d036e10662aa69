"""How soon a page of rows is answered at 3.7 million rows.

    python -m benchmarks.rows [FOLDER]          # from the repository's root; ROUNDS=5

Every question is asked of a new process, whose modules and templates are loaded and which has read
nothing of the split: `first` is that answer, `again` the same question once more. `floor` is what
pyarrow takes for the columns alone that the question needs, `processor` the seconds that the first
answer kept processors busy (of other programs' load it depends least). Medians, in seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Report
from benchmarks.rows.world import write

BAR = 0.2  # seconds until the first answer
QUESTIONS = {
    "everything": "",
    "class": "class=incorrect",
    "difficulty": "difficulty=7",
    "length": "tokens=0-1024",
    "problem": "problem=6500",
    "all-conditions": "class=correct&difficulty=1-11&tokens=0-1024&flag=none&page=900",
    "a-row": "/3000000",
}


def ask(storage: Path, question: str) -> None:
    """Prints the seconds of the first and of the second answer, of the floor, and the processor
    seconds of the first, as JSON."""
    import pyarrow.parquet as pq

    from wmtp_assets.artifacts import Project
    from wmtp_assets.catalog import load_catalog
    from wmtp_assets.pages.html import load_templates
    from wmtp_assets.pages.rows import row_page, rows_page

    project = Project(load_catalog("full"), storage)
    project.artifacts  # noqa: B018 - computed once by a server, when it starts
    load_templates()
    took = []
    busy = 0.0
    for _ in range(2):
        begun, busy_before = time.perf_counter(), time.process_time()
        if question.startswith("/"):
            answer = row_page(project, "codecontests", "train", question[1:])
        else:
            answer = rows_page(project, "codecontests", "train", question)
        took.append(time.perf_counter() - begun)
        busy = busy or time.process_time() - busy_before
        assert answer.status == 200, answer.html
    index = storage / "datasets_v2/codecontests/processed/train.index.parquet"
    columns = ["is_correct", "difficulty", "instruction_tokens", "input_tokens", "output_tokens"]
    begun = time.perf_counter()
    pq.ParquetFile(index).read(columns)
    print(json.dumps([*took, time.perf_counter() - begun, busy]))


def main(folder: Path, rounds: int) -> int:
    """Asks every question of new processes, in turn. 1 when a first answer is late."""
    storage = folder / "rows-at-full-size"
    if not storage.exists():
        write(storage)
    found: dict[str, list[list[float]]] = {name: [] for name in QUESTIONS}
    for _ in range(rounds):
        for name, question in QUESTIONS.items():
            command = [sys.executable, "-m", "benchmarks.rows", "ask", str(storage), question]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout))
    report = Report()
    for name, times in found.items():
        first, again, floor, busy = map(statistics.median, zip(*times, strict=True))
        report.figure(f"{name}-first", first, BAR)
        report.figure(f"{name}-again", again)
        report.figure(f"{name}-first-processor", busy)
        if not QUESTIONS[name].startswith("/"):
            report.figure(f"{name}-against-columns-alone", first / floor)
    return 0 if report.ok else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        ask(Path(sys.argv[2]), sys.argv[3])
    elif len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1]), int(os.environ.get("ROUNDS", "5"))))
    else:
        with tempfile.TemporaryDirectory() as made:
            sys.exit(main(Path(made), int(os.environ.get("ROUNDS", "5"))))
