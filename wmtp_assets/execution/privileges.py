"""Whose rights a confined program has: those of a user of its own where that is possible.

Whoever is root makes it a user whom nobody else is, without capabilities. Where that user could
not read Python's own library (below /root, say), one capability stays, CAP_DAC_READ_SEARCH: it lets
the process read files in spite of their permissions, and Landlock or the view still decides which.
Root of a container, who lacks that one, stays root, without any.
Whoever is not root stays who they are, and the program with them; what they own is then guarded by
Landlock or the view alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import stat
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final, Literal

from . import kernel

CHOWN: Final = 0
DAC_OVERRIDE: Final = 1
DAC_READ_SEARCH: Final = 2
FOWNER: Final = 3
KILL: Final = 5
SETGID: Final = 6
SETUID: Final = 7
SYS_ADMIN: Final = 21

Users = Literal["own", "nobody", "same"]
"""Whom programs run as: each as a user that nobody else is, all as nobody, as whoever runs them."""

_NOBODY: Final = 65534
# Above systemd's ranges for containers, below what some tools take for negative.
_OWN_USERS: Final = range(1_900_000_000, 2_140_000_000)

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


def users() -> Users:
    """Whom this process can let programs run as."""
    # It also has to give that user a folder, look into it, empty it, and end what runs there.
    if has(SETUID, SETGID, CHOWN, DAC_OVERRIDE, FOWNER, KILL):
        if _mean_something(_OWN_USERS):
            return "own"
        if _mean_something(range(_NOBODY, _NOBODY + 1)):  # a container with few users
            return "nobody"
    return "same"


def user_for(whom: Users) -> int | None:
    """The uid and gid for a program; None: it stays who it is.

    Own ones are drawn, so that programs that run at a time are no business of each other's.
    """
    if whom == "same":
        return None
    return random.SystemRandom().choice(_OWN_USERS) if whom == "own" else _NOBODY


def _mean_something(numbers: range) -> bool:
    """Whether the first and last of some uids and gids are ones that this user namespace has."""
    return all(
        any(first <= numbers[0] and numbers[-1] < first + count for first, count in _extents(kind))
        for kind in ("uid", "gid")
    )


def _extents(kind: str) -> list[tuple[int, int]]:
    try:
        lines = Path(f"/proc/self/{kind}_map").read_text("ascii").splitlines()
    except OSError:
        return []
    return [(int(first), int(count)) for first, _, count in map(str.split, lines)]


@cache
def can_be_read_by_others(path: Path, *, parents: bool) -> bool:
    """Whether everybody may read a folder or file, and, with `parents`, get there.

    Found out once. What does not exist cannot keep anybody from it.
    """
    try:
        mode = path.stat().st_mode
        above = path.resolve().parents if parents else ()
        wanted = 0o5 if stat.S_ISDIR(mode) else 0o4
        return mode & wanted == wanted and all(one.stat().st_mode & 0o1 for one in above)
    except OSError:
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
