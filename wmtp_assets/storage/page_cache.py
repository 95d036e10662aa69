"""What the kernel is told of reads to come and reads done; nothing, where it cannot be told."""

from __future__ import annotations

import os

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
    """What lies around a read is not read next."""
    if _TOLD:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
