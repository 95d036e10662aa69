"""What a person reads at the end: one table of every artifact, and the gate's verdict."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Verdict, met_of
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.own_files import size_of
from wmtp_assets.artifacts.requests import ON_REQUEST
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import CheckResult
from wmtp_assets.orchestration.run import Run
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.preflight import gigabytes

WIDTH = 100  # columns of what is no terminal
SHOWN = 3  # reasons per condition; all of them are in the report


@dataclass(frozen=True)
class Row:
    """One artifact in the table; `amount` counts rows of a split or parameters of a checkpoint."""

    asset: str
    file: str
    amount: str
    size: int
    digest: str
    passed: int
    failed: int
    warned: int


def rows(project: Project, checks: Iterable[CheckResult]) -> list[Row]:
    """A row for every artifact of the catalog, with the `checks` of a run counted."""
    found = []
    counts: Counter[tuple[str, str]] = Counter()
    for check in checks:
        word = "passed" if check.passed else "failed" if check.blocking else "warned"
        counts[check.artifact, word] += 1
    for artifact in project.artifacts.values():
        try:
            receipt = project.store.current(artifact.name)
        except StorageError:
            receipt = None
        facts = receipt.facts if receipt else {}
        counted = kind_of(artifact).counted
        amount = f"{int(facts[counted]):,} {counted}" if counted and counted in facts else ""
        found.append(
            Row(
                artifact.name,
                _file(artifact),
                amount,
                size_of(project.store, artifact, receipt) if receipt else 0,
                receipt.digest[:12]
                if receipt
                else ON_REQUEST
                if artifact.on_request
                else "missing",
                *(counts[artifact.name, word] for word in ("passed", "failed", "warned")),
            )
        )
    return found


def _file(artifact: Artifact) -> str:
    """The contract's path of the artifact, or its folder in the storage if it has none."""
    return next(iter(artifact.links), f"versions/{artifact.name}")


def table(rows: Iterable[Row], columns: int = WIDTH) -> str:
    """The rows under a heading; where that needs more than `columns`, each on lines of its own.

    The paths of each artifact are printed by `wmtp list`.
    """
    given = list(rows)
    heading = ("artifact", "rows/params", "size", "digest", "checks")
    lines = [heading] + [
        (
            row.asset,
            row.amount.partition(" ")[0],
            gigabytes(row.size) if row.size else "",
            row.digest,
            _checks(row),
        )
        for row in given
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    if sum(widths) + 2 * (len(widths) - 1) > columns:
        return "\n".join(line for row in given for line in _narrow(row, columns))
    numbers = (1, 2)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _checks(row: Row) -> str:
    counts = ((row.passed, "ok"), (row.failed, "FAILED"), (row.warned, "warned"))
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _narrow(row: Row, columns: int) -> list[str]:
    """An artifact's name, which is never broken, and the rest below it."""
    size = gigabytes(row.size) if row.size else ""
    facts = ", ".join(filter(None, (row.amount, size, row.digest, _checks(row))))
    below = textwrap.wrap(facts, max(20, columns), initial_indent="  ", subsequent_indent="  ")
    return [row.asset, *below]


def run_text(project: Project, run: Run, summary: Collection[Row], verdict: Verdict) -> str:
    """What a run made, published and found, with what to do about each failure, and the verdict."""
    made = sum(name in project.artifacts for name in run.made)
    lines = [table(summary, shutil.get_terminal_size((WIDTH, 24)).columns), ""]
    lines.append(f"{made} artifacts were made, {len(summary) - made} were unchanged.")
    lines += [f"{name} was published again." for name in run.published]
    for check in run.checks:
        if not check.passed and check.blocking:
            lines.append(
                f"FAILED: {check.artifact} {check.check}: expected {check.expected}; "
                f"found {check.found}; in {check.where}"
                + (f"; what to do: {check.hint}" if check.hint else "")
            )
    lines += [f"FAILED: {failure}" for failure in run.failures]
    return "\n".join([*lines, verdict_text(verdict)])


def verdict_text(verdict: Verdict) -> str:
    """For each condition of the gate that is not met what to do, and the verdict."""
    return "\n".join([*_reasons(verdict), *_conclusion(verdict)])


def scorecard_text(verdict: Verdict) -> str:
    """As `verdict_text`, with every condition below its heading before the verdict."""
    lines = _reasons(verdict)
    for heading, conditions in verdict.groups().items():
        lines.append(f"{heading}: {met_of(conditions)} met")
        for one in conditions:
            word = "met" if one.met else "NOT MET" if one.required else "warns"
            names = one.computed_from
            checks = names[0] if len(names) == 1 else f"{len(names)} checks"
            of = f"{one.results} results of {checks}" if one.results else "nothing to look at"
            lines.append(f"  {word:<8} {one.title:<42} {of}")
    return "\n".join([*lines, *_conclusion(verdict)])


def _reasons(verdict: Verdict) -> list[str]:
    lines = []
    for condition in verdict.conditions:
        if condition.met:
            continue
        word = "not met" if condition.required else "warning"
        lines.append(f"  {word}: {condition.name} ({condition.description})")
        for reason in condition.reasons[:SHOWN]:
            lines.append(f"    {reason}")
            lines.append(f"      in {reason.where}; hint: {reason.hint}")
        if len(condition.reasons) > SHOWN:
            lines.append(f"    and {len(condition.reasons) - SHOWN} more (wmtp gate --json)")
    return lines


def _conclusion(verdict: Verdict) -> list[str]:
    word = "OPEN" if verdict.open else "CLOSED"
    code = verdict.code["wmtp-assets"]
    return [
        f"Catalog: {verdict.catalog}. Code: wmtp-assets {code}.",
        f"The gate is {word}: {verdict.score} required conditions are met, by {verdict.checks} "
        "checks recomputed from the files.",
    ]
