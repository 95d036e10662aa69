"""The filter of system calls, executed here for both machines: what it answers to each call."""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from wmtp_assets.execution import kernel, seccomp, syscalls
from wmtp_assets.execution.syscalls import ALLOWED, FATAL, NUMBERS

PID = 4321
MACHINES = sorted(NUMBERS)
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
CLONE_OF_A_THREAD = 0x3D0F00
SIGCHLD = 17


def answer(
    machine: str,
    number: int,
    *arguments: int,
    starts: bool = False,
    architecture: int | None = None,
) -> int:
    """What the kernel's small machine returns for a call."""
    where = seccomp.ARCHITECTURES[machine] if architecture is None else architecture
    words = [one & 0xFFFFFFFFFFFFFFFF for one in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, where, 0, *words)
    lines = seccomp.program(machine, PID, starts=starts)
    at = accumulator = 0
    for _ in range(len(lines)):
        code, yes, no, value = lines[at]
        at += 1
        if code == seccomp.LOAD:
            accumulator = int.from_bytes(data[value : value + 4], "little")
        elif code == seccomp.AND:
            accumulator &= value
        elif code == seccomp.RETURN:
            return value
        else:
            holds = {
                seccomp.JUMP_EQUAL: accumulator == value,
                seccomp.JUMP_AT_LEAST: accumulator >= value,
                seccomp.JUMP_ABOVE: accumulator > value,
            }[code]
            at += yes if holds else no
    raise AssertionError("the program does not return")


@pytest.mark.parametrize("machine", MACHINES)
def test_programs_are_ones_that_the_kernel_takes(machine: str) -> None:
    for starts in (False, True):
        lines = seccomp.program(machine, PID, starts=starts)
        assert len(lines) < 4096
        for at, (code, yes, no, value) in enumerate(lines):
            assert 0 <= yes < 256
            assert 0 <= no < 256
            assert 0 <= value < 1 << 32
            assert at + 1 + max(yes, no) < len(lines) or code == seccomp.RETURN
        assert lines[-1].code == seccomp.RETURN


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_that_has_a_name_is_answered_as_its_list_says(machine: str) -> None:
    conditional = set(syscalls._CONDITIONS)
    for name, number in NUMBERS[machine].items():
        if name in conditional:
            continue
        found = answer(machine, number, *[0xDEAD0000] * 6)
        if name in ALLOWED:
            assert found == seccomp.ALLOW, name
        elif name in FATAL:
            assert found == seccomp.KILL, name
        elif name == "clone3":
            assert found == 0x00050000 | errno.ENOSYS
        else:
            assert found == seccomp.REFUSE, name
    assert not ALLOWED & FATAL
    assert not conditional & (ALLOWED | FATAL)
    known = set().union(*NUMBERS.values())
    assert (ALLOWED | FATAL | conditional | set(syscalls._TO_START)) <= known


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_newer_kernels_are_missing(machine: str) -> None:
    for number in (451, 462, 10_000, 0x3FFFFFFF):
        assert answer(machine, number) == seccomp.UNKNOWN


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_by_other_tables_are_fatal(machine: str) -> None:
    read = NUMBERS[machine]["read"]
    for other in (0x40000003, 0x40000028, 0, 0xFFFFFFFF):
        assert answer(machine, read, architecture=other) == seccomp.KILL
    assert answer(machine, read) == seccomp.ALLOW
    if machine == "x86_64":
        assert answer(machine, 0x40000000 | read) == seccomp.KILL
        assert answer(machine, -1) == seccomp.KILL


