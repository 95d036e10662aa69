"""Whose rights a confined program has: those of a user of its own where that is possible.

Whoever is root makes it a user whom nobody else is, without capabilities. Where that user could
not read Python's own library (below /root, say), one capability stays, CAP_DAC_READ_SEARCH: it lets
the process read files in spite of their permissions, and Landlock or the view still decides which.
Whoever is not root stays who they are, and the program with them; what they own is then guarded by
Landlock or the view alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import kernel

DAC_READ_SEARCH: Final = 2
SETGID: Final = 6
SETUID: Final = 7
SYS_ADMIN: Final = 21

NOBODY: Final = 65534
_OWN_USERS: Final = (
    1_900_000_000  # below here systemd's ranges for containers end; + a process's number
)

_VERSION_3: Final = 0x20080522


def held() -> int:
    """The capabilities that this process may use now, as bits."""
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(24)
    kernel.syscall("capget", header, data)
    low, _, _, high, _, _ = struct.unpack("=6I", data.raw)
    return int(low | high << 32)


def has(*capabilities: int) -> bool:
    """Whether this process holds all of these."""
    mine = held()
    return all(mine >> one & 1 for one in capabilities)


def user_of_its_own() -> int | None:
    """A user (and group) that nobody is, for what this process starts; None: not possible here.

    The number contains this process's own. Where such a number means nothing (in a container with
    few users), it is nobody's.
    """
    if not has(SETUID, SETGID):
        return None
    for user in (_OWN_USERS + os.getpid(), NOBODY):
        if all(_means_something(user, kind) for kind in ("uid", "gid")):
            return user
    return None


def is_alone(user: int | None) -> bool:
    """Whether a user comes from `user_of_its_own` and is nobody else."""
    return user is not None and user >= _OWN_USERS


def _means_something(number: int, kind: str) -> bool:
    """Whether a uid or gid is one that this user namespace has."""
    try:
        lines = Path(f"/proc/self/{kind}_map").read_text("ascii").splitlines()
    except OSError:
        return False
    extents = [[int(word) for word in line.split()] for line in lines]
    return any(first <= number < first + count for first, _, count in extents)


def can_be_read_by_others(paths: Iterable[Path], *, parents: bool) -> bool:
    """Whether everybody may read folders or files: of each itself and, with `parents`, the way."""
    for path in paths:
        with contextlib.suppress(OSError):
            mode = path.stat().st_mode
            wanted = 0o5 if stat.S_ISDIR(mode) else 0o4
            if mode & wanted != wanted:
                return False
            if parents and any(not one.stat().st_mode & 0o1 for one in path.resolve().parents):
                return False
    return True


def drop(user: int | None, *, keep: Iterable[int] = (), starts: bool = False) -> None:
    """Becomes `user` (None: stays), without any capability but those of `keep` that it holds.

    With `starts` they also stay when another program is started. Raises OSError.
    """
    if user is not None:
        os.setgroups([])
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    permitted = _permitted()
    mask = sum(1 << one for one in keep if permitted >> one & 1)
    with contextlib.suppress(OSError):  # kernels before 4.3 have no such set
        kernel.prctl(kernel.PR_CAP_AMBIENT, 4)
    passed_on = mask if starts else 0
    words = []
    for shift in (0, 32):
        half = mask >> shift & 0xFFFFFFFF
        words += [half, half, passed_on >> shift & 0xFFFFFFFF]
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(struct.pack("=6I", *words), 24)
    kernel.syscall("capset", header, data)
    if starts:
        for one in keep:
            if mask >> one & 1:
                kernel.prctl(kernel.PR_CAP_AMBIENT, 2, one)


def _permitted() -> int:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0), 8)
    data = ctypes.create_string_buffer(24)
    kernel.syscall("capget", header, data)
    _, low, _, _, high, _ = struct.unpack("=6I", data.raw)
    return int(low | high << 32)
