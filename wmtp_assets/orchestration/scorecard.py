"""The gate's answer on Dagster's pages: a scorecard as the first fact, then a short table.

The Markdown holds our own words and the catalog's names only; what was found, which may quote
upstream, is shown as plain text.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import dagster as dg

from wmtp_assets.artifacts.gate import Condition, Verdict
from wmtp_assets.findings import CheckResult
from wmtp_assets.orchestration.presentation import WHAT_TO_DO

EVERY_CONDITION = "every required condition met"
EVERY_CHECK = "every blocking check passed"
SCORECARD, FIRST_REASON = "scorecard", "first reason"

_LONGEST = 120  # characters of a reason in the table: it must not be cut off at 1280 pixels
_GREEN, _RED = "#15803d", "#b91c1c"  # white text on either is legible (contrast of 5 and 6.5 to 1)


def verdict_facts(verdict: Verdict) -> dict[str, Any]:
    """What the gate's asset and its check show of a verdict."""
    unmet = [one for one in verdict.required if not one.met]
    reasons = [reason for one in unmet for reason in one.reasons]
    return {
        SCORECARD: dg.MetadataValue.md(scorecard(verdict)),
        **_first(reasons),
        "expected": EVERY_CONDITION,
        "found": f"not met: {', '.join(one.name for one in unmet)}" if unmet else EVERY_CONDITION,
        "conditions": conditions_table(verdict),
    }


def condition_facts(condition: Condition) -> dict[str, Any]:
    """What a `<name>_ready` asset and its check show of their condition."""
    badge = "READY" if condition.met else "NOT READY"
    checks = f"{condition.results} results of {len(condition.computed_from)} blocking checks"
    lines = [
        _badge(badge, [condition.met]),
        f"**{condition.title}**, by {checks}, recomputed from the files"
        + ("" if condition.met else f"; {len(condition.reasons)} failed"),
    ]
    return {
        SCORECARD: dg.MetadataValue.md("\n\n".join(lines)),
        **_first(condition.reasons),
        "expected": EVERY_CHECK,
        "found": EVERY_CHECK if condition.met else f"{len(condition.reasons)} failed",
        "results": condition.results,
        **({} if condition.met else {"reasons": _reasons_table(condition)}),
    }


def condition_result(condition: Condition) -> dg.AssetCheckResult:
    """The condition as a check's result."""
    first = "" if condition.met else f": {condition.reasons[0]}"
    return dg.AssetCheckResult(
        passed=condition.met,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{condition.title}: {'met' if condition.met else 'NOT MET'}{first}"[:300],
        metadata=condition_facts(condition),
    )


def verdict_line(verdict: Verdict) -> str:
    """The verdict in one line: the check list shows it."""
    word = "OPEN" if verdict.open else "CLOSED"
    return f"{word}: {verdict.score} required conditions are met. Catalog: {verdict.catalog}."


def scorecard(verdict: Verdict) -> str:
    """The verdict as Markdown, of fewer than 1,000 characters: Dagster shows it in place."""
    shipped = "as shipped" if verdict.catalog.shipped else "not as shipped"
    sample = " It is the sample: small generated files." if verdict.sample else ""
    first = [one for one in verdict.in_order() if one.of_first_phase]
    met = sum(one.met for one in first if one.required)
    of = sum(one.required for one in first)
    recommended = [one for one in first if not one.required]
    warned = ", ".join(one.title for one in recommended if not one.met)
    when = verdict.evaluated_at[:16].replace("T", " ")
    lines = [
        _badge(
            f"{'OPEN' if verdict.open else 'CLOSED'}  {verdict.score}",
            [one.met for one in verdict.required],
        ),
        f"Catalog **{_plain(verdict.catalog.name)}**, {shipped}.{sample} Asked {when} UTC, by "
        f"{verdict.checks:,} checks recomputed from the files.",
        f"First phase: {met} of {of} required, "
        f"{sum(one.met for one in recommended)} of {len(recommended)} recommended"
        + (f" (not met: {warned})" if warned else ""),
    ]
    return "\n\n".join(lines)


def conditions_table(verdict: Verdict) -> dg.TableMetadataValue:
    """Every condition with the first reason against it."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "condition": one.title,
                    "asked for": _asked_for(one),
                    "met": "met" if one.met else "NOT MET" if one.required else "warns",
                    "reasons": _shortened(one.reasons),
                }
            )
            for one in verdict.in_order()
        ]
    )


def _reasons_table(condition: Condition) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "artifact": reason.artifact.rpartition("/")[2],
                    "check": reason.check,
                    "found": reason.found[:_LONGEST],
                }
            )
            for reason in condition.reasons[:20]
        ]
    )


def _asked_for(one: Condition) -> str:
    word = "required" if one.required else "recommended"
    return f"{word}, first phase" if one.of_first_phase else word


def _shortened(reasons: tuple[CheckResult, ...]) -> str:
    if not reasons:
        return ""
    text = str(reasons[0])
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return text if len(reasons) == 1 else f"{text} (and {len(reasons) - 1} more)"


def _first(reasons: list[CheckResult] | tuple[CheckResult, ...]) -> dict[str, Any]:
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


def _badge(text: str, met: list[bool]) -> str:
    """A picture with a word on green or red, and a square for each condition, filled where met."""
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
