"""The gate's answer on Dagster's pages: a scorecard as the first fact, then a short table.

The Markdown holds our own words and the catalog's names only; what was found, which may quote
upstream, is shown as plain text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from wmtp_assets.artifacts.gate import Condition, Verdict, met_of
from wmtp_assets.findings import CheckResult, short_digests
from wmtp_assets.orchestration.presentation import WHAT_TO_DO
from wmtp_assets.pages.text import below

EVERY_CONDITION = "every required condition met"
EVERY_CHECK = "every blocking check passed"

# Dagster lists what a check shows by name, so that the names make the order.
ANSWER, FIRST_REASON, BY_CONDITION = "answer", "first reason", "of each condition"

_LONGEST = 120  # characters of a reason in the table: it must not be cut off at 1280 pixels
_GREEN, _RED = "#15803d", "#b91c1c"  # white on either is legible (contrast of 5.0 and 6.5 to 1)


def condition_on_page(condition: Condition, root: Path) -> Condition:
    """The condition with the digests of its reasons short, and paths relative to `root`, the
    storage's; what to do is left as it is, to be copied."""

    def text(said: str) -> str:
        return short_digests(below(root, said))

    return replace(
        condition,
        reasons=tuple(
            replace(
                reason,
                expected=text(reason.expected),
                found=text(reason.found),
                where=text(reason.where),
            )
            for reason in condition.reasons
        ),
    )


def verdict_on_page(verdict: Verdict, root: Path) -> Verdict:
    """The verdict with every condition as `condition_on_page` gives it."""
    conditions = tuple(condition_on_page(one, root) for one in verdict.conditions)
    return replace(verdict, conditions=conditions)


def verdict_facts(verdict: Verdict) -> dict[str, Any]:
    """What the gate's check shows of a verdict. (Of a check Dagster shows no Markdown in place.)"""
    unmet = [one for one in verdict.required if not one.met]
    return {
        **_first([reason for one in unmet for reason in one.reasons]),
        "expected": EVERY_CONDITION,
        "found": f"not met: {', '.join(one.name for one in unmet)}" if unmet else EVERY_CONDITION,
        BY_CONDITION: conditions_table(verdict),
    }


def readiness(condition: Condition, artifacts: Iterable[str]) -> str:
    """The condition that a model or dataset is ready, which looks at these artifacts, as Markdown
    of fewer than 1,000 characters."""
    failed = {reason.artifact for reason in condition.reasons}
    met = [name not in failed for name in sorted(artifacts)]
    checks = f"{condition.results:,} results of {len(condition.computed_from)} blocking checks"
    badge = _badge(f"{'READY' if condition.met else 'NOT READY'}: {sum(met)} of {len(met)}", met)
    return f"{badge}\n\n{len(met)} artifacts, by {checks}, recomputed from the files."


def condition_facts(condition: Condition) -> dict[str, Any]:
    """What the check of a `<name>_ready` asset shows of its condition."""
    failed = dict.fromkeys(reason.artifact for reason in condition.reasons)
    return {
        **_first(condition.reasons),
        "expected": EVERY_CHECK,
        "found": EVERY_CHECK if condition.met else f"not passed: {', '.join(failed)}",
        "results": condition.results,
    }


def condition_result(condition: Condition) -> dg.AssetCheckResult:
    """The condition as a check's result."""
    return dg.AssetCheckResult(
        passed=condition.met,
        severity=dg.AssetCheckSeverity.ERROR,
        description=condition_line(condition),
        metadata=condition_facts(condition),
    )


def condition_line(condition: Condition) -> str:
    """The condition in one line, for the list of checks and their history."""
    first = "" if condition.met else f": {condition.reasons[0]}"
    return f"{condition.title}: {'met' if condition.met else 'NOT MET'}{first}"[:300]


def verdict_line(verdict: Verdict) -> str:
    """The verdict in one line, for the list of checks and their history."""
    word = "OPEN" if verdict.open else "CLOSED"
    return f"{word}: {verdict.score} required conditions are met. Catalog: {verdict.catalog}."


