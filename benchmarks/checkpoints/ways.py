"""The ways from a float32 checkpoint to a float16 one, each as a process of its own.

`python -m benchmarks.checkpoints.ways WAY SOURCE TARGET`. The last line printed is JSON: `seconds`
apart from imports, `sha256` of what was made. Every way ends with a digest of its result: ours,
because it has it anyway; the others by hashlib, as their users do.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmtp_assets.checkpoints.planning import Plan

BLOCK = 4 << 20


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def naive(source: Path, target: Path) -> str:
    """torch.load, .half(), save_file, hashlib."""
    import torch
    from safetensors.torch import save_file

    start_clock()
    state = torch.load(source, weights_only=True, map_location="cpu")
    save_file(
        {name: tensor.half() for name, tensor in state.items()}, target, metadata={"format": "pt"}
    )
    return sha256(target)


def mapped(source: Path, target: Path) -> str:
    """The same with torch.load(mmap=True)."""
    import torch
    from safetensors.torch import save_file

    start_clock()
    state = torch.load(source, weights_only=True, map_location="cpu", mmap=True)
    save_file(
        {name: tensor.half() for name, tensor in state.items()}, target, metadata={"format": "pt"}
    )
    return sha256(target)


def reloaded(source: Path, target: Path) -> str:
    """As safetensors' convert.py does it: save, load again, compare every tensor."""
    import torch
    from safetensors.torch import load_file, save_file

    start_clock()
    state = torch.load(source, weights_only=True, map_location="cpu")
    state = {name: tensor.half().contiguous() for name, tensor in state.items()}
    save_file(state, target, metadata={"format": "pt"})
    again = load_file(target)
    for name, tensor in state.items():
        if not torch.equal(tensor, again[name]):
            raise SystemExit(f"{name} differs")
    return sha256(target)


def lazy(source: Path, target: Path) -> str:
    """A lazy reader and an incremental saver, tensor by tensor, to torch's own format."""
    import torch

    from wmtp_assets.checkpoints.archive import read_archive

    start_clock()
    reader = torch._C.PyTorchFileReader(str(source))
    writer = torch._C.PyTorchFileWriter(str(target))
    for number, tensor in enumerate(read_archive(source)):
        count = tensor.elements
        storage = reader.get_storage_from_record(f"data/{tensor.storage}", count, torch.float32)
        half = storage.half().contiguous()
        data = half.untyped_storage()
        # The stub does not know UntypedStorage, which torch.save itself passes here.
        writer.write_record(f"data/{number}", data, data.nbytes())  # type: ignore[arg-type]
    writer.write_end_of_file()
    return sha256(target)


def pretrained(source: Path, target: Path) -> str:
    """transformers: from_pretrained in float16, save_pretrained. `source` is a folder of shards."""
    import torch
    from transformers import LlamaForCausalLM

    start_clock()
    model = LlamaForCausalLM.from_pretrained(source, dtype=torch.float16)
    model.save_pretrained(target)
    return ",".join(sha256(path) for path in sorted(target.glob("*.safetensors")))


def ours(source: Path, target: Path) -> str:
    """One streamed pass, and the digest of the file: the same job as the others."""
    from wmtp_assets.checkpoints.convert import convert_uncertified
    from wmtp_assets.checkpoints.libtorch import load

    load()  # before the clock starts, as the other ways import torch
    start_clock()
    return convert_uncertified(plan_of(source), target)


def sourced(source: Path, target: Path) -> str:
    """The same, with a digest of each of the source's tensors in the same pass."""
    from wmtp_assets.checkpoints.block_io import publish_blocks
    from wmtp_assets.checkpoints.convert import run
    from wmtp_assets.checkpoints.libtorch import load

    load()  # before the clock starts, as the other ways import torch
    start_clock()
    plan = plan_of(source)
    with publish_blocks(target, plan.target_size, "Measuring") as writer:
        return run(plan, writer, digest_target=False).file_sha256


def certified(source: Path, target: Path) -> str:
    """The same with its certificate: digests of each tensor on both sides, in the same pass."""
    from wmtp_assets.checkpoints.convert import convert
    from wmtp_assets.checkpoints.libtorch import load

    load()  # before the clock starts, as the other ways import torch
    start_clock()
    return convert(plan_of(source), target).target_sha256


def plan_of(source: Path) -> Plan:
    """Our plan for a source that `generate.py` wrote."""
    from wmtp_assets.checkpoints.planning import plan_conversion
    from wmtp_assets.checkpoints.source import open_source

    params = json.loads(source.with_suffix(".json").read_text())
    return plan_conversion(open_source([source]), "meta-mtp", params, "float16")


def floor(source: Path, target: Path) -> str:
    """Nothing but input and output: read the source, write half as much, all at once, and sync.

    With the best of each that was found on such a machine, which is also what ours does: direct
    reads by two threads and direct writes by one, from huge pages, blocks of 4 MiB. No byte is
    looked at.
    """
    import threading

    from wmtp_assets.checkpoints.pipeline import aligned_memory

    start_clock()
    size = source.stat().st_size
    half = size // 2 // BLOCK * BLOCK
    reading = os.open(source, os.O_RDONLY | os.O_DIRECT)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT, 0o666)

    def write() -> None:
        memory = aligned_memory(BLOCK)
        memory[:] = 7
        for _ in range(0, half, BLOCK):
            os.write(writing, memory.data)
        os.fsync(writing)

    def read(first: int) -> None:
        memory = aligned_memory(BLOCK)
        for at in range(first * BLOCK, size, 2 * BLOCK):
            os.preadv(reading, [memory.data], at)

    threads = [threading.Thread(target=write)]
    threads += [threading.Thread(target=read, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(reading)
    os.close(writing)
    return ""


WAYS: dict[str, Callable[[Path, Path], str]] = {
    "floor": floor,
    "ours": ours,
    "sourced": sourced,
    "certified": certified,
    "naive": naive,
    "mapped": mapped,
    "reloaded": reloaded,
    "lazy": lazy,
    "pretrained": pretrained,
}
_started = 0.0


def start_clock() -> None:
    """Imports are done: what comes now is the conversion."""
    global _started
    _started = time.perf_counter()


def main() -> None:
    """Run one way and say what it took."""
    _, way, source, target = sys.argv
    digest = WAYS[way](Path(source), Path(target))
    seconds = time.perf_counter() - _started
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    moved = int(counters["read_bytes"]) + int(counters["write_bytes"])
    print(json.dumps({"seconds": seconds, "sha256": digest, "bytes_moved": moved}))


if __name__ == "__main__":
    main()