ARGUMENTS = [
    ("clone", (CLONE_OF_A_THREAD,), True),
    ("clone", (CLONE_OF_A_THREAD & ~0x10000,), False),
    ("clone", (SIGCHLD,), False),
    ("clone", (CLONE_OF_A_THREAD | 0x10000000,), False),  # CLONE_NEWUSER
    ("clone", (CLONE_OF_A_THREAD | 0x00002000,), False),  # CLONE_PTRACE
    ("kill", (PID, 15), True),
    ("kill", (PID, 9), False),
    ("kill", (PID, 9 | 1 << 32), False),
    ("kill", (PID - 1, 9), False),
    ("kill", (-1, 9), False),
    ("kill", (0, 9), False),
    ("kill", (-PID, 9), False),
    ("tgkill", (PID, 1, 15), True),
    ("tgkill", (PID, 1, 9), False),
    ("tgkill", (1, 1, 9), False),
    ("prlimit64", (0, 7, 0, 0), True),
    ("prlimit64", (1, 7, 0, 0), False),
    ("prlimit64", (0, 0, 0, 0), False),  # RLIMIT_CPU
    ("futex", (0, 128), True),
    ("futex", (0, 9 | 128 | 256), True),
    ("futex", (0, 6), False),  # FUTEX_LOCK_PI
    ("futex", (0, 12 | 128), False),  # FUTEX_CMP_REQUEUE_PI
    ("setrlimit", (3, 0), True),
    ("setrlimit", (0, 0), False),
    ("openat", (-100, 0, os.O_TMPFILE | os.O_RDWR), False),
    ("openat", (-100, 0, 0o2000000), True),
    ("openat", (-100, 0, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), True),
    ("openat", (-100, 0, os.O_RDWR | os.O_TRUNC), True),
    ("openat", (-100, 0, os.O_RDONLY | os.O_TRUNC), False),
    ("openat", (-100, 0, os.O_RDONLY | os.O_TRUNC | os.O_CREAT), False),
    ("mmap", (0, 4096, 7, 0x22, -1, 0), True),
    ("mmap", (0, 4096, 3, 0x40022, -1, 0), False),
    ("mmap", (0, 4096, 3, 0x2022, -1, 0), False),
    ("madvise", (0, 4096, 4), True),
    ("madvise", (0, 4096, 100), False),  # MADV_HWPOISON
    ("fcntl", (3, 2, 1), True),
    ("fcntl", (3, 8, 1), False),  # F_SETOWN
    ("fcntl", (3, 6, 0), False),  # F_SETLK
    ("fcntl", (3, 1031, 1 << 20), False),  # F_SETPIPE_SZ
    ("ioctl", (1, 0x5401), True),
    ("ioctl", (1, 0x5412), False),  # TIOCSTI
    ("prctl", (15,), True),
    ("prctl", (4, 1), False),  # PR_SET_DUMPABLE
    ("prctl", (22,), False),  # PR_SET_SECCOMP
    ("execve", (), False),
]


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments_decide(machine: str) -> None:
    for name, arguments, allowed in ARGUMENTS:
        found = answer(machine, NUMBERS[machine][name], *arguments)
        assert (found == seccomp.ALLOW) is allowed, (name, arguments)
    # open(2) has the flags in another place than openat(2).
    if machine == "x86_64":
        assert answer(machine, 2, 0, os.O_TRUNC) == seccomp.REFUSE
        assert answer(machine, 2, 0, os.O_TRUNC | os.O_WRONLY) == seccomp.ALLOW
        assert answer(machine, 2, 0, os.O_TMPFILE | os.O_RDWR) == seccomp.REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_another_program_is_started_only_where_that_is_meant(machine: str) -> None:
    calls = NUMBERS[machine]
    assert answer(machine, calls["execve"], starts=True) == seccomp.ALLOW
    assert answer(machine, calls["execveat"], starts=True) == seccomp.KILL
    assert answer(machine, calls["clone"], SIGCHLD, starts=True) == seccomp.REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_the_tables_are_the_kernels(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    lines = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text(), re.M)
    found = {name: int(number) for name, number in lines}
    table = dict(NUMBERS[machine])
    if machine == "aarch64":
        table["fstatat"] = table.pop("newfstatat")
    assert {name: found.get(name) for name in table} == table
    most = max(number for number in table.values())
    assert most == syscalls.LAST_KNOWN
    unnamed = {name for name, number in found.items() if number <= most} - set(table)
    of_32_bits = re.compile(r"\w*(time|adjtime|res_time|nanosleep_time|interval_time)64|\w*_time64")
    assert {one for one in unnamed if not of_32_bits.fullmatch(one)} <= {
        "arch_specific_syscall",  # not a call
        "sync_file_range2",  # another name for one
    }


def test_the_number_of_the_process_goes_where_it_belongs() -> None:
    machine = kernel.machine() or "x86_64"
    for starts in (False, True):
        assembled, places = seccomp._assembled(machine, starts)
        code = bytearray(assembled)
        for at in places:
            code[at : at + 4] = struct.pack("<I", PID)
        lines = seccomp.program(machine, PID, starts=starts)
        assert bytes(code) == b"".join(struct.pack("<HBBI", *line) for line in lines)
        assert len(places) == 3
