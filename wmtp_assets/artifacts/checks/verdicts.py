"""The checks of executed rows: the lines are about these rows, and follow from executing them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.annotations import AnnotationSubject, annotation_is_of_rows
from wmtp_assets.artifacts.checks.inputs import source
from wmtp_assets.artifacts.checks.subject import KindChecks
from wmtp_assets.artifacts.make.verdicts import can_execute, judge_of, verdict_files, wanted_rows
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.checkpoints import strict_json
from wmtp_assets.corpora.annotations import VERDICTS as WORDS
from wmtp_assets.corpora.runnable import Functions
from wmtp_assets.findings import Check, Finding, Outcome, check, lazy
from wmtp_assets.quality.drawing import drawn_rows
from wmtp_assets.quality.labels import DrawnRows, lines_of
from wmtp_assets.quality.rates import rates_document

EXECUTED_AGAIN: Final = 6
"""Rows that are executed again when everything is verified."""
TRIES: Final = 3
_NAMED: Final = 4
_SURE: Final = ("passed", "failed")
"""Verdicts that another try must give as well; time and memory depend on the machine."""
_REMEDY: Final = (
    "Use a machine whose kernel has Landlock (Linux 5.13 or newer) or lets users have namespaces, "
    "as `wmtp doctor` says; there `wmtp materialize {name}` executes them."
)


class VerdictsSubject(AnnotationSubject):
    """The verdicts on a split's rows."""

    annotation = "verdicts"

    @lazy
    def stated(self) -> Mapping[str, Any]:
        """The rates as they are stated. Raises JsonFileError."""
        path = self.folder / verdict_files(self.artifact)[1]
        return strict_json.read_object(path, "The rates", f"`{self.again}`", 64 << 20)

    @lazy
    def rates(self) -> dict[str, Any]:
        """The rates as they follow from the lines."""
        name = format_of(self.project.catalog, self.artifact).name
        return rates_document(self.file, self.corpus, name)

    def drawn(self, rows: Any) -> DrawnRows:
        """Some rows, to be executed."""
        paths = source(self.project, self.artifact.inputs[1]).paths()
        return DrawnRows(
            self.corpus,
            format_of(self.project.catalog, self.artifact),
            [paths[path] for path in sorted(paths)],
            np.asarray(rows, np.int64),
        )


@check("Every row that the seed selects has a line, and no other row has one.")
def every_drawn_row_judged(subject: VerdictsSubject) -> Outcome:
    wanted = drawn_rows(subject.corpus.row_index, *wanted_rows(subject.artifact))
    found = np.asarray(subject.file.by_row()["row"].to_pylist(), np.int64)
    missing, foreign = np.setdiff1d(wanted, found), np.setdiff1d(found, wanted)
    wrong = [
        f"{rows.size:,} {what}, such as row {int(rows[0])}"
        for what, rows in (("without a line", missing), ("not drawn", foreign))
        if rows.size
    ]
    words = set(subject.file.by_row("verdict")["verdict"].to_pylist()) - set(WORDS)
    wrong += [f"the verdict {word!r:.40}" for word in sorted(words)[:1]]
    return Outcome(
        not wrong,
        f"a line with one of {', '.join(WORDS)} for each of {wanted.size:,} rows",
        "; ".join(wrong) or "as expected",
        str(subject.file.path),
    )


@check("The stated rates follow from the lines.")
def rates_follow(subject: VerdictsSubject) -> Outcome:
    stated, wanted = dict(subject.stated), subject.rates
    wrong = sorted(
        name for name in stated.keys() | wanted.keys() if stated.get(name) != wanted.get(name)
    )
    return Outcome(
        not wrong,
        "what the lines give",
        f"something else under {', '.join(wrong)}" if wrong else "as expected",
        str(subject.folder / verdict_files(subject.artifact)[1]),
    )


@check(
    "The rows were executed: this machine, or the one that made it, can confine programs.",
    blocking=False,
)
def rows_executed(subject: VerdictsSubject) -> Outcome:
    executed = subject.rates["executed"] is True
    return Outcome(
        executed,
        "rows that were executed",
        "executed" if executed else f"none was: {subject.rates['why']}",
        str(subject.folder),
        hint=f"wmtp materialize {subject.artifact.name}"
        if can_execute()
        else _REMEDY.format(name=subject.artifact.name),
    )


