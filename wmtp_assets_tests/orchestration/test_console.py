"""What a person reads on the terminal while a run goes on."""

from __future__ import annotations

import dagster as dg
import pytest

from wmtp_assets.orchestration.assets.common import MADE, RESULT
from wmtp_assets.orchestration.console import console_logger


@dg.asset
def fresh() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={RESULT: MADE})


@dg.asset
def kept() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={RESULT: "unchanged since 2026-01-01 00:00 UTC"})


@dg.asset_check(asset=fresh)
def worrying() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=fresh)
def broken() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.ERROR)


def test_a_warning_is_not_printed_as_a_failure_nor_the_unchanged_as_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    defs = dg.Definitions(
        assets=[fresh, kept],
        asset_checks=[worrying, broken],
        loggers={"console": console_logger},
        executor=dg.in_process_executor,
    )
    defs.resolve_implicit_global_asset_job_def().execute_in_process(
        run_config={"loggers": {"console": {}}}
    )
    lines = capsys.readouterr().err.splitlines()
    assert "warning fresh worrying" in lines
    assert "FAILED fresh broken" in lines
    assert "made fresh" in lines
    assert not any("kept" in line for line in lines)
