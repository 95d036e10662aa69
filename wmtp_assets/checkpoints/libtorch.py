"""torch's own rounding between float types, called in its library instead of through Python.

`import torch` runs a thousand Python modules: 2 s of processor time and 75 MB, more than
half of what converting a 2.7 GB checkpoint takes. Its library alone loads in a quarter of that, and
offers the same copy through the C interface that torch keeps stable for models it compiled
(torch/csrc/inductor/aoti_torch/c/shim.h, with every torch wheel).
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import sys
from pathlib import Path

import numpy as np

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import ConversionError
from wmtp_assets.checkpoints.tensors import Bytes

_SERIAL = 32_768
"""Elements up to which torch copies on the caller's thread (at::internal::GRAIN_SIZE)."""

_NAMES = {"darwin": "libtorch_cpu.dylib", "win32": "torch_cpu.dll"}


@functools.cache
def load() -> ctypes.CDLL:
    """The library of the torch that `import torch` would find. ConversionError without one."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        raise ConversionError(
            "torch is not installed",
            expected="torch, which rounds float32 to float16",
            found="no module of that name",
            hint="Install wmtp-assets with its dependencies: pip install wmtp-assets",
        )
    path = Path(found.origin).parent / "lib" / _NAMES.get(sys.platform, "libtorch_cpu.so")
    try:
        library = _open(path)
    except (ImportError, OSError) as error:
        raise ConversionError(
            f"torch's library cannot be loaded: {error}",
            expected="a library that loads",
            found="one that does not",
            where=path,
            hint='See what `python -c "import torch"` says, and install torch again.',
        ) from None
    address, int64, int32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    library.aoti_torch_create_tensor_from_blob.argtypes = (
        [address, int64, address, address, int64, int32, int32, int32, address]
    )  # fmt: skip
    library.aoti_torch_copy_.argtypes = [address, address, int32]
    library.aoti_torch_delete_tensor_object.argtypes = [address]
    return library


def _open(path: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        import torch  # noqa: F401 - some CUDA builds find their libraries only after this

        return ctypes.CDLL(str(path))


class Tensor:
    """`_SERIAL` elements of torch's, and the same memory as `bytes` to fill and to read."""

    def __init__(self, dtype: DType) -> None:
        self.bytes: Bytes = np.zeros(_SERIAL * dtype.itemsize, np.uint8)
        self._library = load()
        made, size, stride = ctypes.c_void_p(), ctypes.c_int64(_SERIAL), ctypes.c_int64(1)
        if self._library.aoti_torch_create_tensor_from_blob(
            self.bytes.ctypes.data,
            1,
            ctypes.addressof(size),
            ctypes.addressof(stride),
            0,
            getattr(self._library, f"aoti_torch_dtype_{dtype}")(),
            self._library.aoti_torch_device_type_cpu(),
            0,
            ctypes.addressof(made),
        ):
            raise ConversionError("torch refused the memory; its reason is on standard error")
        self._tensor = made.value

    def copy_(self, source: Tensor) -> None:
        """Take `source`'s values, rounded to nearest even where this type is narrower."""
        if self._library.aoti_torch_copy_(self._tensor, source._tensor, 0):
            raise ConversionError("torch refused to copy; its reason is on standard error")

    def __del__(self) -> None:
        if hasattr(self, "_tensor"):
            self._library.aoti_torch_delete_tensor_object(self._tensor)
