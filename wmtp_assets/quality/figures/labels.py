"""What executing rows gave: verdicts by class, and how often labels hold, with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from wmtp_assets.corpora.errors import CorpusError

_MOST_BYTES: Final = 16 << 20


@dataclass(frozen=True)
class Rate:
    """Of `judged` rows of a class (`rows` where there are none), `agree` behave as their label
    says: correct ones pass, incorrect ones do not. `by` is all, source, difficulty or language, and
    `value` upstream's number of it. `low` and `high` are the ends of the 95 % interval; all three
    fractions are None where no row was judged."""

    by: str
    value: int | None
    of: str
    agree: int
    judged: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PublishedRates:
    """Rates that somebody else published, as fractions by name, and what they are of."""

    what: str
    figures: Mapping[str, float]
    protocol: str


@dataclass(frozen=True)
class Failing:
    """A row that fails, of a format with one solution per task; `reason` may quote its output."""

    row: int
    task_id: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Labels:
    """Verdicts of the `drawn` rows by class, `apart` of them counted in no rate by reason and
    class, those that parse as Python 3 by class. `executed` is False where the machine could not
    confine foreign programs: then `why` says what it lacks."""

    drawn: int
    executed: bool
    why: str
    verdicts: Mapping[str, Mapping[str, int]]
    rates: Sequence[Rate]
    apart: Mapping[str, Mapping[str, int]]
    parses: Mapping[str, Mapping[str, int]]
    published: Sequence[PublishedRates]
    failing: Sequence[Failing]
    protocol: Mapping[str, Any]

    def by(self, name: str) -> dict[int | None, dict[str, Rate]]:
        """The rates by a property: for each value of it, by class."""
        found: dict[int | None, dict[str, Rate]] = {}
        for rate in self.rates:
            if rate.by == name:
                found.setdefault(rate.value, {})[rate.of] = rate
        return found


def labels_of(path: Path, rows: Mapping[str, Any]) -> Labels:
    """The document of rates that was written beside the verdicts.

    Raises CorpusError where it is none, or about other rows than `rows` (see `annotations.about`).
    """
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ValueError(f"{size:,} bytes")
        document = json.loads(path.read_bytes())
        stated = document["about"]
        if stated["jsonl"] != rows["jsonl"]:
            raise CorpusError(
                f"{path.name} is about other rows than these",
                expected=f"SHA-256 {rows['jsonl']['sha256'][:12]}",
                found=str(stated["jsonl"].get("sha256"))[:12],
                where=path,
                hint="Materialize the verdicts by their name; they may be made on request only.",
            )
        return _labels(document)
    except (
        ValueError,
        ArithmeticError,
        RecursionError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise CorpusError(
            "This is not a document of rates of this version",
            found=f"{type(error).__name__}: {error}"[:300],
            where=path,
            hint="Materialize it again.",
        ) from error


def _labels(document: Mapping[str, Any]) -> Labels:
    return Labels(
        int(document["drawn"]),
        bool(document.get("executed", True)),
        str(document.get("why", "")),
        _counts(document["verdicts"]),
        [
            Rate(
                str(one["by"]),
                None if one["value"] is None else int(one["value"]),
                str(one["class"]),
                int(one["agree"]),
                int(one["judged"]),
                *(_fraction(one[name]) for name in ("rate", "low", "high")),
            )
            for one in document["rates"]
        ],
        _counts(document.get("apart", {})),
        _counts(document.get("parses", {})),
        [
            PublishedRates(
                str(one["what"]),
                {str(name): float(value) for name, value in one["figures"].items()},
                str(one["protocol"]),
            )
            for one in document.get("published", [])
        ],
        [
            Failing(int(one["row"]), str(one["task_id"]), str(one["verdict"]), str(one["reason"]))
            for one in document.get("failing", [])
        ],
        dict(document.get("protocol", {})),
    )


def _counts(value: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {
        str(name): {str(of): int(times) for of, times in counts.items()}
        for name, counts in value.items()
    }


def _fraction(value: float | None) -> float | None:
    """Raises ValueError for what is no fraction."""
    if value is None:
        return None
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{value} is no fraction")
    return float(value)
