"""Runs attacks in the sandbox and says how each ended; started as a server of its own.

    python -P -S -s runner.py < JOB

JOB is JSON: `root` (where the package is), `without` (layers that are not used), `broken` (what is
taken out on purpose, to see what it stopped), `scratch`, `readable`, `attacks` ({name: source}),
`walls` ({name: seconds}) and `target`, which every attack reads from its stdin. Prints JSON: how
each attack ended, and what the server noticed of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

AT_ONCE = 6
KEPT_BYTES = 20_000
OWN = {signal.SIGCHLD, signal.SIGPIPE}  # these it receives without anybody's doing


def main() -> None:
    job = json.loads(sys.stdin.read())
    sys.path.insert(0, job["root"])
    from wmtp_assets.execution import confinement, limits, seccomp

    sys.path.remove(job["root"])
    bounds = limits.Limits(
        cpu_seconds=1,
        memory_bytes=384 << 20,
        output_bytes=1 << 20,
        file_bytes=1 << 20,
        threads=32,
        scratch_bytes=8 << 20,
        scratch_files=200,
    )
    take_out(job["broken"], confinement, limits, seccomp)
    signals: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        signals.append(number)

    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, *OWN}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, note)
    scratch = Path(job["scratch"])
    readable = [Path(one) for one in job["readable"]]
    means = confinement.available(without=job["without"])
    means = confinement.isolate(means, scratch, readable=readable, limits=bounds, at_once=AT_ONCE)
    before = state()
    kept_open = os.pipe()  # what an attack must not find
    waiting = list(job["attacks"].items())
    running: list[Running] = []
    endings = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name, source = waiting.pop(0)
            own = replace(bounds, wall_seconds=job["walls"][name])
            running.append(
                Running(name, source, job["target"], scratch, own, means, readable, confinement)
            )
        select.select([one.output for one in running], [], [], 0.01)
        for one in list(running):
            if one.has_ended(limits, "watch" not in job["broken"]):
                running.remove(one)
                endings[one.name] = one.ending()
                limits.clear(one.scratch)
                signals += [-1] if one.scratch.exists() else []
    os.set_blocking(kept_open[0], False)
    with contextlib.suppress(BlockingIOError):
        signals.append(-len(os.read(kept_open[0], 1000)))
    noticed = {"signals": signals, "changed": state() != before, "means": means.landlock}
    print(json.dumps({"endings": endings, "noticed": noticed}))


def take_out(broken: list[str], confinement: Any, limits: Any, seccomp: Any) -> None:
    """Leaves out what a layer does, although the sandbox believes that it was done."""

    def nothing(*_: Any, **__: Any) -> int:
        return 0

    if "landlock" in broken:
        confinement.landlock.restrict = nothing
    if "seccomp" in broken:
        seccomp.install = nothing
    if "limits" in broken:
        limits.Limits.impose = nothing
    if "privileges" in broken:
        confinement.privileges.drop = nothing
        confinement.privileges.users = lambda: "same"
    if "descriptors" in broken:
        confinement._close_all_but = nothing


def state() -> object:
    """What attacks could change of the server: its limits, and its rights."""
    return (
        [resource.getrlimit(one) for one in range(15)],
        os.getresuid(),
        os.getpriority(os.PRIO_PROCESS, 0),
        sorted(os.sched_getaffinity(0)),
    )


class Running:
    """An attack that runs."""

    def __init__(
        self,
        name: str,
        source: str,
        target: dict[str, Any],
        scratch: Path,
        bounds: Any,
        means: Any,
        readable: list[Path],
        confinement: Any,
    ) -> None:
        self.name = name
        self.bounds = bounds
        self.scratch = scratch / name
        self.scratch.mkdir()
        self.nonce = f"{random.getrandbits(64):x}"
        self.started = time.monotonic()
        self.why = ""
        self.printed = 0
        self.text = b""
        taken, given = os.pipe()
        self.output, printed = os.pipe()
        self.last, said = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.dup2(taken, 0)
                os.dup2(printed, 1)
                os.dup2(printed, 2)
                confinement.confine(self.scratch, bounds, means, readable=readable, keep=[said])
                become(source, self.name, said, self.nonce)
            except BaseException as error:
                os.write(1, f"not confined: {error}\n".encode())
            finally:
                os._exit(1)
        for one in (taken, printed, said):
            os.close(one)
        os.set_blocking(self.output, False)
        with contextlib.suppress(BrokenPipeError):
            os.write(given, json.dumps(target).encode())
        os.close(given)

    def has_ended(self, limits: Any, watched: bool) -> bool:
        """Looks at it once; ends it where it exceeds a bound."""
        with contextlib.suppress(BlockingIOError):
            got = os.read(self.output, 1 << 16)
            self.printed += len(got)
            self.text = (self.text + got)[:KEPT_BYTES] if not self.text else self._more(got)
        if not self.why:
            if self.printed > self.bounds.output_bytes:
                self.why = f"printed more than {self.bounds.output_bytes} bytes"
            elif time.monotonic() - self.started > self.bounds.wall:
                self.why = f"time: {self.bounds.wall:g} s on the clock"
            elif watched:
                self.why = limits.overstepped(self.pid, self.scratch, self.bounds)
            if self.why:
                os.kill(self.pid, signal.SIGKILL)
        pid, self.status, self.usage = os.wait4(self.pid, os.WNOHANG)
        return pid != 0

    def _more(self, got: bytes) -> bytes:
        return (self.text + got)[-KEPT_BYTES:]

    def ending(self) -> dict[str, Any]:
        with contextlib.suppress(BlockingIOError):
            while got := os.read(self.output, 1 << 16):
                self.text = self._more(got)
        proof = os.read(self.last, 100).decode()
        os.close(self.output)
        os.close(self.last)
        code = os.waitstatus_to_exitcode(self.status)
        seconds = self.usage.ru_utime + self.usage.ru_stime
        lines = [line for line in self.text.decode("utf-8", "replace").splitlines() if line]
        if self.why:
            says = self.why
        elif code == -signal.SIGXCPU or (code == -signal.SIGKILL and seconds > 1):
            says = f"time: {self.bounds.cpu_seconds:g} s of the processor"
        elif code == -signal.SIGSYS:
            says = "SIGSYS: a system call that programs may not make"
        elif code < 0:
            says = signal.Signals(-code).name
        elif code:
            says = f"status {code}: {lines[-1] if lines else ''}"
        elif proof != self.nonce:
            says = "left before its last line"
        else:
            says = "ended by itself"
        return {
            "says": says,
            "escaped": [line for line in lines if line.startswith("ESCAPED")],
            "tail": lines[-8:],
            "seconds": round(seconds, 3),
            "wall": round(time.monotonic() - self.started, 3),
            "mebibytes": self.usage.ru_maxrss >> 10,
        }


def become(source: str, name: str, said: int, nonce: str) -> None:
    """Runs an attack as the main program; the nonce is printed after its last line."""
    import traceback

    sys.path[:] = [one for one in sys.path if "python3" in one]
    # As in a fresh interpreter: buffers that belong to descriptors 0, 1 and 2.
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    status = 0
    try:
        exec(compile(source, name, "exec"), {"__name__": "__main__"})  # noqa: S102
        os.write(said, nonce.encode())
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
