"""`make bench-end-to-end`: a JSON line per figure, 1 if a bar is missed.

Environment: SCALE (default 1.0, see `world.py`; 9.66 is the real MTP model), BENCH_DIR (the folder
for the files while it runs), TOKENIZER (LLaMA's SentencePiece model; without one the real model
beside the repository, if it is there), KEEP (a folder to keep and to continue from).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.checkpoints.measure import run_way
from benchmarks.codecontests.__main__ import default_tokenizer
from benchmarks.end_to_end.world import write_world
from benchmarks.measure import Measured, forget, run
from benchmarks.report import Report

_PARTS = "benchmarks.end_to_end.parts"
_TRAIN, _MTP = "datasets/codecontests_train", "models/meta-llama-mtp"


def main() -> int:
    scale = float(os.environ.get("SCALE", "1.0"))
    tokenizer = default_tokenizer()
    if not tokenizer.exists():
        print(f"No tokenizer at {tokenizer}: set TOKENIZER to LLaMA's tokenizer.model.")
        return 2
    report = Report()
    if keep := os.environ.get("KEEP"):
        Path(keep).mkdir(parents=True, exist_ok=True)
        bench(Path(keep), scale, tokenizer, report)
    else:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            bench(Path(name), scale, tokenizer, report)
    return 0 if report.ok else 1


def bench(folder: Path, scale: float, tokenizer: Path, report: Report) -> None:
    """A run from nothing, an unchanged one, both ways of verifying, and the parts that cost."""
    mirror, catalog = folder / "hub", folder / "catalog.yaml"
    if not catalog.exists():
        mirror, catalog = write_world(folder, scale, tokenizer)
    storage, home = folder / "storage", folder / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(Path("dagster.yaml").read_text())
    environment = {
        "WMTP_CATALOG": str(catalog),
        "WMTP_HUB": str(mirror),
        "WMTP_STORAGE": str(storage),
        "DAGSTER_HOME": str(home),
    }

    def wmtp(*arguments: str) -> Measured:
        measured = run(["wmtp_assets.cli", *arguments, "--json"], environment)
        print(f"wmtp {' '.join(arguments)}: {_words(measured)}", file=sys.stderr, flush=True)
        return measured

    forget(mirror)
    whole = wmtp("materialize")
    assert whole.result["succeeded"], whole.result["failures"]
    seconds = made_in(storage)
    making = sum(seconds.values())
    stored = sum(file.stat().st_size for file in _files(storage / "versions", storage / "upstream"))
    report.figure("stored_gb", stored / 1e9)
    report.figure("run.wall_s", whole.wall)
    report.figure("run.making_s", making)
    report.figure("run.cpu_s", whole.cpu)
    report.figure("run.over_making", whole.wall / making, 1.4)

    deep = wmtp("verify", "--deep")
    unchanged = wmtp("materialize")
    gate = wmtp("gate")
    assert gate.result["open"], gate.result["conditions"]
    idle = wmtp("list")  # imports and the catalog, and nothing of the storage
    report.figure("verify_deep.wall_s", deep.wall)
    report.figure("unchanged.wall_s", unchanged.wall)
    report.figure("unchanged.over_verify_deep", unchanged.wall / deep.wall, 1.15)
    report.figure("gate.wall_s", gate.wall)
    for name, measured in (("verify_deep", deep), ("unchanged", unchanged), ("gate", gate)):
        read = measured.read_bytes - idle.read_bytes
        report.figure(f"{name}.read_over_stored", read / stored, 1.1)
    peak = max(measured.peak_mb for measured in (whole, deep, unchanged, gate))
    report.figure("peak_mb", peak, 3000)

    rows = run([_PARTS, "verify", _TRAIN], environment)
    build = seconds[_TRAIN]
    report.figure("rows.build_s", build)
    report.figure("rows.verify_s", _seconds(rows))
    report.figure("rows.verify_over_build", _seconds(rows) / build, 0.5)
    executing(storage, environment, report)
    certified(mirror, folder, report)


def executing(storage: Path, environment: dict[str, str], report: Report) -> None:
    """Loading and running the MTP model beside reading its file, both from a cold file."""
    model = storage / "models_v2" / "meta-llama-mtp"
    weights = (model / "safetensors" / "model.safetensors").resolve()
    config = (model / "configs" / "params.json").resolve()
    forget(weights)
    floor = run([_PARTS, "read", str(weights)], environment)
    forget(weights)
    measured = run([_PARTS, "execute", "mtp", str(weights), str(config)], environment)
    report.figure("execute.file_gb", weights.stat().st_size / 1e9)
    report.figure("execute.read_s", _seconds(floor))
    report.figure("execute.s", _seconds(measured))
    report.figure("execute.peak_mb", measured.peak_mb, 3000)
    report.figure("execute.over_read", _seconds(measured) / _seconds(floor), 3)


def certified(mirror: Path, folder: Path, report: Report) -> None:
    """The conversion that the assets run beside reading and writing alone."""
    source = next((mirror / "models").rglob("consolidated.pth"))
    params = source.with_name("params.json")
    beside = source.with_suffix(".json")
    beside.write_bytes(params.read_bytes())
    target = folder / "model.safetensors"
    ratios = []
    try:
        for _ in range(3):
            floor, measured = (run_way(way, source, target) for way in ("floor", "certified"))
            ratios.append(measured.seconds / floor.seconds)
    finally:
        beside.unlink()
        target.unlink(missing_ok=True)
    report.figure("certified_conversion_over_io_floor", sorted(ratios)[1], 1.6)


def made_in(storage: Path) -> dict[str, float]:
    """By artifact: the seconds that making its current version took, by its receipt."""
    found: dict[str, float] = {}
    for path in (storage / "versions").rglob("receipt.json"):
        receipt: dict[str, Any] = json.loads(path.read_text())
        found[receipt["artifact"]] = receipt["seconds"]
    return found


def _files(*folders: Path) -> list[Path]:
    return [p for folder in folders for p in folder.rglob("*") if p.is_file()]


def _seconds(measured: Measured) -> float:
    return float(str(measured.result["seconds"]))


def _words(measured: Measured) -> str:
    return (
        f"{measured.wall:.1f} s, {measured.cpu:.1f} s CPU, {measured.peak_mb:,.0f} MB, "
        f"{measured.read_bytes / 1e9:.2f} GB read"
    )


if __name__ == "__main__":
    raise SystemExit(main())
