"""Arguments and results between the process of tests and the process of a solution: plain data.

Values of the types listed here cross, by their exact type; what arrives is built here from text, so
that no code and no object of the sender's classes comes with it. The text is JSON in which every
container is a list that begins with its tag.
"""

from __future__ import annotations

import builtins
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

MOST_BYTES: Final = 32 << 20
"""Of one message; more is refused."""

_SCALARS: Final = frozenset({type(None), bool, int, float, str})
_SEQUENCES: Final[dict[type, str]] = {list: "l", tuple: "t", set: "s", frozenset: "f"}
_MAPPINGS: Final[dict[type, str]] = {dict: "d", Counter: "C", OrderedDict: "O"}
_FACTORIES: Final = frozenset({"int", "float", "str", "bool", "list", "dict", "set", "tuple"})
MUTABLE: Final = frozenset({list, set, dict, Counter, OrderedDict, defaultdict, deque})


class NotPlainError(TypeError):
    """A value is of no type that crosses, refers to itself, or is too large."""


def encoded(value: object) -> bytes:
    """The text of a value. Raises NotPlainError."""
    try:
        data = json.dumps(tagged(value), separators=(",", ":")).encode("ascii")
    except RecursionError:
        raise NotPlainError("data nested too deeply, or in itself") from None
    if len(data) > MOST_BYTES:
        raise NotPlainError(f"{len(data):,} bytes of data; {MOST_BYTES:,} may cross")
    return data


def decoded(data: bytes) -> Any:
    """The value of a text, which may come from anybody. Raises NotPlainError."""
    try:
        return untagged(json.loads(data))
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError) as error:
        raise NotPlainError(f"no plain data: {error}") from None


def tagged(value: Any) -> object:
    """`value` as what JSON can hold. Raises NotPlainError, and RecursionError."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind in _SEQUENCES:
        return [_SEQUENCES[kind], _items(value)]
    if kind in _MAPPINGS:
        return [_MAPPINGS[kind], _pairs(value)]
    if kind is defaultdict:
        factory = value.default_factory
        name = getattr(factory, "__name__", "")
        known = name in _FACTORIES and factory is getattr(builtins, name)
        return ["D", name if known else None, _pairs(value)]
    if kind is deque:
        return ["q", value.maxlen, _items(value)]
    if kind is range:
        return ["r", value.start, value.stop, value.step]
    if kind is complex:
        return ["c", value.real, value.imag]
    if kind is bytes:
        return ["b", value.decode("latin-1")]
    raise NotPlainError(f"a {kind.__module__}.{kind.__qualname__} is no plain data")


def untagged(value: Any) -> Any:
    """The value that `tagged` made this of. Raises what a wrong structure leads to."""
    if type(value) is not list:
        if type(value) in _SCALARS:
            return value
        raise ValueError("a JSON object")
    return _BUILDERS[value[0]](*value[1:])


def update(target: Any, changed: Any) -> None:
    """Makes a mutable container hold what another of its type holds."""
    if type(target) is not type(changed):
        raise NotPlainError("an argument came back as another type")
    if type(target) is list:
        target[:] = changed
    else:
        target.clear()
        getattr(target, "extend" if type(target) is deque else "update")(changed)


def _items(values: Iterable[object]) -> list[object]:
    items = list(values)
    return items if set(map(type, items)) <= _SCALARS else [tagged(item) for item in items]


def _pairs(values: dict[Any, Any]) -> list[object]:
    return [[tagged(key), tagged(value)] for key, value in values.items()]


def _built(items: Any) -> list[Any]:
    if type(items) is not list:
        raise ValueError("a list was expected")
    return [untagged(item) for item in items]


def _built_pairs(pairs: Any) -> list[tuple[Any, Any]]:
    return [(untagged(key), untagged(value)) for key, value in pairs]


def _default_dict(factory: Any, pairs: Any) -> defaultdict[Any, Any]:
    if factory is not None and factory not in _FACTORIES:
        raise ValueError("an unknown factory")
    made = None if factory is None else getattr(builtins, factory)
    return defaultdict(made, _built_pairs(pairs))


_BUILDERS: Final[dict[str, Callable[..., Any]]] = {
    "l": _built,
    "t": lambda items: tuple(_built(items)),
    "s": lambda items: set(_built(items)),
    "f": lambda items: frozenset(_built(items)),
    "d": lambda pairs: dict(_built_pairs(pairs)),
    "C": lambda pairs: Counter(dict(_built_pairs(pairs))),
    "O": lambda pairs: OrderedDict(_built_pairs(pairs)),
    "D": _default_dict,
    "q": lambda maxlen, items: deque(_built(items), maxlen),
    "r": range,
    "c": complex,
    "b": lambda text: text.encode("latin-1"),
}
