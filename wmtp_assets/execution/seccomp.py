"""The filter of system calls: a program for the kernel's own small machine (BPF), and its start.

The filter stays for good: neither the process nor what it starts can take it off.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from functools import lru_cache
from typing import Final, NamedTuple

from . import kernel
from .syscalls import (
    FATAL,
    LAST_KNOWN,
    MISSING,
    NUMBERS,
    Condition,
    OneOf,
    permitted,
)

ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000  # of the whole process, with SIGSYS
REFUSE: Final = 0x00050000 | errno.EPERM
UNKNOWN: Final = 0x00050000 | errno.ENOSYS

ARCHITECTURES: Final[dict[str, int]] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""How the kernel names, in each call, the machine whose numbers it uses."""

X32: Final = 0x40000000  # this bit in a number of x86_64 means another table

# Codes of BPF: load a word of what is looked at, and, jump, return.
LOAD: Final = 0x20
AND: Final = 0x54
JUMP_EQUAL: Final = 0x15
JUMP_AT_LEAST: Final = 0x35
JUMP_ABOVE: Final = 0x25
RETURN: Final = 0x06

# Where struct seccomp_data has what; an argument's lower half comes first on both machines.
NUMBER_AT: Final = 0
ARCHITECTURE_AT: Final = 4
ARGUMENTS_AT: Final = 16

_SET_MODE_FILTER: Final = 1
_GET_ACTION_AVAIL: Final = 2
_ON_ALL_THREADS: Final = 1


class Instruction(NamedTuple):
    """One instruction: a code, how many to skip where it holds and where it does not, a value."""

    code: int
    yes: int
    no: int
    value: int


def program(machine: str, pid: int, *, starts: bool = False) -> list[Instruction]:
    """The filter for the process `pid` on a machine; see `syscalls.permitted`."""
    numbers = NUMBERS[machine]
    lines = [
        Instruction(LOAD, 0, 0, ARCHITECTURE_AT),
        Instruction(JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]),
        Instruction(RETURN, 0, 0, KILL),
        Instruction(LOAD, 0, 0, NUMBER_AT),
    ]
    if machine == "x86_64":
        lines += [Instruction(JUMP_AT_LEAST, 0, 1, X32), Instruction(RETURN, 0, 0, KILL)]
    may = permitted(machine, pid, starts=starts)
    for number, conditions in may.items():
        lines += _block(number, conditions)
    for names, answer in ((MISSING, UNKNOWN), (FATAL, KILL)):
        for number in sorted(numbers[name] for name in names if name in numbers):
            if number not in may:
                lines += [Instruction(JUMP_EQUAL, 0, 1, number), Instruction(RETURN, 0, 0, answer)]
    return [
        *lines,
        Instruction(JUMP_ABOVE, 0, 1, LAST_KNOWN),
        Instruction(RETURN, 0, 0, UNKNOWN),
        Instruction(RETURN, 0, 0, REFUSE),
    ]


def _block(number: int, conditions: tuple[Condition, ...]) -> list[Instruction]:
    """Allows a call under conditions, refuses it otherwise, and is skipped by any other call."""
    inner: list[Instruction] = []
    for one in conditions:
        inner.append(Instruction(LOAD, 0, 0, ARGUMENTS_AT + 8 * one.argument))
        if isinstance(one, OneOf):
            last = len(one.values)
            inner += [
                Instruction(JUMP_EQUAL, last - index, 0, value)
                for index, value in enumerate(one.values)
            ]
        else:
            inner.append(Instruction(AND, 0, 0, one.mask))
            inner.append(Instruction(JUMP_EQUAL, int(one.equal), int(not one.equal), one.value))
        inner.append(Instruction(RETURN, 0, 0, REFUSE))
    inner.append(Instruction(RETURN, 0, 0, ALLOW))
    return [Instruction(JUMP_EQUAL, 0, len(inner), number), *inner]


@lru_cache(maxsize=4)
def _assembled(machine: str, starts: bool) -> tuple[bytes, tuple[int, ...]]:
    """The filter for any process, and where in it the process's number goes."""
    marks = (0x7F000001, 0x7F000002)  # no number of a process is that large
    first, second = (
        b"".join(struct.pack("<HBBI", *line) for line in program(machine, mark, starts=starts))
        for mark in marks
    )
    places = tuple(
        at + 4
        for at in range(0, len(first), 8)
        if first[at + 4 : at + 8] != second[at + 4 : at + 8]
    )
    return first, places


def prepare(*, starts: bool = False) -> None:
    """Assembles the filter now, so that children, which are forked later, need not."""
    _assembled(kernel.machine(), starts)


def install(pid: int, *, starts: bool = False) -> None:
    """Puts the filter on every thread of this process, whose number is `pid`.

    Needs no_new_privs. Raises OSError.
    """
    assembled, places = _assembled(kernel.machine(), starts)
    code = bytearray(assembled)
    for at in places:
        code[at : at + 4] = struct.pack("<I", pid)
    instructions = ctypes.create_string_buffer(bytes(code), len(code))
    header = struct.pack("@HP", len(code) // 8, ctypes.addressof(instructions))
    buffer = ctypes.create_string_buffer(header, len(header))
    if kernel.syscall("seccomp", _SET_MODE_FILTER, _ON_ALL_THREADS, buffer):
        raise OSError(errno.EBUSY, "seccomp: a thread of this process has another filter")


def why_not() -> str:
    """Why this kernel would not take the filter, or "" if it would."""
    try:
        for action in (KILL, REFUSE & 0xFFFF0000):
            wanted = ctypes.create_string_buffer(struct.pack("=I", action), 4)
            kernel.syscall("seccomp", _GET_ACTION_AVAIL, 0, wanted)
    except OSError as error:
        return str(error.strerror)
    return ""
