"""Runs a process and measures it from outside: wall time, CPU time, peak anonymous memory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import forget


@dataclass(frozen=True)
class Measured:
    """What one run took. `seconds` is apart from imports, `wall` is the whole process."""

    wall: float
    cpu: float
    seconds: float
    peak_mb: float
    bytes_moved: int
    sha256: str


def run_way(way: str, source: Path, target: Path) -> Measured:
    """Run `way` (see `ways.py`) from a cold source to a target that is not there yet."""
    remove(target)
    if way == "pretrained":
        target.mkdir()
    forget(source)
    command = [sys.executable, "-m", "benchmarks.checkpoints.ways", way, str(source), str(target)]
    start = time.perf_counter()
    quiet = os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=quiet)
    peak = _Peak(process.pid)
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    peak.stop()
    if process.returncode:
        raise SystemExit(f"{way} failed with status {process.returncode}")
    result = json.loads(lines[-1])
    return Measured(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        seconds=result["seconds"],
        peak_mb=peak.kilobytes / 1000,
        bytes_moved=result["bytes_moved"],
        sha256=result["sha256"],
    )


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Peak:
    """Watches a process's anonymous memory, every 5 ms: mapped files are not counted."""

    def __init__(self, pid: int) -> None:
        self.kilobytes = 0
        self._status = Path(f"/proc/{pid}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            try:
                text = self._status.read_text()
            except OSError:
                return
            if "RssAnon:" in text:
                self.kilobytes = max(
                    self.kilobytes, int(text.split("RssAnon:")[1].split(maxsplit=1)[0])
                )

    def stop(self) -> None:
        self._done.set()
        self._thread.join()
