"""Findings on what others make, publish and remove meanwhile.

The parts of an artifact are read one after the other. Where a version of it, or of what it is made
from, has become current in between, some are of one version and some of the other, and `gc` may
have removed the first: what is found then is true of neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.of_kind import checks_of_kind
from wmtp_assets.artifacts.released_weights import record_of
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Finding
from wmtp_assets.storage.versions import CURRENT

_TRIES = 5  # looks at an artifact of which versions become current meanwhile


def settled(
    project: Project, artifact: Artifact, look: Callable[[], list[Finding]]
) -> list[Finding]:
    """What `look` finds; where something failed, and another version of what it reads has become
    current (or weights were released) meanwhile, it looks again.

    Nothing is left out by that: what fails while nothing moves has failed.
    """
    for _ in range(_TRIES):
        before = _current(project, artifact)
        found = look()
        if all(finding.passed for finding in found) or before == _current(project, artifact):
            break
    return found


def _current(project: Project, artifact: Artifact) -> dict[str, tuple[str, int]]:
    """Of the artifact, of all that it is made from and what its checks read beside: the version
    that is current, and the time of the record that weights were released."""
    found: dict[str, tuple[str, int]] = {}
    waiting = [artifact.name, *checks_of_kind(artifact).beside(project, artifact)]
    while waiting:
        name = waiting.pop()
        if name in found or name not in project.artifacts:
            continue
        found[name] = (
            _target(project.store.versions.home(name) / CURRENT),
            _written(record_of(project, name)),
        )
        waiting += project.artifacts[name].inputs
    return found


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _written(record: Path) -> int:
    try:
        return record.stat().st_mtime_ns
    except OSError:
        return 0
