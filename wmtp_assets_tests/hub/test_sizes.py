"""Every size around every constant of the transfer, from every kind of source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from wmtp_assets.hub import directory, fetch, partial, transfer
from wmtp_assets.hub.files import WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.fetching import REPO
from wmtp_assets_tests.hub.loopback import LoopbackHub

SOURCES = ["directory", "hub", "hub with redirect"]
#: code_contests' valid and test files, the first ever found to be undeliverable.
PUBLISHED = (51_829_044, 63_077_400)


def around(*constants: int) -> list[int]:
    sizes = {0, 1}
    for constant in constants:
        sizes |= {constant + shift for shift in (-1, 0, 1)}
        sizes |= {2 * constant + shift for shift in (-1, 0, 1)}
    return sorted(size for size in sizes if size >= 0)


def write_files(folder: Path, sizes: Iterable[int]) -> dict[str, Path]:
    """Sparse files: a few bytes at every megabyte and at the end tell one place from another."""
    folder.mkdir(parents=True)
    files = {}
    for size in sizes:
        path = folder / f"{size}.bin"
        with path.open("wb") as handle:
            handle.truncate(size)
            for at in [*range(0, size, 1 << 20), size - 8]:
                if at >= 0:
                    mark = b"%08x" % (at & 0xFFFFFFFF)
                    os.pwrite(handle.fileno(), mark[: size - at], at)
        files[path.name] = path
    return files


def fetch_all(source: str, sizes: list[int], loopback: LoopbackHub, root: Path) -> None:
    files = write_files(root / "mirror" / REPO.folder, sizes)
    spec = str(root / "mirror") if source == "directory" else None
    lfs = (".bin",) if source == "hub with redirect" else (".none",)
    loopback.world.commit("model", "org/name", files, lfs=lfs)
    loopback.world.chunk = 1 << 20
    into, lock = root / "storage" / "upstream", Lock(root / "storage" / "assets.lock")
    failed = {}
    for name, path in files.items():
        try:
            (fetched,) = fetch.fetch(
                open_hub(spec, QUICK), REPO, "main", [WantedFile(name)], into, lock, print
            )
        except Exception as error:
            failed[name] = str(error)
            continue
        there = into / REPO.folder / name
        assert fetched.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert fetched.received == there.stat().st_size == path.stat().st_size
        there.unlink()
    assert failed == {}


@pytest.mark.parametrize("source", SOURCES)
def test_sizes_around_scaled_constants(
    source: str, loopback: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "_PIECE", 32 << 10)
    monkeypatch.setattr(transfer, "_PARALLEL_FROM", 64 << 10)
    monkeypatch.setattr(transfer, "_SMALLEST_BLOCK", 1 << 10)
    monkeypatch.setattr(transfer, "_JUDGE_AFTER", 0.0)
    monkeypatch.setattr(transfer, "_FAST", float("inf"))
    sizes = around(1 << 10, 32 << 10, 64 << 10)
    fetch_all(source, [*sizes, 50_000, 96 << 10, 200_001], loopback, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_sizes_around_the_real_constants(
    source: str, loopback: LoopbackHub, tmp_path: Path
) -> None:
    small = {
        transfer._SMALLEST_BLOCK,
        transfer._LARGEST_BLOCK,
        transfer._HASH_READ,
        partial._READ,
        directory._READ,
    }
    large = {transfer._PIECE, transfer._PARALLEL_FROM, transfer._SETTLE_EVERY}
    sizes = {*around(*small), *PUBLISHED}
    sizes |= {constant + shift for constant in large for shift in (-1, 0, 1)}
    fetch_all(source, sorted(sizes), loopback, tmp_path)
