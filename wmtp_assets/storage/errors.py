"""How a failing disk is reported: one `StorageError`, whatever the system call returns."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from wmtp_assets.errors import WmtpError


class StorageError(WmtpError):
    """The storage is full, broken, forbidden, or not as this package left it."""


# What the disk itself may report at any moment, and the hint for it.
_FREE = "free some room (`wmtp gc` removes leftovers and old versions) and run it again."
_ALLOW = (
    "give this user the right to read and write there, or set WMTP_STORAGE to a folder of your own."
)
_HINTS = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EIO: "the device reported an error: look at the kernel's log before you run it again.",
    errno.EROFS: "remount the file system for writing, or set WMTP_STORAGE to another folder.",
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.ENAMETOOLONG: "set WMTP_STORAGE to a shorter path, on a file system that takes names of "
    "255 bytes (eCryptfs takes 143).",
}
# What says nothing of the thing itself, only that it could not be looked at.
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG})
# What is in the way, by errno; the hint names the path.
_IN_THE_WAY = {
    errno.ELOOP: "look at what the link leads to, then remove the link (`rm {place}`), which "
    "leaves that as it is, and run it again. To keep files on another disk, move the whole storage "
    "there and set WMTP_STORAGE.",
    errno.EEXIST: "look at it, then move it out of the storage, and run it again.",
    errno.EISDIR: "look at it, then move it out of the storage, and run it again.",
}

# What a file system says that lacks symbolic links (EPERM, by symlink(2)) or locks (ENOLCK).
LACKING = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


def lacking(what: str, where: str | os.PathLike[str], error: OSError) -> StorageError:
    """The one error for a file system that does not have `what` the storage is built on."""
    return StorageError(
        f"This file system has no {what}, which the storage needs",
        found=f"{error.strerror} ({errno.errorcode.get(error.errno or 0, 'no code')})",
        where=os.fspath(where),
        hint="set WMTP_STORAGE to a folder of a file system that has them, such as ext4 or XFS; "
        "FAT, exFAT and many object stores do not; for locks, mount NFS without nolock and "
        "Lustre with -o flock.",
    )


def mounted_alone(place: str | os.PathLike[str], error: OSError) -> StorageError:
    """The one error for something inside the storage that is a mount of its own."""
    path = os.fspath(place)
    return StorageError(
        "Something in the storage is mounted by itself, and nothing is moved across a mount",
        expected="one mount for the whole storage",
        found=f"a mount inside it ({errno.errorcode.get(error.errno or 0, 'no code')})",
        where=path,
        hint=f"`umount {shlex.quote(path)}` leaves what is on it as it is; then run it again. To "
        "keep files on another disk, or on a container's volume, move the whole storage there and "
        "set WMTP_STORAGE.",
    )


def refused(error: OSError, where: str | os.PathLike[str] = "") -> StorageError:
    """What the system said no to, as the one error, with what to do."""
    code = error.errno or 0
    name = error.filename if isinstance(error.filename, str | os.PathLike) else where
    return StorageError(
        "The system refused to read or write something",
        expected="what this user may read and write",
        found=f"{error.strerror or error} ({errno.errorcode.get(code, 'no code')})",
        where=os.fspath(name) or None,
        hint=_HINTS.get(code),
    )


@contextmanager
def storage_errors(
    doing: str, where: str | os.PathLike[str], *, disk_only: bool = False
) -> Iterator[None]:
    """Turns an `OSError` of the block into one `StorageError`, with the system's message in it.

    `disk_only` is for blocks that hold a caller's code: there, only what a disk says (full,
    broken, read-only, forbidden, a link in the way) is turned, and anything else is the caller's
    own mistake.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        if disk_only and code not in _HINTS and code != errno.ELOOP:
            raise
        found = error.strerror or str(error)
        place = error.filename if isinstance(error.filename, str) else os.fspath(where)
        hint = _HINTS.get(code) or _IN_THE_WAY.get(code, "").format(place=shlex.quote(place))
        raise StorageError(
            f"{doing} did not succeed; what was published before is still as it was",
            found=f"{found} ({errno.errorcode.get(code, 'no code')})",
            where=place,
            hint=hint or None,
        ) from error
