"""An interpreter for the opcodes that `torch.save` writes (the standard library's `pickletools`).

Nothing is ever imported or called: names are looked up in `pickle_values.py`, and every other name,
opcode or shape of value is refused. Memory and time are bounded by a cap on opcodes, and on bytes
by the caller.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import NoReturn

from wmtp_assets.checkpoints.dtypes import BY_NAME, BY_STORAGE
from wmtp_assets.checkpoints.pickle_values import (
    INERT,
    KNOWN,
    ORDERED_DICT,
    OWN_ATTRIBUTE,
    PARAMETER,
    PARAMETER_WITH_STATE,
    TENSOR,
    TENSOR_TYPE,
    TENSOR_WITH_STATE,
    TYPED_TENSOR,
    UNTYPED,
    Inert,
    Name,
    PickleError,
    Storage,
    UntypedStorage,
    View,
    described,
    type_name,
)

_MAX_OPCODES = 1_000_000
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
_MARK = object()


class Interpreter:
    """A stack machine over the allowed opcodes; `run` returns the one value that STOP leaves.

    Every method raises PickleError for what a state dict does not need.
    """

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
                self.refuse(f"a key is {described(key)}, not a text")
            if key in target:
                self.refuse(f"the key {str(key)[:80]!a} occurs twice")
            target[key] = value

    def put_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.put_items([key, value])

    def name(self, module: object, attribute: object) -> None:
        if not isinstance(module, str) or not isinstance(attribute, str):
            self.refuse(f"the pickle names a {type_name(attribute)} of a {type_name(module)}")
        known = KNOWN.get(f"{module} {attribute}")
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
            case ("storage", Name() as name, str(key), str(), int(elements)) if (
                name == UNTYPED or name.name in BY_STORAGE
            ):
                if type(elements) is not int or elements < 0 or not _is_key(key):
                    self.refuse(f"the storage {key[:40]!a} is not one that torch writes")
                if name == UNTYPED:
                    self.push(UntypedStorage(key, elements))
                else:
                    self.push(Storage(BY_STORAGE[name.name], key, elements))
            case _:
                self.refuse("a persistent id that is no storage of torch's")

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(arguments, tuple):
            self.refuse("the pickle calls with arguments that are no tuple")
        if function is TENSOR:
            self.push(self.tensor(arguments))
        elif function is TYPED_TENSOR:
            self.push(self.typed_tensor(arguments))
        elif function is PARAMETER:
            match arguments:
                case (View() as view, bool(), dict()):
                    self.push(view)
                case _:
                    self.refuse("a parameter that is not rebuilt from a tensor")
        elif function is PARAMETER_WITH_STATE:
            match arguments:
                case (View() as view, bool(), dict(), state):
                    self.check_attributes(state)
                    self.push(view)
                case _:
                    self.refuse("a parameter that is not rebuilt from a tensor")
        elif function is TENSOR_WITH_STATE:
            match arguments:
                case (Name() as rebuild, Name() as kind, parts, state) if (
                    kind == TENSOR_TYPE and rebuild in (TENSOR, TYPED_TENSOR)
                ):
                    self.check_attributes(state)
                    typed = rebuild == TYPED_TENSOR
                    self.push(self.typed_tensor(parts) if typed else self.tensor(parts))
                case _:
                    self.refuse("a tensor of a class that no state dict needs")
        elif function is ORDERED_DICT and arguments == ():
            self.push({})
        elif isinstance(function, Name) and function in INERT:
            self.push(Inert(INERT[function]))
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
            case (
                UntypedStorage() as of,
                offset,
                shape,
                strides,
                bool(),
                dict() as hooks,
                Name() as name,
            ):
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
    return name.startswith("__") or OWN_ATTRIBUTE.fullmatch(name) is not None


def _is_key(key: str) -> bool:
    """torch numbers its storages; the key becomes part of a record's name."""
    return key.isascii() and key.isdigit() and len(key) <= 20


def _long(machine: Interpreter) -> None:
    machine.push(int.from_bytes(machine.take(machine.number("<B")), "little", signed=True))


def _proto(machine: Interpreter) -> None:
    if machine.number("<B") > 5:
        machine.refuse("the pickle is of an unknown protocol")


def _frame(machine: Interpreter) -> None:
    machine.take(8)  # how much a reader may fetch at once: all of it is here already


def _text(form: str) -> Callable[[Interpreter], None]:
    return lambda machine: machine.push(machine.text(machine.take(machine.number(form))))


_ACTIONS: dict[bytes, Callable[[Interpreter], None]] = {
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
    b"\x8f": lambda m: m.push(Inert("set")),
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
