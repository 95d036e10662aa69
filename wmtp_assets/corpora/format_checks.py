"""Checks that several formats share, each computed from one pass over a split's lines."""

from __future__ import annotations

from wmtp_assets.corpora.dataset_format import RowCheck
from wmtp_assets.corpora.scanned_rows import ScannedRows
from wmtp_assets.findings import Finding


def _tests_present(scan: ScannedRows, where: str) -> Finding:
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
