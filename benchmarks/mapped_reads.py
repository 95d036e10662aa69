"""Mapped reads beside read calls, of the same files, on a disk and on a file system in user space.

    python -m benchmarks.mapped_reads [FOLDER]

FUSE (bindfs) simulates a network file system: every request that the kernel makes is counted, by
strace of its server. Each way begins with a cold page cache, and they alternate. Needs root or a
fusermount, bindfs and strace.
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, ROW_BYTES, FILE_BYTES = 2_000, 2_000, 256 << 20
TENSORS, TENSOR_BYTES = 24, 8 << 20
TURNS = 3

READER = """
import json, mmap, os, random, sys, time
path, mapped = sys.argv[1], sys.argv[2] == "mapped"
size = os.path.getsize(path)
chance = random.Random(1)
begins = [chance.randrange(size - {row}) for _ in range({rows})]
file = os.open(path, os.O_RDONLY)
began = time.perf_counter()
if mapped:
    data = mmap.mmap(file, 0, prot=mmap.PROT_READ)
    total = sum(len(data[at : at + {row}]) for at in begins)
else:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    total = sum(len(os.pread(file, {row}, at)) for at in begins)
print(json.dumps([time.perf_counter() - began, time.process_time()]))
"""
LOADER = """
import json, sys, time
from pathlib import Path
import torch
from wmtp_assets.mtp.loading import read_tensors
began, used = time.perf_counter(), time.process_time()
tensors = read_tensors(Path(sys.argv[1]), mmap=sys.argv[2] == "mapped")
total = sum(int(tensor[::4096].long().sum()) for tensor in tensors.values())  # every page
print(json.dumps([time.perf_counter() - began, time.process_time() - used]))
"""


def run(script: str, path: Path, way: str) -> tuple[float, float]:
    """Wall-clock and CPU seconds."""
    command = [sys.executable, "-c", script, str(path), way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, cpu = json.loads(done.stdout)
    return seconds, cpu


def on_fuse(script: str, name: str, way: str, backing: Path, mount: Path) -> tuple[float, ...]:
    """The same by FUSE: seconds, requests of the server, and bytes that it read."""
    trace = backing.parent / "trace"
    server = subprocess.Popen(
        ["strace", "-f", "-qq", "-e", "trace=pread64", "-o", trace, "bindfs", "-f", backing, mount]
    )
    try:
        while not os.path.ismount(mount):
            time.sleep(0.05)
        seconds, _ = run(script, mount / name, way)
    finally:
        subprocess.run(["fusermount", "-u", mount], check=True)
        server.wait()
    counts = [int(one) for one in re.findall(r"= (\d+)$", trace.read_text(), re.MULTILINE)]
    return seconds, len(counts), sum(counts)


def on_disk(script: str, path: Path, way: str) -> tuple[float, ...]:
    """Seconds, with the file's pages dropped before."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    return run(script, path, way)


def main(folder: Path) -> None:
    """Prints a table of medians."""
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(dir=folder) as here:
        backing, mount = Path(here, "backing"), Path(here, "mount")
        backing.mkdir()
        mount.mkdir()
        with (backing / "rows").open("wb") as file:
            chance = random.Random(0)
            for _ in range(FILE_BYTES >> 20):
                file.write(chance.randbytes(1 << 20))
        tensors = {
            f"layers.{n}.weight": torch.randint(0, 255, (TENSOR_BYTES,), dtype=torch.uint8)
            for n in range(TENSORS)
        }
        save_file(tensors, backing / "weights")
        os.sync()
        reader = READER.format(rows=ROWS, row=ROW_BYTES)
        print("what, way, s on the disk, s on FUSE, requests, MB read")
        for what, script, name in (
            (f"{ROWS} rows at random of {FILE_BYTES >> 20} MiB", reader, "rows"),
            (f"{TENSORS * TENSOR_BYTES >> 20} MiB of weights", LOADER, "weights"),
        ):
            found: dict[str, list[tuple[float, ...]]] = {"mapped": [], "read": []}
            for _ in range(TURNS):
                for way, turns in found.items():
                    disk = on_disk(script, backing / name, way)
                    fuse = on_fuse(script, name, way, backing, mount)
                    turns.append((disk[0], *fuse))
            for way, turns in found.items():
                disk_s, fuse_s, requests, size = map(statistics.median, zip(*turns, strict=True))
                print(
                    f"{what}, {way}, {disk_s:.2f}, {fuse_s:.2f}, {requests:,.0f}, {size / 1e6:.0f}"
                )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
