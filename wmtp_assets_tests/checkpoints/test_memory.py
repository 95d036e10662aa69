"""How much memory and time a conversion takes, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.sample.torch_archive import Storage, Tensor, write_archive
from wmtp_assets_tests.peak import WATCH

MB = 1 << 20
CONVERT = (
    """
import resource, sys
from pathlib import Path

limit = 1 << 30
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # private memory, as a container limits it

from wmtp_assets.checkpoints.convert import convert
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, sort_for_file
from wmtp_assets.checkpoints.safetensors_file import TensorSpec
from wmtp_assets.checkpoints.source import open_source
"""
    + WATCH
    + """
source = open_source([Path(sys.argv[1])])
dtype = DType(sys.argv[2])
plan = Plan("any", dtype, sort_for_file([
    PlannedTensor(TensorSpec(t.name, dtype, t.shape), t) for t in source.tensors.values()
]))
convert(plan, Path(sys.argv[1]).with_suffix(".safetensors"))
sys.setprofile(None)
print(peak // 1024, "torch" in sys.modules)
"""
)


def big_archive(path: Path, megabytes: int, dtype: str) -> Path:
    """Zeros, in tensors of 64 MB, written without holding them."""
    itemsize = {"float32": 4, "bfloat16": 2}[dtype]
    block = bytes(MB)

    def tensor() -> Tensor:
        storage = Storage(dtype, 64 * MB // itemsize, lambda: (block for _ in range(64)))
        return Tensor(storage, (64, MB // itemsize))

    with path.open("wb") as file:
        write_archive(file, {f"w{i}": tensor() for i in range(megabytes // 64)})
    return path


def peak_of(path: Path, dtype: str) -> tuple[int, bool]:
    done = subprocess.run(
        [sys.executable, "-c", CONVERT, str(path), dtype],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak, torch_imported = done.stdout.split()
    return int(peak), torch_imported == "True"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_under_a_limit_of_1_gib_a_cast_takes_at_most_256_mb_whatever_the_size(
    tmp_path: Path,
) -> None:
    small, _ = peak_of(big_archive(tmp_path / "a.pth", 256, "float32"), "float16")
    large, torch_imported = peak_of(big_archive(tmp_path / "b.pth", 1536, "float32"), "float16")
    assert not torch_imported  # its library does the cast
    assert large <= 256
    assert large - small <= 16


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_kept_type_takes_no_torch_and_less_than_100_mb(tmp_path: Path) -> None:
    peak, torch_imported = peak_of(big_archive(tmp_path / "a.bin", 256, "bfloat16"), "bfloat16")
    assert not torch_imported
    assert peak < 100
