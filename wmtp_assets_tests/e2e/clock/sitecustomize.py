"""A clock that a test can set forward. Python imports this at its start, by way of PYTHONPATH.

Processes of the page take it for their own time, so that a schedule's tick need not be waited for
until it is due. WMTP_TEST_CLOCK names a file with the seconds to add; without one nothing changes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_REAL = time.time
_FILE = Path(os.environ.get("WMTP_TEST_CLOCK", "/nowhere"))


def _now() -> float:
    try:
        return _REAL() + float(_FILE.read_text())
    except (OSError, ValueError):  # not set, or being written
        return _REAL()


class _DagstersTime:
    """Gives Dagster's own module of the time this clock as soon as it is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "dagster._time":
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def executed(module: Any) -> None:
            execute(module)
            module._mockable_get_current_timestamp = _now
            module._mockable_get_current_datetime = lambda: datetime.fromtimestamp(_now(), UTC)

        loader.exec_module = executed
        return spec


if "WMTP_TEST_CLOCK" in os.environ:
    time.time = _now
    sys.meta_path.insert(0, _DagstersTime())
