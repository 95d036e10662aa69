"""What Dagster itself takes for a run of as many assets and checks as the sample has.

    .venv/bin/python -m benchmarks.end_to_end.dagster_floor [assets] [checks]

The assets make nothing and the checks look at nothing: what is left is importing Dagster, building
definitions, and writing the history. Once as Dagster writes it (`plain`), and once as a run of this
package does (`quick_history`). A JSON line per figure; CPU seconds stand under load, wall time does
not.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

ASSETS, CHECKS = 58, 397  # the sample's


def measure(way: str, assets: int, checks: int) -> dict[str, object]:
    """Imports Dagster and runs it once, in a home of its own."""
    imported = _seconds()
    import dagster as dg

    from wmtp_assets.orchestration.quick_history import quick_history

    started = _seconds()
    logging.disable()
    definitions = [one for number in range(assets) for one in _asset(dg, number, assets, checks)]
    with (
        tempfile.TemporaryDirectory() as home,
        quick_history() if way == "quick_history" else nullcontext(),
    ):
        os.environ["DAGSTER_HOME"] = home
        (Path(home) / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        with dg.DagsterInstance.get() as instance:
            result = dg.materialize(definitions, instance=instance)
    ended = _seconds()
    found = sum(1 for _ in result.get_asset_check_evaluations())
    assert result.success
    assert found == checks
    spent = {
        f"{what}.{kind}_s": round(last - first, 2)
        for what, begin, end in (("imports", imported, started), ("run", started, ended))
        for kind, first, last in zip(("wall", "cpu"), begin, end, strict=True)
    }
    return {"way": way, "assets": assets, "checks": checks, **spent}


def _asset(dg: Any, number: int, assets: int, checks: int) -> list[Any]:
    """An asset that needs the one before it, and its share of the checks in one step."""
    name = f"asset_{number}"

    @dg.asset(name=name, deps=[f"asset_{number - 1}"] if number else [])
    def asset() -> None:
        """Nothing."""

    share = range(number, checks, assets)
    if not share:
        return [asset]

    @dg.multi_asset_check(
        name=f"{name}_checks",
        specs=[dg.AssetCheckSpec(f"check_{each}", asset=name) for each in share],
    )
    def checked() -> Iterator[Any]:
        for each in share:
            yield dg.AssetCheckResult(
                passed=True,
                asset_key=name,
                check_name=f"check_{each}",
                metadata={"expected": "nothing", "found": "nothing", "where": name},
            )

    return [asset, checked]


def _seconds() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Both ways, each in a process of its own."""
    assets, checks = (map(int, sys.argv[1:])) if len(sys.argv) > 2 else (ASSETS, CHECKS)
    for way in ("plain", "quick_history"):
        command = [sys.executable, "-c", _ONE.format(way=way, assets=assets, checks=checks)]
        subprocess.run(command, check=True)


_ONE = (
    "import json; from benchmarks.end_to_end.dagster_floor import measure; "
    "print(json.dumps(measure({way!r}, {assets}, {checks})))"
)

if __name__ == "__main__":
    main()
