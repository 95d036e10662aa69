"""Shingles of programs: runs of five tokens, as 64-bit hashes, many texts at a time.

A token is a run of letters, digits, underscores and bytes outside ASCII, or any other character
that is no white space, by itself. White space counts for nothing but where it parts tokens. A text
of fewer than five tokens is one shingle; one of none has none.

Two different shingles of a problem's solutions have one hash by chance once in some million of
millions of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

TOKENS: Final = 5
"""How many tokens a shingle has."""

_BLOCK = 1 << 18  # bytes that are passed over together: several arrays of eight times this
_SPACE, _WORD, _MARK = 0, 1, 2
_MASK = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15  # odd, and so is each of its powers: they have inverses
_SEQUENCE = 0xD6E8FEB86659FD93


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    """base**0, base**1, ... modulo 2**64."""
    found = np.full(count, base, np.uint64)
    found[:1] = 1
    return np.multiply.accumulate(found)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Each value with its bits well mixed (the finish of splitmix64)."""
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def _kinds() -> NDArray[np.uint8]:
    found = np.full(256, _MARK, np.uint8)
    found[[9, 10, 11, 12, 13, 32]] = _SPACE
    for byte in range(256):
        if byte >= 128 or chr(byte).isalnum() or byte == ord("_"):
            found[byte] = _WORD
    return found


_KINDS = _kinds()
# White space adds nothing to the token before it.
_VALUES = np.where(
    _KINDS == _SPACE, np.uint64(0), _mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_BASE))
)
_POWERS = _powers(_BASE, 2 * _BLOCK)
_INVERSES = _powers(pow(_BASE, -1, 1 << 64), 2 * _BLOCK)
_PLACES = _powers(_SEQUENCE, TOKENS)


@dataclass(frozen=True)
class Shingles:
    """The shingles of some texts, in the order of the texts; one may occur several times.

    values: uint64, those of text i from ends[i - 1] to ends[i]. ends: int64. texts: uint64, a hash
    of each text's tokens in their order.
    """

    values: NDArray[np.uint64]
    ends: NDArray[np.int64]
    texts: NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Shingles:
        """Of texts in UTF-8."""
        parts: list[Shingles] = []
        begin, size = 0, 0
        for at, text in enumerate(texts):
            if size + len(text) > _BLOCK and at > begin:
                parts.append(_of_block(texts[begin:at]))
                begin, size = at, 0
            size += len(text) + 1
        parts.append(_of_block(texts[begin:]))
        return cls.joined(parts)

    @classmethod
    def joined(cls, parts: Sequence[Shingles]) -> Shingles:
        """Those of several, one after the other."""
        if len(parts) == 1:
            return parts[0]
        shifts = np.cumsum([0, *(part.values.size for part in parts)])
        ends = [part.ends + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
        return cls(
            np.concatenate([part.values for part in parts]),
            np.concatenate(ends),
            np.concatenate([part.texts for part in parts]),
        )

    @property
    def begins(self) -> NDArray[np.int64]:
        """Where each text's shingles begin."""
        return np.concatenate((np.zeros(1, np.int64), self.ends[:-1]))

    def part(self, begin: int, end: int) -> Shingles:
        """Those of the texts from `begin` to `end`; nothing is copied but the ends."""
        first = int(self.ends[begin - 1]) if begin else 0
        ends = self.ends[begin:end] - first
        last = first + (int(ends[-1]) if ends.size else 0)
        return Shingles(self.values[first:last], ends, self.texts[begin:end])

    def subset(self, texts: NDArray[np.int64]) -> Shingles:
        """Those of some of the texts."""
        begins = self.begins[texts]
        sizes = self.ends[texts] - begins
        ends = np.cumsum(sizes)
        places = np.arange(int(ends[-1]) if ends.size else 0) + np.repeat(
            begins - (ends - sizes), sizes
        )
        return Shingles(self.values[places], ends, self.texts[texts])


def _of_block(texts: Sequence[bytes]) -> Shingles:
    if not texts:
        return Shingles(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint64))
    data = np.frombuffer(b" ".join(texts), np.uint8)
    token, at = _tokens(data)
    # How many of the tokens each text has.
    bounds = np.cumsum([len(text) + 1 for text in texts])
    ends = np.searchsorted(at, bounds)
    begins = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    counts = ends - begins

    hashes = np.zeros(len(texts), np.uint64)
    shingles = np.zeros(max(0, token.size - TOKENS + 1), np.uint64)
    for place, power in enumerate(_PLACES):
        shingles += token[place : place + shingles.size] * power
    inside = np.zeros(shingles.size + 1, np.int32)  # windows that begin and end in one text
    long = counts >= TOKENS
    np.add.at(inside, begins[long], 1)
    np.add.at(inside, ends[long] - TOKENS + 1, -1)
    kept = np.flatnonzero(np.cumsum(inside[:-1]))
    values = _mixed(shingles[kept])
    sizes = np.where(long, counts - TOKENS + 1, 0)

    short = np.flatnonzero(~long & (counts > 0))
    if short.size:
        places = np.cumsum(sizes)[short] - sizes[short]
        alone = [
            (token[begins[one] : ends[one]] * _PLACES[: counts[one]]).sum(dtype=np.uint64)
            for one in short.tolist()
        ]
        values = np.insert(values, places, _mixed(np.array(alone, np.uint64)))
        sizes[short] = 1
    last = np.cumsum(sizes)
    some = np.flatnonzero(sizes)
    if some.size:
        order = np.arange(values.size, dtype=np.uint64) - np.repeat(
            (last - sizes).astype(np.uint64), sizes
        )
        placed = values * _mixed(order + np.uint64(_BASE))
        hashes[some] = np.add.reduceat(placed, (last - sizes)[some])
        hashes[some] = _mixed(hashes[some] + sizes[some].astype(np.uint64))
    return Shingles(values, last, hashes)


def _tokens(data: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A hash of each token, and where it begins."""
    kind = _KINDS[data]
    begins = kind == _MARK
    word = kind == _WORD
    begins |= word
    begins[1:] &= ~(word[1:] & word[:-1])
    at = np.flatnonzero(begins)
    if not at.size:
        return np.empty(0, np.uint64), at
    powers, inverses = _POWERS, _INVERSES
    if data.size > powers.size:  # a single text that is very long
        powers = _powers(_BASE, data.size)
        inverses = _powers(pow(_BASE, -1, 1 << 64), data.size)
    weighed = _VALUES[data] * powers[: data.size]
    # A sum of bytes times powers that begin with 1 at the token's first byte.
    return _mixed(np.add.reduceat(weighed, at) * inverses[at]), at
