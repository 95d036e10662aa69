"""torch's library without its Python: it rounds as torch does, and torch still loads after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
ROUND_THEN_IMPORT = """
import sys
import numpy as np
from wmtp_assets.checkpoints.casts import make_cast
from wmtp_assets.checkpoints.dtypes import DType

bits = np.random.default_rng(0).integers(0, 1 << 32, 100_003, dtype=np.uint32)  # of every kind
cast = {}
for after in (DType.FLOAT16, DType.BFLOAT16):
    cast[after] = np.empty(2 * len(bits), np.uint8)
    make_cast(DType.FLOAT32, after)(bits.view(np.uint8), cast[after])
assert "torch" not in sys.modules

import torch
threads = torch.get_num_threads()
values = torch.from_numpy(bits.view(np.float32))
for after, found in cast.items():
    found = torch.from_numpy(found).view(getattr(torch, after))
    wanted = values.to(found.dtype)
    same = (found.view(torch.int16) == wanted.view(torch.int16)) | (found.isnan() & wanted.isnan())
    assert same.all(), after
linear = torch.nn.Linear(64, 64)
linear(torch.randn(512, 64)).sum().backward()
print(threads)
"""
LOAD = "from wmtp_assets.checkpoints.libtorch import load; load()"


def run(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """`code` in a process that sees the modules in `paths` alone, or this process's where none."""
    flags = ["-S"] if paths else []
    settings = {"PYTHONPATH": ":".join(map(str, (*paths, REPOSITORY)))}
    return subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        env=settings,
        check=False,
    )


def modules(folder: Path) -> Path:
    """numpy alone, as an installation without torch has it."""
    installed = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (installed / name).exists():
            (folder / name).symlink_to(installed / name)
    return folder


def test_it_rounds_as_torch_does_and_torch_can_be_imported_afterwards() -> None:
    done = run(ROUND_THEN_IMPORT)
    assert done.returncode == 0, done.stderr


def test_without_torch_the_error_says_what_to_install(tmp_path: Path) -> None:
    done = run(LOAD, modules(tmp_path))
    assert "ConversionError: torch is not installed" in done.stderr
    assert "pip install wmtp-assets" in done.stderr


def test_a_library_that_does_not_load_is_named(tmp_path: Path) -> None:
    folder = modules(tmp_path) / "torch"
    (folder / "lib").mkdir(parents=True)
    (folder / "__init__.py").touch()
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        (folder / "lib" / name).write_bytes(b"\x7fELF, and no more")
    done = run(LOAD, tmp_path)
    assert "ConversionError: torch's library cannot be loaded" in done.stderr
    assert str(folder / "lib") in done.stderr
    assert 'python -c "import torch"' in done.stderr
