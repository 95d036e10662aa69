"""Cutting ASCII text where no piece of the tokenizer can cross, and counting the cuts in numpy.

A *segment* is a stretch of text that tokenizes alike wherever it stands: BPE only ever joins
neighbours into a piece, so where no piece holds a given pair of neighbours the text falls apart,
and its count is the sum over the parts. Which pairs those are is read from the model's pieces, not
assumed. Segments are short (three bytes on average), so their bytes themselves are the key of an
exact, vectorised hash table: no digest, no collision that could give a wrong count.

Arrays here are one element a byte or a segment of a block of text; blocks of half a megabyte keep
them in the processor's cache.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.model_file import SPACE

# Classes of characters. Their order is used: LETTER and OTHER are the ones that a run of spaces
# may join.
ALONE, BLANK, LETTER, OTHER = 0, 1, 2, 3
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LETTER_BESIDE_OTHER = re.compile(r"[A-Za-z][!-@\[-`{-~]|[!-@\[-`{-~][A-Za-z]")
_SLOTS = 1 << 17
_LONGEST = 24  # bytes of a segment that the tables hold
_WORDS = 400_000  # segments remembered before the memory starts anew (some 50 MB)

Integers = NDArray[np.int64]


class SegmentRules:
    """Where ASCII text may be cut, derived from the pieces of one model.

    `usable` is False when the model has a piece that crosses a newline or has a space after a
    non-space: then no cut is proven and the caller must encode whole texts.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        # All longer pieces in one text, parted by a control character that no piece holds.
        longer = "\0".join(piece for piece in pieces if len(piece) > 1)
        joined = set(longer) - {"\0"}  # characters that some longer piece holds
        spaced_inside = re.search(f"[^{SPACE}\0]{SPACE}", longer)
        letter_joins_other = _LETTER_BESIDE_OTHER.search(longer)
        self.usable = not spaced_inside and "\n" not in joined and " " not in joined
        classes = bytearray(256)
        for code in range(128):
            char = chr(code)
            if char == " ":
                classes[code] = BLANK
            elif char not in joined:
                classes[code] = ALONE  # always one token: a piece of one character, or one byte
            elif letter_joins_other or char in _LETTERS:
                classes[code] = LETTER
            else:
                classes[code] = OTHER
        self._classes = bytes(classes)

    def starts(self, text: bytes) -> Integers:
        """Offsets at which segments of ASCII `text` start, ascending, the first one 0."""
        kinds = np.frombuffer(text.translate(self._classes), dtype=np.uint8)
        before, here = kinds[:-1], kinds[1:]
        cut = np.ones(kinds.size, dtype=np.bool_)
        # A class changes, except from spaces to the word that they stay with; or a character that
        # always stands alone comes.
        inner = cut[1:]
        np.not_equal(before, here, out=inner)
        inner &= (before != BLANK) | (here < LETTER)
        inner |= here == ALONE
        return np.flatnonzero(cut)


class SegmentCounts:
    """Tokens of segments, looked up many at a time; `encode` is asked once for each new one."""

    def __init__(self, encode: Callable[[list[str]], list[int]]) -> None:
        self._encode = encode
        self._words: dict[bytes, int] = {}
        # Direct-mapped tables: a segment's slot follows from its bytes; the last comer has it.
        self._short = _Table(keys=1)
        self._long = _Table(keys=_LONGEST // 8)

    def tokens(self, text: bytes, begins: Integers) -> Integers:
        """Tokens of each segment of `text`; segment i ends where i + 1 begins."""
        sizes = np.empty_like(begins)
        np.subtract(begins[1:], begins[:-1], out=sizes[:-1])
        sizes[-1:] = len(text) - begins[-1:]
        found = np.ones(begins.size, dtype=np.int64)  # one character is one token
        windows: NDArray[np.uint64] = np.ndarray(
            shape=(len(text) + _LONGEST,),
            dtype="<u8",
            buffer=text + bytes(2 * _LONGEST),
            strides=(1,),
        )
        at = np.flatnonzero((sizes > 1) & (sizes <= 8))
        where, size = begins[at], sizes[at]
        keys = [windows[where] & _MASKS[size]]
        found[at] = self._looked_up(self._short, keys, text, where, size)
        at = np.flatnonzero(sizes > 8)
        where, size = begins[at], sizes[at]
        keys = [windows[where]]
        for begin in range(8, _LONGEST, 8):
            keys.append(windows[where + begin] & _MASKS[np.clip(size - begin, 0, 8)])
        found[at] = self._looked_up(self._long, keys, text, where, size)
        return found

    def _looked_up(
        self,
        table: _Table,
        keys: list[NDArray[np.uint64]],
        text: bytes,
        begins: Integers,
        sizes: Integers,
    ) -> NDArray[Any]:
        slots, found, known = table.get(keys)
        known &= sizes <= _LONGEST
        new = np.flatnonzero(~known)
        if new.size:
            counts = self._resolved(text, begins[new], sizes[new])
            found = found.astype(np.int64)
            found[new] = counts
            fits = sizes[new] <= _LONGEST
            new = new[fits]
            table.put(slots[new], [key[new] for key in keys], counts[fits])
        return found

    def _resolved(self, text: bytes, begins: Integers, sizes: Integers) -> Integers:
        words = [
            text[begin : begin + size]
            for begin, size in zip(begins.tolist(), sizes.tolist(), strict=True)
        ]
        known = self._words
        new = [word for word in set(words) if word not in known]
        if new:
            if len(known) + len(new) > _WORDS:
                known.clear()
                new = list(set(words))
            counts = self._encode([word.decode("ascii") for word in new])
            known.update(zip(new, counts, strict=True))
        return np.fromiter(map(known.__getitem__, words), dtype=np.int64, count=len(words))


class _Table:
    """Counts by one or a few 64-bit keys. No segment has the keys of an empty slot: zero bytes are
    always alone, and lone characters are never looked up."""

    def __init__(self, keys: int) -> None:
        self._keys = [np.zeros(_SLOTS, dtype=np.uint64) for _ in range(keys)]
        self._counts = np.zeros(_SLOTS, dtype=np.uint8)  # at most a token a byte

    def get(
        self, keys: list[NDArray[np.uint64]]
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint8], NDArray[np.bool_]]:
        """Slots, the counts found there, and whether those are the counts of these keys."""
        mixed = keys[0] * _MIX
        for key in keys[1:]:
            mixed ^= key
            mixed *= _MIX
        slots = mixed >> _SHIFT
        known: NDArray[np.bool_] = self._keys[0][slots] == keys[0]
        for mine, key in zip(self._keys[1:], keys[1:], strict=True):
            known &= mine[slots] == key
        return slots, self._counts[slots], known

    def put(
        self, slots: NDArray[np.uint64], keys: list[NDArray[np.uint64]], counts: Integers
    ) -> None:
        # Of several segments for one slot numpy keeps the last, in each of these assignments alike.
        for mine, key in zip(self._keys, keys, strict=True):
            mine[slots] = key
        self._counts[slots] = counts


# Keeps the first n bytes of a little-endian word.
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype="<u8")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - (_SLOTS.bit_length() - 1))
