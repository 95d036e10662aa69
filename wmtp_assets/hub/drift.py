"""Whether upstream has moved away from what is pinned, found out without downloading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wmtp_assets.hub.files import RemoteFile, RepoId, WantedFile
from wmtp_assets.hub.refusals import NoSuchRevisionError
from wmtp_assets.hub.source import Hub


@dataclass(frozen=True)
class ChangedFile:
    """A wanted file that differs at upstream's head; None where it is not there at all.

    `before` and `after` are digests (SHA-256, or git's blob id for small files).
    """

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Drift:
    """Upstream's head beside the pin. `head == pinned`: nothing happened at all."""

    repo: RepoId
    pinned: str
    head: str
    changed: tuple[ChangedFile, ...]

    @property
    def moved(self) -> bool:
        """Upstream has a newer commit, whatever is in it (a README, perhaps)."""
        return self.head != self.pinned


def drift(hub: Hub, repo: RepoId, pinned: str, files: Sequence[WantedFile]) -> Drift:
    """Compare upstream's head with the commit `pinned`, for the wanted files.

    Two listings, no file: a file counts as changed when its digest at head is not the one that
    the catalog names, or that it had at the pin. Raises as `Hub.head` does.
    """
    head = hub.head(repo)
    if head == pinned:
        return Drift(repo, pinned, head, ())
    now = {file.path: file for file in hub.files(repo, head)}
    try:
        then = {file.path: file for file in hub.files(repo, pinned)}
    except NoSuchRevisionError:  # upstream rewrote its history: the catalog's word is left
        then = {}
    changed = []
    for wanted in files:
        old, new = then.get(wanted.path), now.get(wanted.path)
        if _same(wanted, old, new):
            continue
        before = wanted.sha256 or _digest(old)
        changed.append(ChangedFile(wanted.path, before, _digest(new)))
    return Drift(repo, pinned, head, tuple(changed))


def _same(wanted: WantedFile, old: RemoteFile | None, new: RemoteFile | None) -> bool:
    if new is None:
        return False
    if wanted.sha256 is not None and new.sha256 is not None:
        return wanted.sha256 == new.sha256
    if old is None:
        return False
    return (old.sha256, old.git_blob, old.size) == (new.sha256, new.git_blob, new.size)


def _digest(file: RemoteFile | None) -> str | None:
    if file is None:
        return None
    return file.sha256 or file.git_blob or f"{file.size} bytes, no digest"
