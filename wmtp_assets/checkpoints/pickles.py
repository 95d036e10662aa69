"""The pickle inside a torch archive, interpreted in a closed world: nothing is ever imported.

An interpreter for the opcodes that `torch.save` writes, with the names that torch's own
`weights_only` reader allows for tensors, parameters and plain values. They are tokens here, not
functions; what is no tensor is kept as an inert value and never used. Every other name, opcode or
shape of value is refused. Memory and time are bounded by a cap on bytes and on opcodes. Opcodes:
the standard library's `pickletools`; names: torch/_weights_only_unpickler.py.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from wmtp_assets.checkpoints.dtypes import BY_NAME, BY_STORAGE, DType

# A state dict of 10,000 tensors takes some 2 MB and 300,000 opcodes. At both caps the worst pickle
# that was found makes less than 150 MB of Python objects.
MAX_BYTES = 8 << 20
_MAX_OPCODES = 1_000_000


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
class _Bytes:
    """A storage without a type, as a pickle names it where the tensor states the type."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class _Inert:
    """A value that is no tensor and that nothing here looks into (a set, a device, a size)."""

    kind: str


@dataclass(frozen=True, slots=True)
class _Name:
    """A global that the pickle named and that is known. A token: nothing stands behind it."""

    name: str


_TENSOR = _Name("torch._utils _rebuild_tensor_v2")
_TYPED_TENSOR = _Name("torch._utils _rebuild_tensor_v3")
_PARAMETER = _Name("torch._utils _rebuild_parameter")
_PARAMETER_WITH_STATE = _Name("torch._utils _rebuild_parameter_with_state")
_TENSOR_WITH_STATE = _Name("torch._tensor _rebuild_from_type_v2")
_TENSOR_TYPE = _Name("torch Tensor")
_UNTYPED = _Name("torch.storage UntypedStorage")
_ORDERED_DICT = _Name("collections OrderedDict")
# Functions and classes of values that are no tensors, by what is kept in their place.
_INERT = {
    _Name("collections Counter"): "counter",
    _Name("torch Size"): "size",
    _Name("torch device"): "device",
    _Name("_codecs encode"): "bytes",
    _Name("builtins bytearray"): "bytes",
    _Name("builtins set"): "set",
    _Name("builtins complex"): "number",
    _Name("__builtin__ bytearray"): "bytes",
    _Name("__builtin__ set"): "set",
    _Name("__builtin__ complex"): "number",
}
_KNOWN = {
    known.name: known
    for known in (
        _TENSOR,
        _TYPED_TENSOR,
        _PARAMETER,
        _PARAMETER_WITH_STATE,
        _TENSOR_WITH_STATE,
        _TENSOR_TYPE,
        _UNTYPED,
        _ORDERED_DICT,
        *_INERT,
        *map(_Name, BY_STORAGE),
        *map(_Name, BY_NAME),
    )
}
# What torch's tensors define themselves: as an attribute to be set, each could change the values
# or what they mean. A test holds the list against torch's.
_OWN_ATTRIBUTE = re.compile(
    "H|T|_backward_hooks|_base|_cdata|_grad|_grad_fn|_has_symbolic_sizes_strides|"
    "_post_accumulate_grad_hooks|_python_dispatch|_version|data|device|dtype|grad|grad_dtype|"
    "grad_fn|imag|is_cpu|is_cuda|is_ipu|is_leaf|is_maia|is_meta|is_mkldnn|is_mps|is_mtia|"
    "is_nested|is_quantized|is_sparse|is_sparse_csr|is_vulkan|is_xla|is_xpu|itemsize|layout|mH|"
    "mT|name|names|nbytes|ndim|output_nr|real|requires_grad|retains_grad|shape|volatile"
)
_RESAVE_ALL = (
    "Save the weights alone. Where you trust the file's origin, with the code that wrote it at "
    "hand: python -c \"import torch; torch.save(torch.load('FILE', weights_only=False)"
    "['state_dict'], 'FILE.new')\", with the key behind which the weights lie."
)
RESAVE_TENSORS = (
    "Where you trust the file's origin, save its tensors alone, each as it is: python -c \"import "
    "torch; torch.save({k: v.resolve_conj().resolve_neg().contiguous() for k, v in "
    "torch.load('FILE', weights_only=True).items() if isinstance(v, torch.Tensor)}, 'FILE.new')\""
)
_OTHER_FILE = (
    "Name the file that holds the weights, a dict of named tensors, as the catalog's weights."
)
_MARK = object()
_MAX_WRAPPERS = 4  # levels of dicts within dicts in which a state dict is looked for


