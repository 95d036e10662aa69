"""Ways to spoil an input: bytes at random, and JSON values by their structure."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable

# The numbers around which lengths, counts and offsets go wrong.
EDGES = sorted(
    {
        sign * (base + step)
        for base in (0, 1, 2, 4, 8, 64, 127, 255, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 63)
        for step in (-1, 0, 1)
        for sign in (1, -1)
    }
)
_ODD_TEXTS = (
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "\x00",
    "\n",
    "\u202e",
    "\ufeff",
    "\ud800",
    "__metadata__",
    "__proto__",
    "x" * 300,
    "é",
    "Infinity",
    "null",
)


def mutate_bytes(rng: random.Random, data: bytes, most: int = 4) -> bytes:
    """`data` after 1 to `most` of: a bit or byte changed, bytes removed, repeated or inserted."""
    spoiled = bytearray(data)
    for _ in range(rng.randint(1, most)):
        rng.choice(_BYTE_WAYS)(rng, spoiled)
    return bytes(spoiled)


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _edge(rng: random.Random, data: bytearray) -> None:
    width = rng.choice((2, 4, 8))
    if len(data) >= width:
        at = rng.randrange(len(data) - width + 1)
        value = rng.choice(EDGES) & ((1 << 8 * width) - 1)
        data[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _remove(rng: random.Random, data: bytearray) -> None:
    if data:
        at = rng.randrange(len(data))
        del data[at : at + rng.choice((1, 2, 8, rng.randint(1, 1 + len(data) // 4)))]


def _repeat(rng: random.Random, data: bytearray) -> None:
    if data:
        at = rng.randrange(len(data))
        part = data[at : at + rng.randint(1, 64)]
        where = rng.choice((at, rng.randrange(len(data) + 1)))
        data[where:where] = part


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.randbytes(rng.randint(1, 16))


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randint(0, len(data)) :]


_BYTE_WAYS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip,
    _flip,
    _overwrite,
    _overwrite,
    _edge,
    _edge,
    _remove,
    _repeat,
    _insert,
    _cut,
)


def odd_value(rng: random.Random, depth: int = 0) -> object:
    """Any JSON value, most of them such as no reader expects."""
    ways: list[Callable[[], object]] = [
        lambda: None,
        lambda: rng.choice((True, False)),
        lambda: rng.choice(EDGES),
        lambda: rng.choice((0.5, -0.0, 1e308, float(1 << 40), 3.0)),
        lambda: rng.choice((float("nan"), float("inf"), float("-inf"))),
        lambda: 10 ** rng.choice((20, 400, 4400)),
        lambda: rng.choice(_ODD_TEXTS),
    ]
    if depth < 3:
        ways += [
            lambda: [odd_value(rng, depth + 1) for _ in range(rng.randrange(4))],
            lambda: {
                rng.choice(_ODD_TEXTS): odd_value(rng, depth + 1) for _ in range(rng.randrange(4))
            },
        ]
    return rng.choice(ways)()


def mutate_value(rng: random.Random, value: object) -> object:
    """A copy of a JSON `value` in which one place, at any depth, is another."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        changed = dict(value)
        key = rng.choice(list(changed))
        way = rng.random()
        if way < 0.15:
            del changed[key]
        elif way < 0.3:
            changed[rng.choice(_ODD_TEXTS)] = changed.pop(key)
        elif way < 0.4:
            changed[rng.choice(_ODD_TEXTS)] = odd_value(rng)
        else:
            changed[key] = mutate_value(rng, changed[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        entries = list(value)
        at = rng.randrange(len(entries))
        way = rng.random()
        if way < 0.2:
            del entries[at]
        elif way < 0.4:
            entries.insert(at, entries[rng.randrange(len(entries))])
        else:
            entries[at] = mutate_value(rng, entries[at])
        return entries
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.5:
        return value + rng.choice((-1, 1, 8, -8))
    return odd_value(rng)


def json_bytes(rng: random.Random, value: object) -> bytes:
    """`value` as JSON text, now and then as no JSON writer would write it."""
    old = _int_digits(0)
    try:
        text = json.dumps(value, indent=rng.choice((None, 2)))
    finally:
        _int_digits(old)
    way = rng.random()
    if way < 0.03 and text.startswith("{") and len(text) > 2:
        return f'{{"a": 1, "a": 2, {text[1:]}'.encode()
    if way < 0.06:
        depth = rng.choice((50, 500, 5_000, 100_000))
        return (rng.choice(("[", '{"a":')) * depth).encode()
    if way < 0.09:
        return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b" ", b"\x00")) + text.encode()
    if way < 0.12:
        return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32")))
    if way < 0.15:
        return b"<!DOCTYPE html><html><body>404: Not Found</body></html>"
    if way < 0.3:
        return mutate_bytes(rng, text.encode())
    return text.encode()


def _int_digits(limit: int) -> int:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(limit)
    return before
