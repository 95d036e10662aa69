"""Temporary folders of long-lived work, and the removal of those that killed processes have left.

A process holds its folder by a lock, which the kernel releases however it ends. A folder of this
user's that nobody holds is one that was left: the next one of the same prefix removes it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.file_systems import file_system_of
from wmtp_assets.storage.locks import try_lock_open

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class HeldFolder:
    """A new folder with mode 0700, held until `remove`; where there are no locks it is not, nor are
    others removed there.

    `prefix` begins its name, and is of such folders only; `parent` is by default where the system
    keeps what is temporary. Raises OSError.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        _remove_what_was_left(parent, prefix)
        held = None
        while held is None:  # until no other process took the new folder for one that was left
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            held = _held(self.path)
        self._held = held

    def remove(self) -> None:
        """Removes the folder, as far as that is possible, and then holds it no longer."""
        held, self._held = self._held, -1
        if held >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(held)


def _held(path: Path) -> int | None:
    """The descriptor that holds a new folder; None where another process has locked or removed
    it."""
    try:
        descriptor = os.open(path, _FOLDER)
    except FileNotFoundError:
        return None
    with suppress(OSError, StorageError):  # what cannot be locked is not removed by others either
        if not try_lock_open(descriptor, path):
            os.close(descriptor)
            return None
    if _is_at(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_what_was_left(parent: Path, prefix: str) -> None:
    """Removes the folders of this user's that nobody holds. Follows no link."""
    if not file_system_of(parent).is_local:
        return  # another machine may hold them, without its locks being seen here
    with suppress(OSError):
        for name in os.listdir(parent):  # noqa: PTH208  (names, not paths)
            if name.startswith(prefix):
                with suppress(OSError, StorageError, RecursionError):
                    _remove_if_left(parent / name)


def _remove_if_left(path: Path) -> None:
    descriptor = os.open(path, _FOLDER)  # raises for a link, and for what is no folder
    try:
        if (
            os.fstat(descriptor).st_uid == os.geteuid()
            and try_lock_open(descriptor, path)
            and _is_at(path, descriptor)
        ):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
