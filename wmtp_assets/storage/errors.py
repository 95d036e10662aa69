"""What a failing disk looks like to a user: one `StorageError`, whatever the system call said."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from wmtp_assets.errors import WmtpError


class StorageError(WmtpError):
    """The storage is full, broken, forbidden, or not as this package left it."""


# What the disk itself may answer at any moment, and what a person can do about it.
_FREE = "free some room (`wmtp gc` removes leftovers and old versions) and run it again."
_ALLOW = "give this user the right to write there, or set WMTP_STORAGE to a folder of your own."
_MENDS = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EIO: "the device reported an error: look at the kernel's log before you run it again.",
    errno.EROFS: "remount the file system for writing, or set WMTP_STORAGE to another folder.",
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
}


@contextmanager
def storage_errors(
    doing: str, where: str | os.PathLike[str], *, disk_only: bool = False
) -> Iterator[None]:
    """Turns an `OSError` of the block into one `StorageError`, with the system's words in it.

    `disk_only` is for blocks that hold a caller's code: there, only what a disk says (full,
    broken, read-only, forbidden) is turned, and anything else is the caller's own mistake.
    """
    try:
        yield
    except OSError as error:
        if disk_only and error.errno not in _MENDS:
            raise
        found = error.strerror or str(error)
        raise StorageError(
            f"{doing} did not succeed; what was published before is still as it was",
            found=f"{found} ({errno.errorcode.get(error.errno or 0, 'no code')})",
            where=error.filename if isinstance(error.filename, str) else os.fspath(where),
            mend=_MENDS.get(error.errno or 0),
        ) from error
