"""The tables of README.md: figures with their bars, stages, and how busy the machine was."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Measured
from benchmarks.report import Figure

_README = Path(__file__).with_name("README.md")


def text(
    figures: Sequence[Figure], stages: Mapping[str, Measured], scale: float, loads: Sequence[float]
) -> str:
    """Markdown. `loads` are the load averages at the start and after each part."""
    cores = os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    # At the start nothing of ours ran; later a part of the load is ours, two or three at most.
    busy = loads[0] > 0.75 * cores or max(loads) > 2.5 * cores
    kept = "**under the load of other work: ratios of wall time mean little**" if busy else "quiet"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, SCALE={scale:g}, {cores} cores, {memory:.0f} GB of memory; "
        f"load average {loads[0]:.1f} at the start, {min(loads):.1f} to {max(loads):.1f} later: "
        f"{kept}.",
        "",
        "| | wall s | CPU s | peak memory MB | GB by read calls | GB from the disk |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {one.wall:.1f} | {one.cpu:.1f} | {one.peak_mb:,.0f} "
        f"| {one.read_bytes / 1e9:.2f} | {one.disk_bytes / 1e9:.2f} |"
        for name, one in stages.items()
    ]
    lines += ["", "| figure | value | bar | met |", "| --- | --- | --- | --- |"]
    for one in figures:
        bar = "" if one.bar is None else f"at most {one.bar:g}"
        met = "" if one.bar is None else "yes" if one.ok else "**no**"
        lines.append(f"| {one.name} | {one.value:.4g} | {bar} | {met} |")
    return "\n".join(lines)


def put_into_readme(tables: str, part: str) -> None:
    """Writes the tables between the marks of `part` in README.md."""
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    before, _, rest = _README.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    _README.write_text(f"{before}{begin}\n{tables}\n{end}{after}", encoding="utf-8")


def words(one: Measured) -> str:
    """One line about a process."""
    return (
        f"{one.wall:.1f} s, {one.cpu:.1f} s CPU, {one.peak_mb:,.0f} MB, "
        f"{one.read_bytes / 1e9:.2f} GB read, {one.disk_bytes / 1e9:.2f} GB from the disk"
    )
