"""Runs a way as a process and measures it from outside, its children included."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@dataclass(frozen=True)
class Measured:
    """What a whole process tree took: wall and CPU seconds, its greatest anonymous memory, the
    bytes that its read calls returned and those that came from the disk (page faults of mapped
    files included), and the JSON value that it printed."""

    wall: float
    cpu: float
    peak_mb: float
    read_bytes: int
    disk_bytes: int
    result: dict[str, object]


def run(arguments: list[str], environment: Mapping[str, str] | None = None) -> Measured:
    """Run `python -m ARGUMENTS`; what it prints on standard output ends in a JSON value.

    `environment` is added to this process's own.
    """
    # Who leaves its children behind (as multiprocessing's fork server does, whose workers do the
    # work) leaves them to us: nobody's time escapes.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = _bytes_read()
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
        env={
            **os.environ,
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            # Nobody needs BLAS, and its threads spin when numpy is imported: 0.1 s of every way.
            "OPENBLAS_NUM_THREADS": "1",
            **(environment or {}),
        },
    )
    peak = _Peak(process.pid)
    errors: list[bytes] = []
    assert process.stdout is not None
    assert process.stderr is not None
    drain = threading.Thread(target=lambda pipe: errors.append(pipe.read()), args=(process.stderr,))
    drain.start()
    try:
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        cpu = usage.ru_utime + usage.ru_stime + _cpu_of_orphans(process.pid)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)  # a group of its own does not get Ctrl-C
        raise
    drain.join()
    peak.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments[:2]}: status {process.returncode}\n{errors[0].decode()}")
    # The kernel adds a child's counts to its parent's when the child is reaped.
    read, disk = (now - then for now, then in zip(_bytes_read(), before, strict=True))
    return Measured(wall, cpu, peak.kilobytes / 1000, read - len(printed), disk, _value(printed))


def forget(path: Path) -> None:
    """Make a file, or every file below a folder, cold: on the disk, and out of the page cache."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _value(printed: bytes) -> dict[str, object]:
    """The JSON object that a process printed: the last line, or an indented text."""
    lines = printed.decode().splitlines()
    begin = max((at for at, line in enumerate(lines) if line.startswith("{")), default=0)
    value: dict[str, object] = json.loads("\n".join(lines[begin:]))
    return value


def _bytes_read() -> tuple[int, int]:
    """Bytes by read calls, and from the disk, of this process and of the children it reaped."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"]), int(lines["read_bytes"])


def _cpu_of_orphans(group: int) -> float:
    """CPU seconds of the group's processes that outlived their parents; waits for their end."""
    found = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-group, 0)
        except ChildProcessError:
            return found
        found += usage.ru_utime + usage.ru_stime


class _Peak:
    """Watches the memory of a process and its descendants, but that of mapped files, 20 times a
    second."""

    def __init__(self, pid: int) -> None:
        self.kilobytes = 0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            tree = _tree(self._pid)
            self.kilobytes = max(self.kilobytes, sum(map(_anonymous, tree)))

    def stop(self) -> None:
        self._done.set()
        self._thread.join()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        try:
            for task in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def _anonymous(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    kilobytes = 0
    for line in status.splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            kilobytes += int(line.split()[1])
    return kilobytes