def read_state_dict(data: bytes, weights_key: Sequence[str] = ()) -> dict[str, View]:
    """The tensors that a pickled state dict names, in its order. Raises PickleError.

    With `weights_key` the state dict is not the pickle itself but the value behind these keys, one
    within the other; what else the pickle holds is not looked at.
    """
    if len(data) > MAX_BYTES:
        raise PickleError(f"the pickle is {len(data):,} bytes long, more than {MAX_BYTES:,}")
    whole = value = _Interpreter(data).run()
    for depth, key in enumerate(weights_key, start=1):
        if not isinstance(value, dict) or key not in value:
            named = ".".join(weights_key[:depth])
            found = f"the keys {_some(value)}" if isinstance(value, dict) else _a(value)
            raise PickleError(
                f"the catalog's weights_key {named[:80]!a} is not there, found {found}",
                _advice(whole),
            )
        value = value[key]
    if not isinstance(value, dict):
        raise PickleError(f"the pickle holds {_a(value)}, not a dict of tensors", _OTHER_FILE)
    views: dict[str, View] = {}
    for name, view in value.items():
        if not isinstance(name, str):
            raise PickleError(f"a key is {_a(name)}, not a text", _advice(whole) or _OTHER_FILE)
        if not isinstance(view, View):
            has_tensors = any(isinstance(entry, View) for entry in value.values())
            alone = RESAVE_TENSORS if has_tensors and not weights_key else _OTHER_FILE
            raise PickleError(
                f"the entry {name[:80]!a} is {_a(view)}, not a tensor", _advice(whole) or alone
            )
        views[name] = view
    return views


def _advice(whole: object) -> str | None:
    """What to write into the catalog where the weights lie deeper; None where they are nowhere."""
    found = sorted(_state_dicts(whole, (), set()), key=lambda each: -each[1])
    if not found:
        return None
    if not found[0][0]:
        return "Leave weights_key out of the catalog's entry: the archive holds the weights alone."
    listed = ", ".join(f"{_yaml(keys)} ({count:,} tensors)" for keys, count in found[:4])
    return f"Name where the weights lie in the catalog's entry, as weights_key: {listed}."


