"""`make bench-codecontests`: one JSON line a figure, 1 if a bar is missed.

Environment: SCALE (the fraction of upstream's size, default 0.02), ROUNDS (default 3), BENCH_DIR
(the folder for the files while it runs), TOKENIZER (a SentencePiece model; without one the real
LLaMA model beside the repository, if it is there). A peer that isn't installed is left out, and the
output names it.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.codecontests import reading
from benchmarks.codecontests.generator import write_shards
from benchmarks.measure import Measured, run
from benchmarks.report import Report

_HERE = "benchmarks.codecontests"
# Peers: (what must be installed, least times our CPU, least times our wall time).
PEERS: dict[str, tuple[str, float | None, float | None]] = {
    "datasets_well": ("datasets", 10, 10),
    "polars": ("polars", 9, None),
    "duckdb": ("duckdb", 9, None),
    "datatrove": ("datatrove", 9, None),
    "streaming": ("pyarrow", None, None),
}
# They take minutes: once. (Least times our CPU.)
SLOW: dict[str, float | None] = {"datasets_straightforward": 50, "datasets_sentencepiece": None}
_REPEATED = 3
_LARGE = 4_000_000_000  # bytes of a file that is not in memory after a few seconds of reading
_REAL = Path(__file__).parents[2] / "../shared/data/llama_tokenizer/tokenizer.model"


def main() -> int:
    scale = float(os.environ.get("SCALE", "0.02"))
    rounds = int(os.environ.get("ROUNDS", "3"))
    tokenizer = default_tokenizer()
    if not tokenizer.exists():
        print(f"No tokenizer at {tokenizer}: set TOKENIZER to LLaMA's tokenizer.model.")
        return 1
    report = Report()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        shards = write_shards(folder / "hub", scale)
        bench_transform(folder, shards, tokenizer, rounds, report)
        bench_growth(folder, scale, tokenizer, report)
        bench_reading(folder, rounds, report)
    return 0 if report.ok else 1


def default_tokenizer() -> Path:
    """The SentencePiece model that TOKENIZER names, else LLaMA's own beside the repository."""
    return Path(os.environ.get("TOKENIZER", _REAL)).resolve()


def bench_transform(
    folder: Path, shards: list[Path], tokenizer: Path, rounds: int, report: Report
) -> None:
    """Ours against the floor's parts and the peers, interleaved, medians."""
    peers = [peer for peer in PEERS if importlib.util.find_spec(PEERS[peer][0])]
    for peer in PEERS.keys() - set(peers):
        print(f"{peer} is not installed: left out", file=sys.stderr)
    measured: dict[str, list[Measured]] = {}
    for at in range(rounds):
        # Seconds each, and the machine swings: several to a round.
        for way in (*("ours1", "ours2", "floor") * _REPEATED, *peers):
            measured.setdefault(way, []).append(_run(way, folder, shards, tokenizer))
            print(f"round {at}: {way} {measured[way][-1]}", file=sys.stderr)
    beside = {way: _once(way, folder, shards, tokenizer) for way in SLOW}
    measured |= {way: [found] for way, (found, _) in beside.items()}
    ours = measured["ours1"][0].result
    report.figure("transform.rows", _number(ours["rows"]))
    for part in ("decode", "tokenize", "escape", "write", "hash"):
        report.figure(f"floor.{part}_cpu_s", _median(measured["floor"], _result(part)))
    floor = [sum(map(_number, each.result.values())) for each in measured["floor"]]
    for processes, bar in ((1, 1.5), (2, 1.7)):
        mine = measured[f"ours{processes}"]
        report.figure(f"ours.{processes}_process.wall_s", _median(mine, _wall))
        report.figure(f"ours.{processes}_process.cpu_s", _median(mine, _cpu))
        report.figure(f"ours.{processes}_process.peak_mb", max(each.peak_mb for each in mine), 700)
        over = [
            _number(each.result["cpu"]) / least for each, least in zip(mine, floor, strict=True)
        ]
        report.figure(f"ours.{processes}_process.cpu_over_floor", statistics.median(over), bar)
    bars = {**PEERS, **{way: ("datasets", bar, None) for way, bar in SLOW.items()}}
    for peer in (*peers, *SLOW):
        _, cpu_bar, wall_bar = bars[peer]
        found = measured[peer]
        assert found[0].result["rows"] == ours["rows"], f"{peer} made other rows"
        same = found[0].result["sha256"] == ours["sha256"]
        report.figure(f"{peer}.wall_s", _median(found, _wall))
        report.figure(f"{peer}.cpu_s", _median(found, _cpu))
        report.figure(f"{peer}.peak_mb", max(each.peak_mb for each in found))
        report.figure(f"{peer}.same_bytes", float(same))
        mine = beside[peer][1] if peer in beside else measured["ours1"]
        times_cpu = _median(found, _cpu) / _median(mine, _cpu)
        report.figure(f"{peer}.cpu_over_ours", times_cpu, cpu_bar, least=True)
        times_wall = _median(found, _wall) / _median(measured["ours2"], _wall)
        report.figure(f"{peer}.wall_over_ours", times_wall, wall_bar, least=True)


