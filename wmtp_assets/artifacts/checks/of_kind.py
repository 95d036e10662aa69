"""The checks that the table of kinds (`artifacts/kinds.py`) names for a kind of artifact."""

from __future__ import annotations

from pkgutil import resolve_name

from wmtp_assets.artifacts.checks.subject import KindChecks
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.catalog.artifacts import Artifact


def checks_of_kind(artifact: Artifact) -> KindChecks:
    """Those of the artifact's kind. Raises TypeError where the table names something else."""
    named = kind_of(artifact).checks
    found = resolve_name(named)
    if not isinstance(found, KindChecks):
        raise TypeError(f"{named}: expected the checks of a kind, found {type(found).__name__}")
    return found
