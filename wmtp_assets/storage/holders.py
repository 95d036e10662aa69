"""Which process holds something, recorded so that another process can tell whether it is gone."""

from __future__ import annotations

import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """A process by its number, its start (in ticks since boot), its process namespace and its
    machine's boot; that machine's name and id; `nonce` is of this one holding."""

    nonce: str
    pid: int
    started: int
    space: int
    boot: str
    host: str
    machine: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"

    @property
    def is_visible(self) -> bool:
        """Whether this process would see it, if it were alive: on this machine since its start, in
        the same process namespace."""
        return bool(boot()) and (self.boot, self.space) == (boot(), _space())

    @property
    def is_of_this_process(self) -> bool:
        """Whether it is this very process, of a visible one."""
        return self.pid == os.getpid()

    def is_gone(self) -> bool:
        """Whether no such process is there any more, of a visible one; or a dead one that its
        parent has not waited for, which holds nothing either."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        found = _fields(self.pid)
        if found is None:
            return False
        dead = found[_STATE] in (b"Z", b"X") and int(found[_THREADS]) <= 1
        return dead or int(found[_START]) != self.started

    def is_before_a_restart(self) -> bool:
        """Whether it is of this machine, by name and id, before that was started anew. Copies of a
        container may have both in common."""
        of_here = (self.host, self.machine) == (platform.node(), machine())
        return bool(machine()) and of_here and self.boot != boot()


def this_process(nonce: str) -> Holder:
    """This process, holding something from now on."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    pid = os.getpid()
    return Holder(nonce, pid, _start(pid) or 0, _space(), boot(), platform.node(), machine(), now)


@cache
def boot() -> str:
    """The id of this machine's start; empty where the system does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


@cache
def machine() -> str:
    """The id of this machine; empty where it has none."""
    with suppress(OSError):
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    return ""


def _space() -> int:
    with suppress(OSError):
        return Path("/proc/self/ns/pid").stat().st_ino
    return 0


def _start(pid: int) -> int | None:
    """When a process was started, in ticks since boot; None where the system does not say."""
    found = _fields(pid)
    return int(found[_START]) if found else None


# Of /proc/<pid>/stat, counted from the third field.
_STATE, _THREADS, _START = 0, 17, 19


def _fields(pid: int) -> list[bytes] | None:
    try:
        # The name, in parentheses, may hold anything; the fields from the third on come after it.
        found = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return found if len(found) > _START else None
