"""Element types: one name each (torch's), and what torch archives and safetensors call them."""

from __future__ import annotations

from enum import StrEnum

import numpy as np


class DType(StrEnum):
    """An element type, named as torch and the catalog name it."""

    BOOL = "bool"
    UINT8 = "uint8"
    INT8 = "int8"
    FLOAT8_E5M2 = "float8_e5m2"
    FLOAT8_E4M3FN = "float8_e4m3fn"
    INT16 = "int16"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT32 = "int32"
    FLOAT32 = "float32"
    COMPLEX64 = "complex64"
    FLOAT64 = "float64"
    INT64 = "int64"

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _ITEMSIZE[self]

    @property
    def code(self) -> str:
        """The name in a safetensors header."""
        return _CODE[self]

    @property
    def rank(self) -> int:
        """The place in safetensors' own enumeration, by which `save_file` orders (greatest first).

        Source: `enum Dtype` in safetensors/src/tensor.rs.
        """
        return list(DType).index(self)

    @property
    def is_float(self) -> bool:
        """Whether a cast from it is supported, and, but for the two of 8 bits, to it."""
        return self in _INFINITY or self is DType.FLOAT8_E4M3FN

    @property
    def infinity_bits(self) -> int | None:
        """The bit pattern of +inf, or None where there is none. Only for the float types."""
        return _INFINITY.get(self)

    @property
    def least_nan_bits(self) -> int:
        """The smallest bit pattern of a positive NaN; every greater magnitude is one, too."""
        return 0x7F if self is DType.FLOAT8_E4M3FN else _INFINITY[self] + 1

    @property
    def magnitude_bits(self) -> int:
        """The bits apart from the sign."""
        return int((1 << (8 * self.itemsize - 1)) - 1)

    @property
    def nan_bits(self) -> int:
        """The bit pattern of torch's `float("nan")`: positive, quiet. Not for float8_e4m3fn."""
        infinity = _INFINITY[self]
        return infinity | (infinity & -infinity) >> 1

    @property
    def raw(self) -> np.dtype[np.unsignedinteger[np.typing.NBitBase]]:
        """The unsigned numpy type of the same width, to move and test bits with."""
        return np.dtype(f"<u{self.itemsize}")


_ITEMSIZE = {
    DType.BOOL: 1,
    DType.UINT8: 1,
    DType.INT8: 1,
    DType.FLOAT8_E5M2: 1,
    DType.FLOAT8_E4M3FN: 1,
    DType.INT16: 2,
    DType.FLOAT16: 2,
    DType.BFLOAT16: 2,
    DType.INT32: 4,
    DType.FLOAT32: 4,
    DType.COMPLEX64: 8,
    DType.FLOAT64: 8,
    DType.INT64: 8,
}
_CODE = {
    DType.BOOL: "BOOL",
    DType.UINT8: "U8",
    DType.INT8: "I8",
    DType.FLOAT8_E5M2: "F8_E5M2",
    DType.FLOAT8_E4M3FN: "F8_E4M3",
    DType.INT16: "I16",
    DType.FLOAT16: "F16",
    DType.BFLOAT16: "BF16",
    DType.INT32: "I32",
    DType.FLOAT32: "F32",
    DType.COMPLEX64: "C64",
    DType.FLOAT64: "F64",
    DType.INT64: "I64",
}
_INFINITY = {
    DType.FLOAT8_E5M2: 0x7C,
    DType.FLOAT16: 0x7C00,
    DType.BFLOAT16: 0x7F80,
    DType.FLOAT32: 0x7F80_0000,
    DType.FLOAT64: 0x7FF0_0000_0000_0000,
}
BY_CODE = {code: dtype for dtype, code in _CODE.items()}
BY_NAME = {f"torch {dtype}": dtype for dtype in DType}
# torch's typed storages, as a pickle names them.
BY_STORAGE = {
    "torch BoolStorage": DType.BOOL,
    "torch ByteStorage": DType.UINT8,
    "torch CharStorage": DType.INT8,
    "torch ShortStorage": DType.INT16,
    "torch HalfStorage": DType.FLOAT16,
    "torch BFloat16Storage": DType.BFLOAT16,
    "torch IntStorage": DType.INT32,
    "torch FloatStorage": DType.FLOAT32,
    "torch ComplexFloatStorage": DType.COMPLEX64,
    "torch DoubleStorage": DType.FLOAT64,
    "torch LongStorage": DType.INT64,
}
