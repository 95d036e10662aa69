"""A directory mirror for a cluster without a network, made with the same engine as any fetch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import LOCK_NAME, Fetched, RepoId, WantedRepo
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import Hub
from wmtp_assets.storage.digests import write_sha256sums

_SUMS_NAME = "SHA256SUMS"


def mirror(
    hub: Hub,
    wanted: Sequence[WantedRepo],
    directory: Path,
    log: Callable[[str], None] | None = None,
) -> dict[RepoId, list[Fetched]]:
    """Make or complete a mirror of `wanted` in `directory`; WMTP_HUB can point at it afterwards.

    A second call verifies what is there and fetches what is missing. `assets.lock` records the
    mirror's readers commits and digests; `SHA256SUMS` lets `sha256sum -c` verify it with nothing
    of ours installed. Both cover every file that was ever mirrored there. Raises as `fetch` does;
    what was fetched before an error stays, recorded.
    """
    directory = directory.resolve()  # it may be reached through links; nothing below it may
    lock = Lock(directory / LOCK_NAME)
    fetched: dict[RepoId, list[Fetched]] = {}
    try:
        for one in wanted:
            fetched[one.repo] = fetch(hub, one.repo, one.revision, one.files, directory, lock, log)
    finally:
        sums = {
            f"{folder}/{path}": file.sha256
            for folder, repo in lock.repos().items()
            for path, file in repo.files.items()
        }
        if sums:
            write_sha256sums(directory / _SUMS_NAME, sums)
    return fetched
