"""Executes a command as on a machine whose kernel offers neither Landlock nor namespaces.

A seccomp filter, which the command's processes inherit, answers those system calls as such kernels
do: ENOSYS for what they do not have, EPERM for what they do not allow. x86-64 alone.

    python -m wmtp_assets_tests.orchestration.without_sandbox COMMAND...
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data

_ABSENT = {"landlock_create_ruleset": 444, "landlock_restrict_self": 446, "clone3": 435}
_FORBIDDEN = {"unshare": 272, "setns": 308}
_CLONE = 56
_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW flag


def _filter() -> bytes:
    program = [(_LOAD, 0, 0, _NUMBER)]
    for numbers, answer in ((_ABSENT, errno.ENOSYS), (_FORBIDDEN, errno.EPERM)):
        for number in numbers.values():
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | answer)]
    program += [
        (_EQUAL, 0, 3, _CLONE),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in program)


def main(command: list[str]) -> None:
    """Installs the filter and becomes the command."""
    libc = ctypes.CDLL(None, use_errno=True)
    lines = _filter()
    buffer = ctypes.create_string_buffer(lines, len(lines))
    program = struct.pack("<HxxxxxxQ", len(lines) // 8, ctypes.addressof(buffer))
    for option, *rest in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(program), 0, 0),
    ):
        if libc.prctl(option, *rest) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option})")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
