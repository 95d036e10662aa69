"""What Ray has no setting for: it prints on standard output that a worker died, where `wmtp --json`
prints one JSON value, and warns that it handles no signals, which it should not.

`ray._private` is of the version that pyproject.toml
allows; a test sees whether this still works.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger(__name__)


def log_instead_of_printing() -> None:
    """Has Ray's messages about workers go to the log. Ray must be there."""
    import ray._private.worker as worker

    logging.getLogger("ray").setLevel(logging.ERROR)
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = _logged


def _logged(data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
    for line in data.get("lines", ()):
        _log.warning("Ray: %s", " ".join(str(line).split()))
