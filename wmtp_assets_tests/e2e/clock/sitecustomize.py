"""A clock for Dagster's scheduler that a test sets forward, so that a tick is due at once.

Python imports this at its start, by way of PYTHONPATH. WMTP_TEST_CLOCK names a file with the
seconds to add; without one nothing changes. Only the scheduler takes this clock: gRPC counts
deadlines by the process's own, and the monitoring of runs compares it with their events.
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

_FILE = Path(os.environ.get("WMTP_TEST_CLOCK", "/nowhere"))


def _now() -> float:
    try:
        return time.time() + float(_FILE.read_text())
    except (OSError, ValueError):  # not set, or being written
        return time.time()


class _Scheduler:
    """Gives the module of Dagster's scheduler this clock as soon as it is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "dagster._scheduler.scheduler":
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def executed(module: Any) -> None:
            execute(module)
            assert callable(module.get_current_timestamp)
            assert callable(module.get_current_datetime)
            module.get_current_timestamp = _now
            module.get_current_datetime = lambda: datetime.fromtimestamp(_now(), UTC)

        loader.exec_module = executed
        return spec


if "WMTP_TEST_CLOCK" in os.environ:
    sys.meta_path.insert(0, _Scheduler())