def bench_growth(folder: Path, scale: float, tokenizer: Path, report: Report) -> None:
    """CPU a row at 1, 2 and 4 times a size: the greatest over the least."""
    costs = []
    for times in (1, 2, 4):
        shards = write_shards(folder / f"hub{times}", scale * times / 2, seed=11)
        measured = _run("ours2", folder, shards, tokenizer)
        costs.append(_number(measured.result["cpu"]) / _number(measured.result["rows"]))
        report.figure(f"growth.{times}x.cpu_us_a_row", costs[-1] * 1e6)
        report.figure(f"growth.{times}x.peak_mb", measured.peak_mb, 700)
        for shard in shards:
            shard.unlink()
    report.figure("growth.last_over_first", costs[-1] / costs[0], 1.2)


def bench_reading(folder: Path, rounds: int, report: Report) -> None:
    """The reader against json.load and datasets."""
    big = folder / "big"
    big.mkdir()
    reading.prepare(big)
    for name, bars in (("metadata", (1.0, 120.0)), ("json", (None, None))):
        found = [run([f"{_HERE}.reading", name, str(big)]) for _ in range(rounds)]
        label = "open_and_pick" if name == "metadata" else "json_load"
        report.figure(f"reading.{label}.s", _median(found, _result("seconds")), bars[0])
        report.figure(f"reading.{label}.new_mb", _median(found, _result("mb")), bars[1])
    small, large = folder / "ours1.jsonl", folder / "large.jsonl"
    rates = _rates(small, folder / "cache", rounds, report, "rows")
    reading.repeat(small, large, _LARGE)
    rates_large = _rates(large, folder / "cache_large", rounds, report, "rows_of_4_gb")
    for label, found, bars in (
        # Cold, a small file is read whole before its first rows are: the disk decides.
        ("rows", rates, {"one_warm": 8, "one_cold": 8, "take_warm": 1, "take_cold": 1}),
        ("rows_of_4_gb", rates_large, {"one_cold": 8}),
    ):
        for ours, peer in (("one", "one"), ("take", "batch")):
            for state in ("cold", "warm"):
                times = found[f"ours_{ours}_{state}"] / found[f"datasets_{peer}_{state}"]
                bar = bars.get(f"{ours}_{state}")
                report.figure(f"{label}.{ours}_over_datasets_{state}", times, bar, least=True)


def _rates(jsonl: Path, cache: Path, rounds: int, report: Report, label: str) -> dict[str, float]:
    """Rows a second of each way of reading, cold and then warm; medians."""
    arguments = [str(jsonl), str(cache)]
    run([f"{_HERE}.reading", "datasets_batch", *arguments])  # writes the cache
    found: dict[str, list[Measured]] = {}
    for _ in range(rounds):
        for way in ("disk", *reading.WAYS):
            found.setdefault(way, []).append(run([f"{_HERE}.reading", way, *arguments]))
    report.figure(f"{label}.disk_alone_s", _median(found.pop("disk"), _result("seconds")))
    rates = {
        f"{way}_{state}": _median(measured, _result(state))
        for way, measured in found.items()
        for state in ("cold", "warm")
    }
    for name, rate in rates.items():
        report.figure(f"{label}.{name}_a_s", rate)
    return rates


def _once(
    way: str, folder: Path, shards: list[Path], tokenizer: Path
) -> tuple[Measured, list[Measured]]:
    """A way that takes minutes, and ours just before and just after it: the machine swings."""
    before = [_run("ours1", folder, shards, tokenizer) for _ in range(_REPEATED)]
    found = _run(way, folder, shards, tokenizer)
    after = [_run("ours1", folder, shards, tokenizer) for _ in range(_REPEATED)]
    print(f"{way} {found}, between {before + after}", file=sys.stderr)
    return found, before + after


def _run(way: str, folder: Path, shards: list[Path], tokenizer: Path) -> Measured:
    names = [str(shard) for shard in shards]
    if way == "floor":
        lines = folder / "ours1.jsonl"
        return run([f"{_HERE}.floors", str(tokenizer), str(folder / "x"), str(lines), *names])
    kind, processes = ("ours", way[-1]) if way.startswith("ours") else (way, "2")
    target = folder / f"{way}.jsonl"
    target.unlink(missing_ok=True)  # the kernel's time to free an old file is not measured
    try:
        return run([f"{_HERE}.ways", kind, str(tokenizer), str(target), processes, *names])
    finally:
        if kind != "ours":
            target.unlink(missing_ok=True)


def _number(value: Any) -> float:
    return float(value)


def _wall(measured: Measured) -> float:
    return measured.wall


def _cpu(measured: Measured) -> float:
    return measured.cpu


def _result(name: str) -> Callable[[Measured], float]:
    return lambda measured: _number(measured.result[name])


def _median(measured: list[Measured], what: Callable[[Measured], float]) -> float:
    return statistics.median(map(what, measured))


if __name__ == "__main__":
    raise SystemExit(main())
