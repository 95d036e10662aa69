"""The pickle inside a torch archive, interpreted in a closed world: nothing is ever imported.

An interpreter for the opcodes that `torch.save` writes for a state dict, with five known names
(tensor rebuild, parameter rebuild, ordered dict, torch's storages) that are tokens here, not
functions. Every other name, opcode or shape of value is refused. Memory and time are bounded by a
cap on bytes and on opcodes. Opcodes: the standard library's `pickletools`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from wmtp_assets.checkpoints.dtypes import BY_STORAGE, DType

# A state dict of 10,000 tensors takes some 2 MB and 300,000 opcodes. At both caps the worst pickle
# that was found makes less than 150 MB of Python objects.
MAX_BYTES = 8 << 20
MAX_OPCODES = 1_000_000


class PickleError(ValueError):
    """The pickle asks for something that a state dict does not need; the message says what."""


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
class _Name:
    """A global that the pickle named and that is known. A token: nothing stands behind it."""

    name: str


_TENSOR = _Name("torch._utils _rebuild_tensor_v2")
_PARAMETER = _Name("torch._utils _rebuild_parameter")
_ORDERED_DICT = _Name("collections OrderedDict")
_KNOWN = {known.name: known for known in (_TENSOR, _PARAMETER, _ORDERED_DICT)} | {
    name: _Name(name) for name in BY_STORAGE
}
_MARK = object()


def read_state_dict(data: bytes) -> dict[str, View]:
    """The tensors that a pickled state dict names, in its order. Raises PickleError."""
    if len(data) > MAX_BYTES:
        raise PickleError(f"the pickle is {len(data):,} bytes long, more than {MAX_BYTES:,}")
    value = _Interpreter(data).run()
    if not isinstance(value, dict):
        raise PickleError(f"the pickle holds a {_kind(value)}, not a dict of tensors")
    views: dict[str, View] = {}
    for name, view in value.items():
        if not isinstance(view, View):
            raise PickleError(f"the entry {name[:80]!a} is a {_kind(view)}, not a tensor")
        views[name] = view
    return views


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
            if opcodes > MAX_OPCODES:
                self.refuse(f"the pickle has more than {MAX_OPCODES:,} opcodes")
            action = _ACTIONS.get(opcode)
            if action is None:
                self.refuse(f"the opcode {opcode!r} at byte {self.at - 1} is not allowed")
            action(self)
        value = self.pop()
        if self.stack or self.at != len(self.data):
            self.refuse("the pickle goes on after its value")
        return value

    def refuse(self, why: str) -> NoReturn:
        raise PickleError(why)

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
            if not isinstance(key, str):
                self.refuse(f"a key is a {_kind(key)}, not a text")
            if key in target:
                self.refuse(f"the key {key[:80]!a} occurs twice")
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
                "which no state dict needs; it was not run"
            )
        self.push(known)

    def name_from_stack(self) -> None:
        attribute, module = self.pop(), self.pop()
        self.name(module, attribute)

    def persistent(self) -> None:
        """A storage: ("storage", type, key, device, element count)."""
        match self.pop():
            case ("storage", _Name(name), str(key), str(), int(elements)) if name in BY_STORAGE:
                if type(elements) is not int or elements < 0 or not _is_key(key):
                    self.refuse(f"the storage {key[:40]!a} is not one that torch writes")
                self.push(Storage(BY_STORAGE[name], key, elements))
            case _:
                self.refuse("a persistent id that is no storage of torch's")

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if function is _TENSOR:
            self.push(self.tensor(arguments))
        elif function is _PARAMETER:
            match arguments:
                case (View() as view, bool(), dict()):
                    self.push(view)
                case _:
                    self.refuse("a parameter that is not rebuilt from a tensor")
        elif function is _ORDERED_DICT and arguments == ():
            self.push({})
        else:
            self.refuse("the pickle calls something that is not to be called; it was not run")

    def tensor(self, arguments: object) -> View:
        match arguments:
            case (Storage() as storage, offset, shape, strides, bool(), dict() as hooks):
                numbers = _numbers((offset,)), _numbers(shape), _numbers(strides)
            case _:
                self.refuse("a tensor that is not rebuilt the way torch.save writes it")
        first, sizes, steps = numbers
        if first is None or sizes is None or steps is None or len(sizes) != len(steps) or hooks:
            self.refuse("a tensor whose offset, shape or strides are not plain numbers")
        return View(storage, first[0], sizes, steps)

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


def _is_key(key: str) -> bool:
    """torch numbers its storages; the key becomes part of a record's name."""
    return key.isascii() and key.isdigit() and len(key) <= 20


def _kind(value: object) -> str:
    return value.name if isinstance(value, _Name) else type(value).__name__.lower()


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
