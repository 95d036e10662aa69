"""Every benchmark of what is found out about rows, one after the other.

    python -m benchmarks.quality          # from the repository's root

Each is a process of its own, with the environment as it is (SCALE, ROUNDS, BENCH_DIR, TESTS). Their
figures are printed as they come, a JSON line each, and at the end the bars in one table; with
README=1 it goes into README.md beside this file. The exit status is 1 when one of them misses a
bar or cannot be measured; the others are run all the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PARTS = (
    "benchmarks.quality.references",
    "benchmarks.execution",
    "benchmarks.quality.leaks",
    "benchmarks.quality.duplicates",
    "benchmarks.quality.related",
)
WORDS: Mapping[str, tuple[str, str]] = {
    "references.humaneval.pass": ("HumanEval's references that pass, of 164", "at least"),
    "references.mbpp.pass": ("MBPP's references that pass, of 974", "at least"),
    "references.humaneval.executed_again": ("HumanEval rows executed by a second run", "at most"),
    "references.mbpp.executed_again": ("MBPP rows executed by a second run", "at most"),
    "references.humaneval.broken_one_is_named": (
        "a HumanEval reference broken on purpose is the only one named", "at least",
    ),
    "references.mbpp.broken_one_is_named": (
        "an MBPP reference broken on purpose is the only one named", "at least",
    ),
    "judge.cpu_over_bare": ("judging a test: CPU time, relative to `python program.py`", "at most"),
    "judge.cpu_over_bare_isolated": (
        "judging a test: CPU time, relative to `python -I -S program.py`", "at most",
    ),
    "leaks.cpu_over_build": ("leaks: CPU time, relative to building the rows", "at most"),
    "leaks.peak_mb": ("leaks: greatest memory, MB", "at most"),
    "leaks.recall": ("leaks: recall of 120 planted rows of three kinds", "at least"),
    "leaks.precision_of_reviewed": (
        "leaks: precision of 480 pairs that were found and read", "at least",
    ),
    "duplicates.cpu_over_build": (
        "near-duplicates: CPU time, relative to building the rows", "at most",
    ),
    "duplicates.peak_mb": ("near-duplicates: greatest memory, MB", "at most"),
    "duplicates.recall": ("near-duplicates: recall of pairs in 200 problems", "at least"),
    "duplicates.rows_wrongly_together": ("near-duplicates: rows wrongly together", "at most"),
    "related.microseconds_per_pair": (
        "2,000 long, related texts of one problem: CPU microseconds per pair", "at most",
    ),
    "related.recall": ("2,000 long, related texts of one problem: recall of pairs", "at least"),
}  # fmt: skip
"""What a figure with a bar is, and on which side of the bar it must be."""
_README = Path(__file__).parent / "README.md"
_BEGIN, _END = "<!-- bars -->", "<!-- end of bars -->"


def main() -> int:
    """Runs the parts; what they print is printed."""
    failed, figures = [], []
    for part in PARTS:
        print(json.dumps({"part": part}), flush=True)
        with subprocess.Popen(
            [sys.executable, "-m", part], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                figures += read_figure(line)
        if process.returncode:
            failed.append(part)
    bars = table(figures)
    print(bars, file=sys.stderr)
    if os.environ.get("README"):
        before, _, rest = _README.read_text(encoding="utf-8").partition(_BEGIN)
        _, _, after = rest.partition(_END)
        _README.write_text(f"{before}{_BEGIN}\n{bars}\n{_END}{after}", encoding="utf-8")
    if failed:
        print(
            f"a bar was missed, or it could not be measured: {', '.join(failed)}", file=sys.stderr
        )
    return 1 if failed else 0


def read_figure(line: str) -> Iterator[dict[str, Any]]:
    """The figure that a line of a benchmark is, where it is one."""
    try:
        value = json.loads(line)
    except ValueError:
        return
    if isinstance(value, dict) and value.keys() >= {"name", "value", "bar", "ok"}:
        yield value


def table(figures: list[dict[str, Any]]) -> str:
    """The figures that have a bar, as a table in Markdown."""
    lines = ["| what | measured | bar | met |", "| --- | --- | --- | --- |"]
    for one in figures:
        if one["bar"] is not None:
            what, side = WORDS.get(one["name"], (f"`{one['name']}`", ""))
            bar = f"{side} {one['bar']:,g}".strip()
            met = "yes" if one["ok"] else "**no**"
            lines.append(f"| {what} | {_shown(one['value'])} | {bar} | {met} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
