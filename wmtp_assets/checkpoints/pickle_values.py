"""What a state dict's pickle may name, and the values that it gives: tensors, and what is inert.

The names are those that torch's own `weights_only` reader allows for tensors, parameters and plain
values (torch/_weights_only_unpickler.py). They are tokens here, not functions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wmtp_assets.checkpoints.dtypes import BY_NAME, BY_STORAGE, DType


class PickleError(ValueError):
    """The pickle asks for something that a state dict does not need; the message says what.

    `hint` is what to do where there is more to do than to write the file again.
    """

    def __init__(self, why: str, hint: str | None = None) -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Storage:
    """A flat run of elements in the archive's record `data/<key>`."""

    dtype: DType
    key: str
    elements: int


@dataclass(frozen=True, slots=True)
class View:
    """A tensor as the pickle describes it: a view of a storage; offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UntypedStorage:
    """A storage without a type, as a pickle names it where the tensor states the type."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Inert:
    """A value that is no tensor and that nothing here looks into (a set, a device, a size)."""

    kind: str


@dataclass(frozen=True, slots=True)
class Name:
    """A global that the pickle named and that is known. A token: nothing stands behind it."""

    name: str


TENSOR = Name("torch._utils _rebuild_tensor_v2")
TYPED_TENSOR = Name("torch._utils _rebuild_tensor_v3")
PARAMETER = Name("torch._utils _rebuild_parameter")
PARAMETER_WITH_STATE = Name("torch._utils _rebuild_parameter_with_state")
TENSOR_WITH_STATE = Name("torch._tensor _rebuild_from_type_v2")
TENSOR_TYPE = Name("torch Tensor")
UNTYPED = Name("torch.storage UntypedStorage")
ORDERED_DICT = Name("collections OrderedDict")
# Functions and classes of values that are no tensors, by what is kept in their place.
INERT = {
    Name("collections Counter"): "counter",
    Name("torch Size"): "size",
    Name("torch device"): "device",
    Name("_codecs encode"): "bytes",
    Name("builtins bytearray"): "bytes",
    Name("builtins set"): "set",
    Name("builtins complex"): "number",
    Name("__builtin__ bytearray"): "bytes",
    Name("__builtin__ set"): "set",
    Name("__builtin__ complex"): "number",
}
KNOWN = {
    known.name: known
    for known in (
        TENSOR,
        TYPED_TENSOR,
        PARAMETER,
        PARAMETER_WITH_STATE,
        TENSOR_WITH_STATE,
        TENSOR_TYPE,
        UNTYPED,
        ORDERED_DICT,
        *INERT,
        *map(Name, BY_STORAGE),
        *map(Name, BY_NAME),
    )
}
# What torch's tensors define themselves: as an attribute to be set, each could change the values
# or what they mean. A test holds the list against torch's.
OWN_ATTRIBUTE = re.compile(
    "H|T|_backward_hooks|_base|_cdata|_grad|_grad_fn|_has_symbolic_sizes_strides|"
    "_post_accumulate_grad_hooks|_python_dispatch|_version|data|device|dtype|grad|grad_dtype|"
    "grad_fn|imag|is_cpu|is_cuda|is_ipu|is_leaf|is_maia|is_meta|is_mkldnn|is_mps|is_mtia|"
    "is_nested|is_quantized|is_sparse|is_sparse_csr|is_vulkan|is_xla|is_xpu|itemsize|layout|mH|"
    "mT|name|names|nbytes|ndim|output_nr|real|requires_grad|retains_grad|shape|volatile"
)


def described(value: object) -> str:
    return "null" if value is None else f"a {type_name(value)}"


def type_name(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "truth value"
        case int() | float():
            return "number"
        case str():
            return "text"
        case Name(name=name) | Inert(kind=name):
            return name
        case View():
            return "tensor"
        case UntypedStorage():
            return "storage"
        case _:
            return type(value).__name__.lower()