def _state_dicts(
    value: object, keys: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every dict of nothing but tensors at and below `value`: its keys, and how many tensors."""
    if not isinstance(value, dict) or not value or id(value) in seen:
        return
    seen.add(id(value))
    if all(isinstance(key, str) and isinstance(entry, View) for key, entry in value.items()):
        yield keys, len(value)
    elif len(keys) < _MAX_WRAPPERS:
        for key, entry in value.items():
            if isinstance(key, str):
                yield from _state_dicts(entry, (*keys, key), seen)


def _yaml(keys: tuple[str, ...]) -> str:
    plain = all(key.replace("_", "a").isalnum() and key.isascii() for key in keys)
    shown = [key[:80] if plain else ascii(key[:80]) for key in keys]
    return shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"


def _some(value: Mapping[object, object]) -> str:
    keys = [f"{key[:40]!a}" if isinstance(key, str) else str(key) for key in list(value)[:8]]
    return ", ".join(keys) + (f" and {len(value) - 8:,} more" if len(value) > 8 else "")


class _Interpreter:
    """A stack machine over the allowed opcodes; `run` returns the one value that STOP leaves."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        opcodes = 0
        while (opcode := self.take(1)) != b".":
            opcodes += 1
            if opcodes > _MAX_OPCODES:
                self.refuse(f"the pickle has more than {_MAX_OPCODES:,} opcodes")
            action = _ACTIONS.get(opcode)
            if action is None:
                self.refuse(f"the opcode {opcode!r} at byte {self.at - 1} is not allowed")
            action(self)
        value = self.pop()
        if self.stack or self.at != len(self.data):
            self.refuse("the pickle goes on after its value")
        return value

    def refuse(self, why: str, hint: str | None = None) -> NoReturn:
        raise PickleError(why, hint)

    # Reading operands

    def take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) != count:
            self.refuse("the pickle is cut short")
        self.at += count
        return found

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return value

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 256)
        if end < 0:
            self.refuse("a name in the pickle does not end")
        text = self.take(end - self.at)
        self.at += 1
        return self.text(text)

    def text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self.refuse(f"a text in the pickle is no UTF-8: {raw[:40]!a}")

    # The stack

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            self.refuse("the pickle takes a value that is not there")
        return self.stack.pop()

    def pop_tuple(self) -> tuple[object, ...] | None:
        value = self.pop()
        return value if isinstance(value, tuple) else None

    def pop_to_mark(self) -> list[object]:
        index = len(self.stack) - 1
        while index >= 0 and self.stack[index] is not _MARK:
            index -= 1
        if index < 0:
            self.refuse("the pickle closes what it never opened")
        values = self.stack[index + 1 :]
        del self.stack[index:]
        return values

    def remember(self, place: int) -> None:
        value = self.pop()
        self.memo[place] = value
        self.push(value)

    def recall(self, place: int) -> None:
        if place not in self.memo:
            self.refuse(f"the pickle recalls {place}, which it never stored")
        self.push(self.memo[place])

    # What the opcodes do

    def make_tuple(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def put_items(self, items: list[object]) -> None:
        target = self.pop()
        self.push(target)
        if not isinstance(target, dict) or len(items) % 2:
            self.refuse("the pickle puts items into something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # An optimizer's state has whole numbers as keys; the bound keeps their hashes apart.
            if not (isinstance(key, str) or (type(key) is int and 0 <= key < 1 << 60)):
                self.refuse(f"a key is {_a(key)}, not a text")
            if key in target:
                self.refuse(f"the key {str(key)[:80]!a} occurs twice")
            target[key] = value

    def put_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.put_items([key, value])

    def name(self, module: object, attribute: object) -> None:
        if not isinstance(module, str) or not isinstance(attribute, str):
            self.refuse(f"the pickle names a {_kind(attribute)} of a {_kind(module)}")
        known = _KNOWN.get(f"{module} {attribute}")
        if known is None:
            self.refuse(
                f"the pickle asks for {module[:60]!a}.{attribute[:60]!a}, "
                "which no state dict needs; it was not run",
                _RESAVE_ALL,
            )
        self.push(known)

    def name_from_stack(self) -> None:
        attribute, module = self.pop(), self.pop()
        self.name(module, attribute)

    def persistent(self) -> None:
        """A storage: ("storage", type, key, device, element count)."""
        match self.pop_tuple():
            case ("storage", _Name() as name, str(key), str(), int(elements)) if (
                name == _UNTYPED or name.name in BY_STORAGE
            ):
                if type(elements) is not int or elements < 0 or not _is_key(key):
                    self.refuse(f"the storage {key[:40]!a} is not one that torch writes")
                if name == _UNTYPED:
                    self.push(_Bytes(key, elements))
                else:
                    self.push(Storage(BY_STORAGE[name.name], key, elements))
            case _:
                self.refuse("a persistent id that is no storage of torch's")

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(arguments, tuple):
            self.refuse("the pickle calls with arguments that are no tuple")
        if function is _TENSOR:
            self.push(self.tensor(arguments))
        elif function is _TYPED_TENSOR:
            self.push(self.typed_tensor(arguments))
        elif function is _PARAMETER:
            match arguments:
                case (View() as view, bool(), dict()):
                    self.push(view)
                case _:
                    self.refuse("a parameter that is not rebuilt from a tensor")
        elif function is _PARAMETER_WITH_STATE:
            match arguments:
                case (View() as view, bool(), dict(), state):
                    self.check_attributes(state)
                    self.push(view)
                case _:
                    self.refuse("a parameter that is not rebuilt from a tensor")
        elif function is _TENSOR_WITH_STATE:
            match arguments:
                case (_Name() as rebuild, _Name() as kind, parts, state) if (
                    kind == _TENSOR_TYPE and rebuild in (_TENSOR, _TYPED_TENSOR)
                ):
                    self.check_attributes(state)
                    typed = rebuild == _TYPED_TENSOR
                    self.push(self.typed_tensor(parts) if typed else self.tensor(parts))
                case _:
                    self.refuse("a tensor of a class that no state dict needs")
        elif function is _ORDERED_DICT and arguments == ():
            self.push({})
        elif isinstance(function, _Name) and function in _INERT:
            self.push(_Inert(_INERT[function]))
        else:
            self.refuse("the pickle calls something that is not to be called; it was not run")

    def tensor(self, arguments: object) -> View:
        match arguments:
            case (Storage() as storage, offset, shape, strides, bool(), dict() as hooks):
                pass
            case (Storage(), _, _, _, bool(), dict(), dict()):
                self.refuse("a tensor that is a view that changes its values", RESAVE_TENSORS)
            case _:
                self.refuse("a tensor that is not rebuilt the way torch.save writes it")
        return self.view(storage, offset, shape, strides, hooks)

    def typed_tensor(self, arguments: object) -> View:
        """A tensor that states its type itself, of a storage that states none."""
        match arguments:
            case (_Bytes() as of, offset, shape, strides, bool(), dict() as hooks, _Name() as name):
                dtype = BY_NAME.get(name.name)
            case _:
                self.refuse("a tensor that is not rebuilt the way torch.save writes it")
        if dtype is None or of.size % dtype.itemsize:
            self.refuse(f"a tensor of {name.name[:40]}, which its storage cannot hold")
        storage = Storage(dtype, of.key, of.size // dtype.itemsize)
        return self.view(storage, offset, shape, strides, hooks)

    def view(
        self,
        storage: Storage,
        offset: object,
        shape: object,
        strides: object,
        hooks: Mapping[object, object],
    ) -> View:
        first, sizes, steps = _numbers((offset,)), _numbers(shape), _numbers(strides)
        if first is None or sizes is None or steps is None or len(sizes) != len(steps) or hooks:
            self.refuse("a tensor whose offset, shape or strides are not plain numbers")
        return View(storage, first[0], sizes, steps)

    def check_attributes(self, state: object) -> None:
        """Attributes that a program hung on a tensor say nothing of its values: read past them."""
        parts = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        for part in parts:
            if part is None:
                continue
            if not isinstance(part, dict):
                self.refuse("a tensor's attributes are not a dict")
            for name in part:
                if not isinstance(name, str) or _is_own(name):
                    self.refuse(f"the pickle sets a tensor's own {str(name)[:40]!a}")

    def append(self, items: list[object]) -> None:
        target = self.pop()
        self.push(target)
        if not isinstance(target, list):
            self.refuse("the pickle appends to something that is no list")
        target.extend(items)

    def build(self) -> None:
        """`module.state_dict()` hangs its versions on the dict as `_metadata`: read past it."""
        state, target = self.pop(), self.pop()
        if (
            not isinstance(target, dict)
            or not isinstance(state, dict)
            or set(state) != {"_metadata"}
        ):
            self.refuse("the pickle sets the state of an object; it was not done")
        self.push(target)


def _numbers(values: object) -> tuple[int, ...] | None:
    """`values` if it is a tuple of at most 8 whole numbers from 0 up to 2^62, else None."""
    if not isinstance(values, tuple) or len(values) > 8:
        return None
    numbers = tuple(v for v in values if type(v) is int and 0 <= v < 1 << 62)
    return numbers if len(numbers) == len(values) else None


def _is_own(name: str) -> bool:
    return name.startswith("__") or _OWN_ATTRIBUTE.fullmatch(name) is not None


def _is_key(key: str) -> bool:
    """torch numbers its storages; the key becomes part of a record's name."""
    return key.isascii() and key.isdigit() and len(key) <= 20


def _a(value: object) -> str:
    return "null" if value is None else f"a {_kind(value)}"


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "truth value"
        case int() | float():
            return "number"
        case str():
            return "text"
        case _Name(name=name) | _Inert(kind=name):
            return name
        case View():
            return "tensor"
        case _Bytes():
            return "storage"
        case _:
            return type(value).__name__.lower()


def _long(machine: _Interpreter) -> None:
    machine.push(int.from_bytes(machine.take(machine.number("<B")), "little", signed=True))


def _proto(machine: _Interpreter) -> None:
    if machine.number("<B") > 5:
        machine.refuse("the pickle is of an unknown protocol")


def _frame(machine: _Interpreter) -> None:
    machine.take(8)  # how much a reader may fetch at once: all of it is here already


def _text(form: str) -> Callable[[_Interpreter], None]:
    return lambda machine: machine.push(machine.text(machine.take(machine.number(form))))


_ACTIONS: dict[bytes, Callable[[_Interpreter], None]] = {
    b"\x80": _proto,
    b"\x95": _frame,
    b"(": lambda m: m.push(_MARK),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": _long,
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"X": _text("<I"),
    b"\x8c": _text("<B"),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.make_tuple(1),
    b"\x86": lambda m: m.make_tuple(2),
    b"\x87": lambda m: m.make_tuple(3),
    b"t": lambda m: m.push(tuple(m.pop_to_mark())),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b"\x8f": lambda m: m.push(_Inert("set")),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b"s": lambda m: m.put_item(),
    b"u": lambda m: m.put_items(m.pop_to_mark()),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.name_from_stack(),
    b"Q": lambda m: m.persistent(),
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
}
