"""Landlock: what a process may do with files, ports and other processes, decided by itself.

Each version of it (ABI) can refuse more than the one before. A ruleset names everything that this
kernel can refuse, and then the exceptions, so that a newer kernel refuses more by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from enum import IntFlag
from functools import cache
from pathlib import Path
from typing import Final

from . import kernel


class Files(IntFlag):
    """LANDLOCK_ACCESS_FS_*: what can be done with a file or folder."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


class Ports(IntFlag):
    """LANDLOCK_ACCESS_NET_*."""

    BIND_TCP = 1 << 0
    CONNECT_TCP = 1 << 1


class Scope(IntFlag):
    """LANDLOCK_SCOPE_*: what does not reach beyond the confined processes."""

    ABSTRACT_UNIX_SOCKET = 1 << 0
    SIGNAL = 1 << 1


_FIRST: Final = Files(Files.REFER - 1)
_SINCE: Final[tuple[tuple[int, Files | Ports | Scope], ...]] = (
    (1, _FIRST),
    (2, Files.REFER),
    (3, Files.TRUNCATE),
    (4, Ports.BIND_TCP | Ports.CONNECT_TCP),
    (5, Files.IOCTL_DEV),
    (6, Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL),
)
_SINCE_QUIET: Final = 7
_QUIET: Final = 1  # LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF: refusals are no events for an auditor

READ: Final = Files.READ_FILE | Files.READ_DIR
RUN: Final = READ | Files.EXECUTE
DEVICE: Final = Files.READ_FILE | Files.WRITE_FILE | Files.TRUNCATE
KEEPS: Final = (
    READ
    | Files.WRITE_FILE
    | Files.TRUNCATE
    | Files.MAKE_REG
    | Files.MAKE_DIR
    | Files.REMOVE_DIR
    | Files.REFER
)
"""To write into a folder what keeps its name, so that it can be counted."""
SCRATCH: Final = KEEPS | Files.REMOVE_FILE
_OF_A_FILE: Final = (
    Files.EXECUTE | Files.WRITE_FILE | Files.READ_FILE | Files.TRUNCATE | Files.IOCTL_DEV
)

_VERSION: Final = 1
_PATH_BENEATH: Final = 1


def version() -> int:
    """The kernel's version of Landlock (ABI), at least 1. Raises OSError where it has none."""
    return kernel.syscall("landlock_create_ruleset", None, 0, _VERSION)


@cache
def handled(abi: int) -> tuple[Files, Ports, Scope]:
    """Everything that Landlock of a version can refuse."""
    files, ports, scope = Files(0), Ports(0), Scope(0)
    for since, what in _SINCE:
        if since <= abi:
            if isinstance(what, Files):
                files |= what
            elif isinstance(what, Ports):
                ports |= what
            else:
                scope |= what
    return files, ports, scope


def ruleset(abi: int, exceptions: Iterable[tuple[Path | str, Files]]) -> int:
    """A file descriptor of rules that refuse everything but the exceptions: (path, rights).

    A right that this version does not know is left out, and so is what a file cannot have. A path
    that does not exist is no exception. Raises OSError.
    """
    files, ports, scope = handled(abi)
    words = [int(files)]
    if abi >= 4:
        words.append(int(ports))
    if abi >= 6:
        words.append(int(scope))
    attributes = ctypes.create_string_buffer(struct.pack(f"={len(words)}Q", *words))
    rules = kernel.syscall("landlock_create_ruleset", attributes, 8 * len(words), 0)
    try:
        for path, rights in exceptions:
            with contextlib.suppress(FileNotFoundError):
                _add(rules, path, int(rights) & int(files))
    except BaseException:
        os.close(rules)
        raise
    return rules


def _add(rules: int, path: Path | str, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= int(_OF_A_FILE)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, opened), 12)
        kernel.syscall("landlock_add_rule", rules, _PATH_BENEATH, rule, 0)
    finally:
        os.close(opened)


def restrict(rules: int, abi: int) -> None:
    """From now on the rules hold for this thread and all that it starts. Needs no_new_privs.

    Raises OSError.
    """
    kernel.syscall("landlock_restrict_self", rules, _QUIET if abi >= _SINCE_QUIET else 0)
