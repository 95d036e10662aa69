"""Names that the page's processes and Dagster's history must agree on. Imports no Dagster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

LOCATION: Final = "wmtp_assets"
"""The code location, as the page's code server names it and runs record it."""

STATE: Final = ".dagster"
"""The folder of a Dagster home that holds all that Dagster and the page write."""


def state_of(home: Path) -> Path:
    """The folder `STATE` of a home, by its name without any link."""
    return Path(os.path.realpath(home)) / STATE


def running_folder(home: Path) -> Path:
    """Where each run of a home holds a lock while its process lives, under the run's id."""
    return state_of(home) / "running"