def _sample(verdict: Verdict) -> str:
    return " It is the sample: small generated files." if verdict.catalog.sample else ""


def scorecard(verdict: Verdict) -> str:
    """The verdict as Markdown, of fewer than 1,000 characters: Dagster shows it in place."""
    shipped = "as shipped" if verdict.catalog.shipped else "not as shipped"
    when = verdict.evaluated_at[:16].replace("T", " ")
    groups = [f"{name} {met_of(conditions)}" for name, conditions in verdict.groups().items()]
    lines = [
        _badge(
            f"{'OPEN' if verdict.open else 'CLOSED'}: {verdict.score}",
            [one.met for one in verdict.required],
        ),
        f"Catalog **{_plain(verdict.catalog.name)}**, {shipped} (digest "
        f"{verdict.catalog.digest[:12]}).{_sample(verdict)}",
        f"Computed {when} UTC, by {verdict.checks:,} checks recomputed from the files.",
        f"Met: {'; '.join(groups)}.",
    ]
    return "\n\n".join(lines)


def verdict_card(verdict: Verdict) -> dict[str, Any]:
    """What the gate's asset shows of a verdict, in the narrow column of an asset's page."""
    return {
        ANSWER: dg.MetadataValue.md(scorecard(verdict)),
        **_first([reason for one in verdict.required for reason in one.reasons]),
        BY_CONDITION: conditions_table(verdict, ("condition", "met")),
    }


def conditions_table(
    verdict: Verdict, columns: Sequence[str] = ("condition", "met", "reasons")
) -> dg.TableMetadataValue:
    """Every condition below its heading, with the first reason against it where there is one."""
    if not any(one.reasons for one in verdict.conditions):
        columns = columns[:2]  # an empty column would take the room of the others
    rows = []
    for heading, conditions in verdict.groups().items():
        rows.append((heading.upper(), met_of(conditions), ""))
        rows += [
            (
                one.title,
                "met" if one.met else "NOT MET" if one.required else "warns",
                _shortened(one.reasons),
            )
            for one in conditions
        ]
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(columns, row, strict=False))) for row in rows]
    )


def _shortened(reasons: Sequence[CheckResult]) -> str:
    if not reasons:
        return ""
    text = str(reasons[0])
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return text if len(reasons) == 1 else f"{text} (and {len(reasons) - 1} more)"


def _first(reasons: Sequence[CheckResult]) -> dict[str, Any]:
    """The first reason and the command for it, for whoever reads no further."""
    if not reasons:
        return {}
    hints = "\n".join(dict.fromkeys(reason.hint for reason in reasons))
    return {
        FIRST_REASON: dg.MetadataValue.text(f"{reasons[0]} (in {reasons[0].where})"),
        WHAT_TO_DO: dg.MetadataValue.text(hints),
    }


def _plain(name: str) -> str:
    """A catalog's name without what Markdown would read in it."""
    return "".join(char if char.isalnum() or char in "-./ " else "_" for char in name[:60])


def _badge(text: str, met: Sequence[bool]) -> str:
    """A picture with our own words on green or red, and a square for each of up to 24 things,
    filled where it is met."""
    squares = {True: "", False: ""}
    for place, one in enumerate(met[:24]):
        squares[one] += f"M{14 + 14 * place} 38h9v9h-9z"
    width = max(160, 28 + 14 * min(len(met), 24))
    drawn = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='56'>"
        f"<rect width='100%' height='100%' rx='6' fill='{_GREEN if all(met) else _RED}'/>"
        f"<text x='14' y='27' font-size='20' font-family='sans-serif' fill='#fff'>{text}</text>"
        f"<path fill='#fff' d='{squares[True]}'/>"
        f"<path fill='none' stroke='#fff' d='{squares[False]}'/></svg>"
    )
    return f"![{text}](data:image/svg+xml,{quote(drawn, safe='/:=')})"
