"""What results depend on beside tasks: the installation, which every worker must have alike."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib import metadata

from wmtp_assets.engines.engine import EngineError

Conditions = dict[str, str]


def installation() -> Conditions:
    """The versions of this package, Python and numpy, and the machine's architecture."""
    try:
        numpy = metadata.version("numpy")
    except metadata.PackageNotFoundError:
        numpy = ""
    return {
        "wmtp-assets": metadata.version("wmtp-assets"),
        "python": sys.version,
        "numpy": numpy,
        "machine": platform.machine(),
    }


def require(wanted: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Raises EngineError where a task was divided under other conditions than those of `here`."""
    for name, one in wanted.items():
        if here.get(name) != one:
            raise EngineError(
                f"A part must run under the same conditions as the whole run, but {name} differs",
                expected=one or "none",
                found=here.get(name) or "none",
                where=platform.node(),
                hint="install the same there, from the same constraints.txt; for Python 2 set "
                "WMTP_PYTHON2 on both, or on neither.",
            )