@check("Every reference passes its tests.", blocking=False)
def references_pass(subject: VerdictsSubject) -> Outcome:
    failing = subject.rates["failing"]
    counts = subject.rates["verdicts"].get("rows", dict.fromkeys(WORDS, 0))
    total, passed = sum(counts.values()), counts["passed"]
    named = [f"task {one['task_id']}: {one['verdict']}, {one['reason']}" for one in failing]
    more = [f"{total - passed - _NAMED} more"] if total - passed > _NAMED else []
    return Outcome(
        passed == total or subject.rates["executed"] is not True,
        f"{total:,} of {total:,} pass",
        "; ".join([f"{passed:,} pass", *named[:_NAMED], *more]),
        str(subject.file.path),
        hint="Look at the tasks that the details name: the reference or its tests are wrong "
        "upstream, or need what is not here. Say so beside a score.",
        details={"failing": {str(one["task_id"]): one["reason"] for one in failing}},
    )


@check("How often labels are right, with 95 % intervals (information only).", blocking=False)
def labels_hold(subject: VerdictsSubject) -> Outcome:
    overall = [one for one in subject.rates["rates"] if one["by"] == "all"]
    said = [
        f"{_MEANS[one['class']]} {one['rate']:.1%} of {one['judged']:,} "
        f"({one['low']:.1%} to {one['high']:.1%})"
        for one in overall
        if one["judged"]
    ]
    return Outcome(
        True,
        "rates are stated; they are no failure",
        "; ".join(said) or "no row was judged",
        str(subject.folder),
        details={"apart": subject.rates["apart"]},
    )


_MEANS: Final = {
    "correct": "of correct rows pass",
    "incorrect": "of incorrect rows fail",
    "rows": "of rows pass",
}


@check(
    "A few randomly drawn rows are executed again and get the same verdict; time and "
    "memory may differ.",
)
def verdicts_repeat(subject: VerdictsSubject) -> Outcome:
    if subject.rates["executed"] is not True or not can_execute():
        why = "nothing can be executed here"
        if subject.rates["executed"] is not True:
            why = "nothing was executed"
        return Outcome(True, "verdicts that repeat", why, str(subject.folder))
    seed = random.SystemRandom().randrange(1 << 32) if subject.seed is None else subject.seed
    found = _executed_again(subject, seed)
    return Outcome(
        not found,
        f"the verdicts of rows drawn by seed {seed}",
        "; ".join(found) or "as expected",
        str(subject.file.path),
        details={"seed": seed},
    )


def _executed_again(subject: VerdictsSubject, seed: int) -> list[str]:
    """What differs of a few rows each time that it is tried."""
    table = subject.file.by_row("verdict")
    stated = {
        row: word
        for row, word in zip(table["row"].to_pylist(), table["verdict"].to_pylist(), strict=True)
        if word in _SURE
    }
    draw = random.Random(seed)  # noqa: S311 - a sample
    rows = sorted(draw.sample(sorted(stated), min(EXECUTED_AGAIN, len(stated))))
    found: list[str] = []
    with judge_of(subject.project, remembered=False, workers=1) as judge:
        for _ in range(TRIES):  # a program may depend on the time, or on chance
            if not rows:
                break
            lines = lines_of(subject.drawn(rows), judge.judge)
            found = [
                f"row {row}: {stated[row]} is stated, {word} is found"
                for row, word in zip(rows, lines["verdict"], strict=True)
                if word in _SURE and word != stated[row]
            ]
            rows = [
                row
                for row, word in zip(rows, lines["verdict"], strict=True)
                if word in _SURE and word != stated[row]
            ]
    return found


def _listed(project: Project, artifact: Artifact) -> list[Check[Any]]:
    is_function = isinstance(format_of(project.catalog, artifact).execution, Functions)
    own = references_pass if is_function else labels_hold
    return [
        annotation_is_of_rows,
        every_drawn_row_judged,
        rates_follow,
        rows_executed,
        own,
        replace(verdicts_repeat, apart=True),
    ]


def _executed_anew(project: Project, artifact: Artifact) -> list[Finding]:
    """Everything executed again takes hours: a few rows are, as by the check."""
    return [verdicts_repeat.of(VerdictsSubject(project, artifact))]


VERDICTS = KindChecks(VerdictsSubject, _listed, _executed_anew)
