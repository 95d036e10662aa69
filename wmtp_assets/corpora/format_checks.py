"""Checks that several formats share, each computed from one pass over a split's lines."""

from __future__ import annotations

from wmtp_assets.corpora.dataset_format import RowCheck
from wmtp_assets.corpora.scanned_rows import ExpectedRows, ScannedRows
from wmtp_assets.findings import Finding


def _tests_present(scan: ScannedRows, where: str, _: ExpectedRows) -> Finding:
    wrong = scan.without_tests
    return Finding(
        name=tests_present.name,
        passed=not wrong,
        expected=f"{scan.tests_field} in every row",
        found=wrong[0] if wrong else f"{scan.rows:,} rows, all so",
        where=where,
        hint="Materialize the split again." if wrong else "",
        details={"first_failures": wrong} if wrong else {},
    )


tests_present = RowCheck("tests_present", "Every row has its tests.", _tests_present)


def _training_range(scan: ScannedRows, where: str, expected: ExpectedRows) -> Finding:
    low, high = expected.training_difficulties
    outside = sum(
        times
        for value, times in scan.difficulties.items()
        if not (isinstance(value, int) and low <= value <= high)
    )
    share = outside / scan.rows if scan.rows else 0.0
    return Finding(
        name=difficulty_in_training_range.name,
        passed=True,
        expected=f"{low}-{high} is what training samples from; rows outside are kept",
        found=f"{outside:,} of {scan.rows:,} rows outside ({share:.1%})",
        where=where,
        blocking=difficulty_in_training_range.blocking,
        details={"histogram": _histogram(scan), "share_outside": round(share, 6)},
    )


def _histogram(scan: ScannedRows) -> dict[str, dict[str, int]]:
    """Rows by difficulty, then by class."""
    values = sorted(scan.difficulties, key=lambda value: str(value).zfill(3))
    return {
        str(value): {
            name: counts[value] for name, counts in sorted(scan.by_class.items()) if counts[value]
        }
        for value in values
    }


difficulty_in_training_range = RowCheck(
    "difficulty_in_training_range",
    "How many rows of each class are of each difficulty, and how many are outside the range that "
    "training samples from. Information: rows outside are kept.",
    _training_range,
    blocking=False,
)
