"""System calls for which Python's library has no name, through ctypes.

Each raises OSError with the name of the call, so that a message can say which one failed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Final

from .syscalls import NUMBERS

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def machine() -> str:
    """This machine's name in `syscalls.NUMBERS`, or "" where the sandbox does not know it.

    A Python of 32 bits on a machine of 64 makes other calls, so it is not known either.
    """
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    known = sys.platform == "linux" and sys.maxsize > 2**32 and sys.byteorder == "little"
    return name if known and name in NUMBERS else ""


def syscall(name: str, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """Makes a system call by its name; buffers are passed by their address.

    Raises OSError as the kernel says.
    """
    here = machine()
    if not here:
        raise OSError(38, f"{name}: no table of system calls for this machine")
    words = [
        ctypes.c_void_p(one) if one is None or isinstance(one, int) else one for one in arguments
    ]
    found = int(_libc.syscall(ctypes.c_long(NUMBERS[here][name]), *words))
    if found < 0:
        raise _error(name)
    return found


def prctl(option: int, *arguments: int) -> int:
    """prctl(2); raises OSError."""
    words = [ctypes.c_ulong(one) for one in (*arguments, 0, 0, 0, 0)[:4]]
    found = int(_libc.prctl(ctypes.c_int(option), *words))
    if found < 0:
        raise _error(f"prctl({option})")
    return found


def unshare(flags: int) -> None:
    """unshare(2); raises OSError."""
    if _libc.unshare(ctypes.c_int(flags)):
        raise _error("unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2); raises OSError, with the target."""
    words = [os.fsencode(one) if one else None for one in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) if data else None):
        raise _error(f"mount on {target}")


def unmount(target: str, flags: int) -> None:
    """umount2(2); raises OSError, with the target."""
    if _libc.umount2(os.fsencode(target), ctypes.c_int(flags)):
        raise _error(f"umount of {target}")


def text(value: str) -> ctypes.Array[ctypes.c_char]:
    """A path or name as `syscall` takes it."""
    return ctypes.create_string_buffer(os.fsencode(value))


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
