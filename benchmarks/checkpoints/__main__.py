"""`make bench-checkpoints`: a JSON line a figure, a table on standard error, 1 if a bar is missed.

Environment: SCALE (1.0 is 2.7 GB of float32; `full` is the whole 26.95 GB model, without the ways
that hold it in memory), ROUNDS (default 3), BENCH_DIR (the folder for the files while it runs).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.checkpoints import generate
from benchmarks.checkpoints.measure import Measured, remove, run_way
from benchmarks.measure import forget
from benchmarks.report import Report
from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.slicing import slice_model
from wmtp_assets.storage.digests import sha256_files

ONE = 2_700_000_000
PEERS = ("naive", "mapped", "reloaded", "lazy", "pretrained")
SAYS = {
    "floor": "input and output alone, overlapped (the floor)",
    "ours": "ours, the same job: one digest of the file",
    "sourced": "ours, digesting each tensor of the source as well",
    "certified": "ours with its certificate: each tensor digested on both sides",
    "naive": "torch.load, .half(), save_file, hashlib",
    "mapped": "the same with mmap=True",
    "reloaded": "safetensors' convert.py way: save, reload, compare",
    "lazy": "a lazy incremental saver",
    "pretrained": "transformers from_pretrained, save_pretrained",
}


def main() -> int:
    scale = os.environ.get("SCALE", "1.0")
    rounds = int(os.environ.get("ROUNDS", "3"))
    report = Report()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        if scale == "full":
            bench(Path(name), generate.REAL_BYTES, (), rounds, report)
        else:
            size = float(scale) * ONE
            bench(Path(name), size, PEERS, rounds, report)
            linear(Path(name), size / 2, rounds, report)
    return 0 if report.ok else 1


def bench(folder: Path, size: float, peers: Sequence[str], rounds: int, report: Report) -> None:
    """The conversion beside the floor and `peers`, on one source, in interleaved rounds."""
    source = make_source(folder, size)
    shards = folder / "shards"
    if "pretrained" in peers:
        shards.mkdir()
        generate.write_shards(generate.llama_config(read_params(source)), shards)
    target = folder / "model.safetensors"
    measured: dict[str, list[Measured]] = {}
    for _ in range(rounds):
        for way in ("floor", "ours", "sourced", "certified", *peers):
            origin = shards if way == "pretrained" else source
            result = folder / "pretrained" if way == "pretrained" else target
            measured.setdefault(way, []).append(run_way(way, origin, result))
            print(f"  {way}: {measured[way][-1].wall:.1f} s", file=sys.stderr, flush=True)
            remove(folder / "pretrained")
    table(source, measured)
    figures(source, measured, report)
    remove(shards)
    run_way("ours", source, target)
    verification(source, target, rounds, report)
    slicing(read_params(source), target, report)
    for path in (source, target):
        remove(path)


def make_source(folder: Path, size: float) -> Path:
    """A checkpoint of about `size` bytes, with its params beside it."""
    params = generate.mtp_params(size)
    source = folder / "consolidated.pth"
    source.with_suffix(".json").write_text(json.dumps(params))
    generate.write_checkpoint("meta-mtp", params, source)
    return source


def read_params(source: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads(source.with_suffix(".json").read_text())
    return value


def figures(source: Path, measured: dict[str, list[Measured]], report: Report) -> None:
    """Ratios of medians, and the floor's by round: the disk's mood changes between rounds."""
    size = source.stat().st_size
    large = size >= 20e9
    report.figure("source_gb", size / 1e9, None)
    floors = [one.seconds for one in measured["floor"]]
    for way, name in (("ours", "conversion"), ("certified", "certified_conversion")):
        ratios = [one.seconds / floor for one, floor in zip(measured[way], floors, strict=True)]
        bar = (1.15 if large else 1.35) if way == "ours" else 1.6
        report.figure(f"{name}_over_io_floor", statistics.median(ratios), bar)
    for way, name, bar in (
        ("sourced", "source_digest_adds", 1.25),
        ("certified", "certificate_adds", None),
    ):
        added = [
            more.seconds / plain.seconds
            for more, plain in zip(measured[way], measured["ours"], strict=True)
        ]
        report.figure(name, statistics.median(added), bar)
    peak = max(one.peak_mb for way in ("ours", "sourced", "certified") for one in measured[way])
    report.figure("peak_anonymous_mb", peak, 256)
    moved = median(measured["ours"], lambda one: one.bytes_moved)
    report.figure("bytes_moved_over_source_plus_target", moved / (size * 1.5), 1.02)
    if "naive" in measured:
        for what, bar in (("wall", 0.33), ("cpu", 0.22)):
            naive, ours = (
                statistics.median(getattr(one, what) for one in measured[way])
                for way in ("naive", "ours")
            )
            report.figure(f"{what}_over_torch_safetensors_hashlib", ours / naive, bar)
        same = {
            one.sha256 for way in ("naive", "ours", "sourced", "certified") for one in measured[way]
        }
        report.figure("different_results", len(same) - 1, 0)


def verification(source: Path, target: Path, rounds: int, report: Report) -> None:
    """Two files at once: our digests beside `openssl dgst -sha256`, on as many cores."""
    files = [target, source]
    size = sum(path.stat().st_size for path in files)

    def openssl() -> None:
        running = [
            subprocess.Popen(["openssl", "dgst", "-sha256", p], stdout=subprocess.DEVNULL)
            for p in files
        ]
        assert [one.wait() for one in running] == [0, 0]

    def deep() -> None:
        sha256_files(files, workers=2)

    ratios, rates = [], []
    for _ in range(rounds):
        seconds = []
        for work in (openssl, deep):
            for path in files:
                forget(path)
            start = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
        rates.append(size / seconds[1] / 1e9)
    report.figure("verification_gb_per_s", statistics.median(rates), None)
    report.figure("verification_over_openssl", statistics.median(ratios), 0.9, least=True)


def slicing(params: dict[str, object], target: Path, report: Report) -> None:
    """Bytes that cutting the micro model asks for, beside those that it keeps."""
    micro = target.with_name("micro.safetensors")
    before = read_so_far()
    start = time.perf_counter()
    slice_model(
        "meta-mtp",
        target,
        params,
        MicroShape(layers=4, dim=min(512, dim_of(params)), ffn=1536),
        micro,
    )
    report.figure("slicing_seconds", time.perf_counter() - start, None)
    header = read_header(target).data_start
    asked = read_so_far() - before - header
    report.figure("slicing_reads_over_kept", asked / micro.stat().st_size, 1.01)


def dim_of(params: dict[str, object]) -> int:
    dim = params["dim"]
    assert isinstance(dim, int)
    return dim


def read_so_far() -> int:
    """Bytes that this process has asked of read calls."""
    return int(Path("/proc/self/io").read_text().split()[1])


def linear(folder: Path, size: float, rounds: int, report: Report) -> None:
    """Cost a byte at 1x, 2x and 4x: CPU (which no disk's mood sways) and wall time."""
    target = folder / "model.safetensors"
    costs: dict[int, list[Measured]] = {}
    sizes: dict[int, int] = {}
    for times in (1, 2, 4):
        place = folder / f"{times}x"
        place.mkdir()
        source = make_source(place, size * times)
        sizes[times] = source.stat().st_size
        costs[times] = [run_way("certified", source, target) for _ in range(rounds)]
        remove(place)
    for times in (2, 4):
        cpu = (median(costs[times], lambda t: t.cpu) - median(costs[1], lambda t: t.cpu)) / (
            sizes[times] - sizes[1]
        )
        whole = median(costs[1], lambda t: t.cpu) / sizes[1]
        report.figure(f"cpu_per_added_byte_at_{times}x_over_1x", cpu / whole, 1.1)
        wall = median(costs[times], lambda t: t.seconds) / sizes[times]
        first = median(costs[1], lambda t: t.seconds) / sizes[1]
        report.figure(f"seconds_per_byte_at_{times}x_over_1x", wall / first, 1.35)
    peaks = [max(one.peak_mb for one in costs[times]) for times in (1, 4)]
    report.figure("peak_mb_added_by_4x", peaks[1] - peaks[0], 16)


def table(source: Path, measured: dict[str, list[Measured]]) -> None:
    """Medians and ranges, as benchmarks/checkpoints/README.md shows them."""
    columns = ("wall s", "apart from imports s", "CPU s", "peak anonymous MB", "GB moved")
    title = f"{source.stat().st_size / 1e9:.2f} GB float32 to float16"
    print(f"\n| {' | '.join((title, *columns))} |", file=sys.stderr)
    print("| --- | --- | --- | --- | --- | --- |", file=sys.stderr)
    for way, runs in measured.items():
        walls = [one.wall for one in runs]
        print(
            f"| {SAYS[way]} | {statistics.median(walls):.1f} ({min(walls):.1f}-{max(walls):.1f})"
            f" | {median(runs, lambda t: t.seconds):.1f} | {median(runs, lambda t: t.cpu):.1f}"
            f" | {max(one.peak_mb for one in runs):,.0f}"
            f" | {median(runs, lambda t: t.bytes_moved) / 1e9:.2f} |",
            file=sys.stderr,
            flush=True,
        )


def median(runs: Sequence[Measured], of: Callable[[Measured], float]) -> float:
    return statistics.median(of(one) for one in runs)


if __name__ == "__main__":
    sys.exit(main())
