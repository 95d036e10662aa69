"""Fetch one large file from a loopback Hub: ours beside curl + a digest, and huggingface_hub.

Every candidate is a whole process, started in turn, several rounds; the server is another process
and the same for all. Prints a line of JSON per figure, {"name", "value", "bar", "ok"}; exits 1 when
a bar is missed. SIZE= (bytes, default 3e9), ROUNDS= (default 3), TMPDIR as usual.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPO, FILE = "bench/big", "weights.bin"
SPEED_BAR = 0.9  # of the throughput of curl followed by sha256sum
MEMORY_BAR = 200.0  # MB

OURS = """
import sys
from pathlib import Path
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import open_hub
root = Path(sys.argv[1])
fetch(open_hub(None), RepoId("model", "bench/big"), "main", [WantedFile("weights.bin")],
      root / "upstream", Lock(root / "assets.lock"), lambda line: None)
"""
PEER = """
import sys
from huggingface_hub import hf_hub_download
hf_hub_download("bench/big", "weights.bin", cache_dir=sys.argv[1])
"""
DIGESTS = {
    "sha256sum": ["sha256sum"],
    "openssl": ["openssl", "dgst", "-sha256"],
}


def main() -> int:
    size = int(float(os.environ.get("SIZE", "3e9")))
    rounds = int(os.environ.get("ROUNDS", "3"))
    with tempfile.TemporaryDirectory(prefix="bench-fetch-") as folder, serving(Path(folder), size):
        out = Path(folder) / "out"
        times: dict[str, list[float]] = {}
        memory: dict[str, float] = {}
        processor: dict[str, list[float]] = {}
        for _ in range(rounds):
            for name, commands in candidates(out).items():
                out.mkdir()
                began = time.perf_counter()
                spent = [run(command) for command in commands]
                times.setdefault(name, []).append(time.perf_counter() - began)
                memory[name] = max(memory.get(name, 0.0), *(peak for peak, _ in spent))
                processor.setdefault(name, []).append(sum(cpu for _, cpu in spent))
                shutil.rmtree(out)
    return report(size, times, memory, processor)


@contextmanager
def serving(folder: Path, size: int) -> Iterator[None]:
    """A directory hub with one file of random bytes, served by a process of its own."""
    path = folder / "hub" / "models" / REPO / FILE
    path.parent.mkdir(parents=True)
    with path.open("wb") as handle:
        for left in range(size, 0, -(1 << 24)):
            handle.write(os.urandom(min(left, 1 << 24)))
    server = subprocess.Popen(
        [sys.executable, "-m", "wmtp_assets_tests.hub.loopback", str(folder / "hub")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    os.environ["HF_ENDPOINT"] = json.loads(server.stdout.readline())["endpoint"]
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def candidates(out: Path) -> dict[str, list[list[str]]]:
    """Commands by name; a candidate's commands run one after the other."""
    url = f"{os.environ['HF_ENDPOINT']}/{REPO}/resolve/main/{FILE}"
    curl = ["curl", "--silent", "--fail", "--location", "--output", str(out / FILE), url]
    found = {f"curl + {name}": [curl, [*tool, str(out / FILE)]] for name, tool in DIGESTS.items()}
    found["curl alone"] = [curl]
    found["wmtp"] = [[sys.executable, "-c", OURS, str(out)]]
    found["huggingface_hub, not verified"] = [[sys.executable, "-c", PEER, str(out)]]
    return found


def run(command: list[str]) -> tuple[float, float]:
    """The peak resident memory, in MB, and processor seconds of a command that succeeds."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command[:3]} ended with {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def report(
    size: int,
    times: dict[str, list[float]],
    memory: dict[str, float],
    processor: dict[str, list[float]],
) -> int:
    """Print every figure; 1 when a bar is missed."""
    fine = True
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in medians.items():
        figure(f"{name}: MB/s of {size / 1e9:g} GB", size / 1e6 / seconds)
        figure(f"{name}: processor seconds a GB", statistics.median(processor[name]) * 1e9 / size)
        figure(f"{name}: peak MB", memory[name])
    for name in ("curl + sha256sum", "curl + openssl", "huggingface_hub, not verified"):
        bar = SPEED_BAR if name == "curl + sha256sum" else None
        fine &= figure(f"wmtp: throughput against {name}", medians[name] / medians["wmtp"], bar)
    fine &= figure("wmtp: peak memory, MB", memory["wmtp"], MEMORY_BAR, at_most=True)
    return 0 if fine else 1


def figure(name: str, value: float, bar: float | None = None, *, at_most: bool = False) -> bool:
    """Print one figure, and whether it keeps to its bar (figures without one always do)."""
    ok = bar is None or (value <= bar if at_most else value >= bar)
    print(json.dumps({"name": name, "value": round(value, 3), "bar": bar, "ok": ok}), flush=True)
    return ok


if __name__ == "__main__":
    sys.exit(main())
