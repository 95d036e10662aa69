"""The checks of leaks: the lines are about these rows, and are found again."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.annotations import AnnotationSubject, annotation_is_of_rows
from wmtp_assets.artifacts.checks.subject import KindChecks
from wmtp_assets.artifacts.make.leaks import sources_of
from wmtp_assets.artifacts.types import Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.corpora.row_index import as_numpy
from wmtp_assets.corpora.selection import Rows
from wmtp_assets.findings import AS_EXPECTED, Check, Finding, Outcome, check, lazy
from wmtp_assets.quality.figures.leaks import Leaks, leaks_of
from wmtp_assets.quality.leaks.table import leaks_table

_LEAKED: Final = 32  # rows with leaks that are searched again
_OTHERS: Final = 256  # rows, most of them without
_FEW: Final = 1024  # rows: so many are all searched
_NAMED: Final = 3  # pairs
_SHOWN: Final = 60  # characters of a text
_KINDS: Final = 4
_HINT: Final = (
    "They are upstream's and stay. Sample with `among=corpus.select(leaked=False)`, or say so "
    "beside the score."
)


class LeaksSubject(AnnotationSubject):
    """The leaks of a split."""

    annotation = "leaks"

    @lazy
    def leaks(self) -> Leaks:
        """The lines, counted. Raises CorpusError."""
        return leaks_of(self.file)

    def searched(self, rows: Rows | None) -> tuple[pa.Table, Mapping[str, Any]]:
        """What is found now in some rows, or all."""
        sources = sources_of(self.project, self.artifact, self._rows)
        return leaks_table(self.corpus, sources, rows=rows)

    def _rows(self, name: str) -> Path:
        return Split(*self.place(name)).jsonl


@check(
    "A new search of randomly drawn rows finds what the lines say, and nothing else.",
    apart=True,
)
def leaks_found_again(subject: LeaksSubject) -> Outcome:
    seed = secrets.randbits(32) if subject.seed is None else subject.seed
    draw = np.random.default_rng(seed)
    stored = subject.file.table()
    of_line = as_numpy(subject.file.by_row()["row"])
    leaked = np.unique(of_line)
    rows = np.arange(len(subject.corpus))
    if rows.size > _FEW:
        some = draw.choice(leaked, min(_LEAKED, leaked.size), replace=False)
        rows = np.union1d(some, draw.choice(rows, _OTHERS)).astype(np.int64)
    found, _ = subject.searched(rows)
    lines = stored.filter(pa.array(np.isin(of_line, rows).tolist(), pa.bool_()))
    wrong = _difference(lines, found)
    return Outcome(
        not wrong,
        f"of {rows.size:,} rows, the {lines.num_rows:,} lines that the file has",
        wrong or AS_EXPECTED,
        str(subject.file.path),
        hint=subject.again if wrong else "",
        details={"seed": seed},
    )


def _difference(stored: pa.Table, found: pa.Table) -> str:
    """Which row's lines are not those that are found; excerpts are compared where there are any."""
    ours, theirs = (_by_row(table) for table in (stored, found))
    for row in sorted(ours.keys() | theirs.keys()):
        if _without_blanks(ours.get(row, []), theirs.get(row, [])):
            continue
        return f"row {row} has {len(ours.get(row, []))} lines, {len(theirs.get(row, []))} are found"
    return ""


def _by_row(table: pa.Table) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for line in table.to_pylist():
        found.setdefault(line["row"], []).append(line)
    return found


def _without_blanks(stored: list[dict[str, Any]], found: list[dict[str, Any]]) -> bool:
    """Whether lines are the same; those after many have no excerpts."""
    blank = {"excerpt": "", "excerpt_there": ""}
    return len(stored) == len(found) and all(
        one == (other if one["excerpt"] else {**other, **blank})
        for one, other in zip(stored, found, strict=True)
    )


@check(
    "No row contains a task that models are evaluated on (counts by set and kind).", blocking=False
)
def no_leaks(subject: LeaksSubject) -> Outcome:
    leaks = subject.leaks
    counts = [
        f"{one.rows:,} of {one.dataset} {one.split} ({one.how}, {one.field})"
        for one in sorted(leaks.counts, key=lambda one: -one.rows)
    ]
    more = [f"{len(counts) - _KINDS} more kinds"] if len(counts) > _KINDS else []
    first = [
        f"row {one.row}: {' '.join(one.excerpt.split()):.{_SHOWN}} (as {one.dataset} {one.split} "
        f"{one.row_there}, {one.how})"
        for one in leaks.shown[:_NAMED]
    ]
    said = f"{leaks.rows:,} rows do: {'; '.join([*counts[:_KINDS], *more])}"
    return Outcome(
        not leaks.rows,
        "no row that holds one",
        said if leaks.rows else "none",
        str(subject.file.path),
        hint=_HINT if leaks.rows else "",
        details={"kinds": counts, "first": first} if leaks.rows else {},
    )


def _checks(project: Project, artifact: Artifact) -> list[Check[LeaksSubject]]:
    return [annotation_is_of_rows.on(_itself), leaks_found_again, no_leaks]


def _itself(subject: LeaksSubject) -> LeaksSubject:
    return subject


def _made_again(project: Project, artifact: Artifact) -> list[Finding]:
    return [all_leaks_found_again.of(LeaksSubject(project, artifact))]


@check("A new search of all rows finds what the lines say, and nothing else.")
def all_leaks_found_again(subject: LeaksSubject) -> Outcome:
    found, facts = subject.searched(None)
    stated = subject.file.facts.get("statistics")
    wrong = _difference(subject.file.table(), found)
    if not wrong and stated != dict(facts):
        wrong = f"other counts: {stated}"
    return Outcome(
        not wrong,
        f"{found.num_rows:,} lines, and counts that follow from them",
        wrong or AS_EXPECTED,
        str(subject.file.path),
        hint=subject.again if wrong else "",
    )


LEAKS = KindChecks(LeaksSubject, _checks, _made_again)
