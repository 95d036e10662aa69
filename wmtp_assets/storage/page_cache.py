"""Hints to the kernel about reads to come and reads done; none where the platform has no call."""

from __future__ import annotations

import os
from pathlib import Path

_TOLD = hasattr(os, "posix_fadvise")  # not on macOS


def forget(descriptor: int, offset: int, length: int) -> None:
    """These bytes need not stay in memory; what was written begins its way to the disk."""
    if _TOLD:
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def expect(descriptor: int, offset: int, length: int) -> None:
    """These bytes are read soon."""
    if _TOLD:
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)


def read_in_order(descriptor: int) -> None:
    """The file is read from front to back."""
    if _TOLD:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)


def read_at_random(descriptor: int) -> None:
    """Reads are at random: no read-ahead."""
    if _TOLD:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)


def room() -> int:
    """Bytes that the page cache may still take without pushing out what is in use; 0 where the
    system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (free,) = (int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError):
        return 0
    try:  # a container's limit; what it holds of files that nobody reads now makes room
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="ascii"))
        stat = dict(
            line.split()
            for line in (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        )
        if limit.isdigit():
            free = min(free, max(0, int(limit) - used + int(stat["inactive_file"])))
    except (OSError, ValueError, KeyError):
        pass
    return free


def fits(size: int) -> bool:
    """Whether a file of this size may stay in memory for the next who reads it."""
    return size < room() / 3


_CGROUP = Path("/sys/fs/cgroup")
