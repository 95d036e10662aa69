"""`make bench-end-to-end`: a JSON line per figure, then tables; 1 if a bar is missed.

Environment:

- SCALE (default 1.0, see `world.py`; 9.66 is the full catalog at full size; `fit` is the largest
  that DISK_GB, by default the free disk less 5 GB, holds)
- STAGES=1: fetching, models, datasets and gate as processes of their own, each with its wall and
  CPU time, peak memory and bytes read; in place of the ratios
- EXECUTE_GB (default 13.5 from SCALE 1 on, else 0): a model of this size is executed, too
- README=1: the tables go into README.md beside this file
- BENCH_DIR (the folder for the files while it runs), KEEP (a folder to keep and to continue from),
  TOKENIZER (LLaMA's SentencePiece model; without one the real model beside the repository, if it is
  there)
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.checkpoints.measure import run_way
from benchmarks.codecontests.__main__ import default_tokenizer
from benchmarks.end_to_end import tables
from benchmarks.end_to_end.world import bytes_needed, write_weights, write_world
from benchmarks.measure import Measured, forget, run
from benchmarks.report import Report

_PARTS = "benchmarks.end_to_end.parts"
_TRAIN = "datasets/codecontests_train"
_TURNS = 3
_SPARE = 5e9  # bytes of the disk that stay free
_STAGES = {
    "fetch": 'key:"*_raw"',
    "models": 'key:"models/*"',
    "datasets": 'key:"datasets/*"',
    "gate (makes what is left, verifies everything)": None,
}


def main() -> int:
    folder, tokenizer = _folder(), default_tokenizer()
    scale = _scale(os.environ.get("SCALE", "1.0"), folder)
    if not tokenizer.exists():
        print(f"No tokenizer at {tokenizer}: set TOKENIZER to LLaMA's tokenizer.model.")
        return 2
    free = shutil.disk_usage(folder).free
    if "KEEP" not in os.environ and bytes_needed(scale) > free:
        print(f"{bytes_needed(scale) / 1e9:.0f} GB needed below {folder}, {free / 1e9:.0f} free.")
        return 2
    keep = os.environ.get("KEEP")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        bench = Bench(Path(keep or name), scale, tokenizer)
        if os.environ.get("STAGES"):
            bench.in_stages()
        else:
            bench.ratios()
        size = float(os.environ.get("EXECUTE_GB", "13.5" if scale >= 1 else "0")) * 1e9
    if size and not os.environ.get("STAGES"):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            bench.execute_one_of(Path(name), size)
    written = tables.text(bench.report.figures, bench.stages, scale, bench.loads)
    print(written, file=sys.stderr)
    if os.environ.get("README"):
        tables.put_into_readme(written, "stages" if os.environ.get("STAGES") else "ratios")
    return 0 if bench.report.ok else 1


def _folder() -> Path:
    folder = Path(os.environ.get("KEEP") or os.environ.get("BENCH_DIR") or tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _scale(asked: str, folder: Path) -> float:
    if asked != "fit":
        return float(asked)
    default = (shutil.disk_usage(folder).free - _SPARE) / 1e9
    room = float(os.environ.get("DISK_GB", default)) * 1e9
    fixed = bytes_needed(0)
    return min(9.66, int(100 * (room - fixed) / (bytes_needed(1) - fixed)) / 100)


@dataclass
class Bench:
    """One run of the benchmark in one folder: its figures, its stages, and the machine's load."""

    folder: Path
    scale: float
    tokenizer: Path
    report: Report = field(default_factory=Report)
    stages: dict[str, Measured] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loads.append(os.getloadavg()[0])  # before this process adds to it
        self.mirror, catalog = self.folder / "hub", self.folder / "catalog.yaml"
        if not catalog.exists():
            started = time.perf_counter()
            write_world(self.folder, self.scale, self.tokenizer)
            self.report.figure("write_world_s", time.perf_counter() - started)
        self.storage, home = self.folder / "storage", self.folder / "home"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text(Path("dagster.yaml").read_text())
        self.environment = {
            "WMTP_CATALOG": str(catalog),
            "WMTP_HUB": str(self.mirror),
            "WMTP_STORAGE": str(self.storage),
            "DAGSTER_HOME": str(home),
        }

    def wmtp(self, *arguments: str, name: str = "") -> Measured:
        """The command in a process of its own, its files not in memory when it begins."""
        for files in (self.mirror, self.storage):
            if files.exists():
                forget(files)
        measured = run(["wmtp_assets.cli", *arguments, "--json"], self.environment)
        name = name or f"wmtp {' '.join(arguments)}"
        self.stages[name] = measured
        self.loads.append(os.getloadavg()[0])
        print(f"{name}: {tables.words(measured)}", file=sys.stderr, flush=True)
        return measured

    def part(self, *arguments: str) -> Measured:
        """One of `parts.py`."""
        measured = run([_PARTS, *arguments], self.environment)
        self.loads.append(os.getloadavg()[0])
        return measured

    def in_stages(self) -> None:
        """From fetching to the gate, a process per stage, and both ways of verifying after it."""
        for name, selection in _STAGES.items():
            arguments = ["materialize"] if selection is None else ["materialize", selection]
            made = self.wmtp(*arguments, name=name)
            assert made.result["succeeded"], made.result["failures"]
        assert made.result["gate"]["open"], made.result["gate"]  # type: ignore[index]
        self.wmtp("verify", "--deep")
        self.wmtp("gate")
        self.report.figure("stored_gb", self.stored() / 1e9)
        peak = max(measured.peak_mb for measured in self.stages.values())
        self.report.figure("peak_mb", peak, 3000)

    def ratios(self) -> None:
        """A run from nothing, an unchanged one, both ways of verifying, and parts that cost."""
        report = self.report
        whole = self.wmtp("materialize", name="a run from nothing")
        assert whole.result["succeeded"], whole.result["failures"]
        making = sum(made_in(self.storage).values())
        stored = self.stored()
        report.figure("stored_gb", stored / 1e9)
        report.figure("run.wall_s", whole.wall)
        report.figure("run.making_s", making)
        report.figure("run.cpu_s", whole.cpu)
        report.figure("run.over_making", whole.wall / making, 1.4)

        # In turns, and the median of each: a shared machine swings by a half within minutes.
        turns = [
            (
                self.wmtp("verify", "--deep"),
                self.wmtp("materialize", name="an unchanged run"),
                self.wmtp("gate"),
            )
            for _ in range(_TURNS)
        ]
        deep, unchanged, gate = (
            sorted(each, key=lambda one: one.wall)[_TURNS // 2] for each in zip(*turns, strict=True)
        )
        assert gate.result["open"], gate.result["conditions"]
        idle = self.part("imports")
        report.figure("verify_deep.wall_s", deep.wall)
        report.figure("unchanged.wall_s", unchanged.wall)
        ratios = sorted(second.wall / first.wall for first, second, _ in turns)
        report.figure("unchanged.over_verify_deep", ratios[_TURNS // 2], 1.15)
        report.figure("gate.wall_s", gate.wall)
        for name, measured in (("verify_deep", deep), ("unchanged", unchanged), ("gate", gate)):
            read = measured.read_bytes - idle.read_bytes
            report.figure(f"{name}.read_over_stored", read / stored, 1.1)
            disk = max(0, measured.disk_bytes - idle.disk_bytes)
            report.figure(f"{name}.from_disk_over_stored", disk / stored, 1.1)
        peak = max(measured.peak_mb for measured in (whole, deep, unchanged, gate))
        report.figure("peak_mb", peak, 3000)
        self.rows()
        model = self.storage / "models_v2" / "meta-llama-mtp"
        weights = (model / "safetensors" / "model.safetensors").resolve()
        self.executing("execute", weights, (model / "configs" / "params.json").resolve())
        self.certified()

    def stored(self) -> int:
        """Bytes of every file that was fetched or made."""
        folders = (self.storage / "versions", self.storage / "upstream")
        return sum(p.stat().st_size for one in folders for p in one.rglob("*") if p.is_file())

    def rows(self) -> None:
        """All checks of a split's rows beside building the split, each alone on the machine."""
        with tempfile.TemporaryDirectory(dir=self.folder) as built:
            build = _seconds(self.part("build", _TRAIN, built))
        verify = _seconds(self.part("verify", _TRAIN))
        self.report.figure("rows.build_s", build)
        self.report.figure("rows.verify_s", verify)
        self.report.figure("rows.verify_over_build", verify / build, 0.5)

    def execute_one_of(self, folder: Path, size: float) -> None:
        """The same as `executing`, of a model of `size` bytes that is written for it."""
        weights, config = folder / "model.safetensors", folder / "params.json"
        if shutil.disk_usage(folder).free < size + _SPARE:
            print(f"no room for a model of {size / 1e9:.1f} GB", file=sys.stderr)
            return
        config.write_text(json.dumps(dict(write_weights(weights, size))))
        self.executing("execute_large", weights, config)

    def executing(self, name: str, weights: Path, config: Path) -> None:
        """Loading and running an MTP model beside reading its file, both from a cold file."""
        forget(weights)
        floor = self.part("read", str(weights))
        forget(weights)
        measured = self.part("execute", "mtp", str(weights), str(config))
        report = self.report
        report.figure(f"{name}.file_gb", weights.stat().st_size / 1e9)
        report.figure(f"{name}.read_s", _seconds(floor))
        report.figure(f"{name}.s", _seconds(measured))
        report.figure(f"{name}.peak_mb", measured.peak_mb, 3000)
        report.figure(f"{name}.over_read", _seconds(measured) / _seconds(floor), 3)

    def certified(self) -> None:
        """The conversion that the assets run beside reading and writing alone."""
        source = next((self.mirror / "models").rglob("consolidated.pth"))
        beside = source.with_suffix(".json")
        beside.write_bytes(source.with_name("params.json").read_bytes())
        target = self.folder / "model.safetensors"
        ratios = []
        try:
            for _ in range(3):
                floor, measured = (run_way(way, source, target) for way in ("floor", "certified"))
                ratios.append(measured.seconds / floor.seconds)
        finally:
            beside.unlink()
            target.unlink(missing_ok=True)
        self.report.figure("certified_conversion_over_io_floor", sorted(ratios)[1], 1.6)


def made_in(storage: Path) -> Mapping[str, float]:
    """By artifact: the seconds that making its current version took, by its receipt."""
    found: dict[str, float] = {}
    for path in (storage / "versions").rglob("receipt.json"):
        receipt: dict[str, Any] = json.loads(path.read_text())
        found[receipt["artifact"]] = receipt["seconds"]
    return found


def _seconds(measured: Measured) -> float:
    return float(str(measured.result["seconds"]))


if __name__ == "__main__":
    raise SystemExit(main())
