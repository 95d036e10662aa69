"""Cutting ASCII text where no piece of the tokenizer can cross, and counting the cuts in numpy.

A *segment* is a stretch of text that tokenizes alike wherever it stands: BPE only ever joins
neighbours into a piece, so where no piece holds a given pair of neighbours the text falls apart,
and its count is the sum over the parts. Which pairs those are is read from the model's pieces, not
assumed. Segments are short (three bytes on average), so their bytes themselves are the key of an
exact, vectorised hash table: no digest, no collision that could give a wrong count.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from .model_file import SPACE

ALONE, BLANK, LETTER, OTHER = 0, 1, 2, 3
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LONGEST = 16  # bytes of a segment that fit the table's two 64-bit keys
_SLOTS = 1 << 17
_WORDS = 400_000  # segments remembered before the memory starts anew (some 50 MB)


class SegmentRules:
    """Where text may be cut, derived from the pieces of one model.

    `usable` is False when the model has a piece that crosses a newline or has a space after a
    non-space: then no cut is proven and the caller must encode whole texts.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        joined: set[str] = set()  # characters that some longer piece holds
        spaced_inside = letter_joins_other = False
        for piece in pieces:
            if len(piece) == 1:
                continue
            joined.update(piece)
            for left, right in itertools.pairwise(piece):
                if right == SPACE and left != SPACE:
                    spaced_inside = True
                if left.isascii() and right.isascii() and (left in _LETTERS) != (right in _LETTERS):
                    letter_joins_other = True
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
        self.classes = bytes(classes)
        starts = np.ones((4, 4), dtype=np.bool_)
        starts[BLANK, BLANK] = False  # a run of spaces stays with the word that follows it
        starts[BLANK, LETTER] = starts[BLANK, OTHER] = False
        starts[LETTER, LETTER] = starts[OTHER, OTHER] = False
        # A lookup by (class before) * 4 + class.
        self.starts: NDArray[np.bool_] = starts.reshape(16)

    def starts_in(self, text: bytes) -> NDArray[np.bool_]:
        """Where segments start in ASCII `text`: a bool per byte, the first one True."""
        kinds = np.frombuffer(text.translate(self.classes), dtype=np.uint8)
        out = np.empty(kinds.size, dtype=np.bool_)
        out[:1] = True
        np.take(self.starts, (kinds[:-1] << 2) | kinds[1:], out=out[1:], mode="clip")
        return out


class SegmentCounts:
    """Tokens of segments, looked up many at a time; `encode` is asked once for each new one."""

    def __init__(self, encode: Callable[[list[str]], list[int]]) -> None:
        self._encode = encode
        self._words: dict[bytes, int] = {}
        self._low = np.zeros(_SLOTS, dtype=np.uint64)
        self._high = np.zeros(_SLOTS, dtype=np.uint64)
        self._tokens = np.zeros(_SLOTS, dtype=np.uint16)

    def tokens(
        self, text: bytes, begins: NDArray[np.int64], sizes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Tokens of each segment text[begins[i] : begins[i] + sizes[i]]."""
        padded = text + bytes(_LONGEST)
        windows: NDArray[np.uint64] = np.ndarray(
            shape=(len(text) + 8,), dtype="<u8", buffer=padded, strides=(1,)
        )
        low = windows[begins] & _MASKS[np.minimum(sizes, 8)]
        high = windows[np.minimum(begins + 8, len(text))] & _MASKS[np.clip(sizes - 8, 0, 8)]
        slots = ((low * _MIX_LOW) ^ (high * _MIX_HIGH)) >> _SHIFT
        found: NDArray[np.int64] = self._tokens[slots].astype(np.int64)
        fresh = (self._low[slots] != low) | (self._high[slots] != high)
        fresh |= sizes > _LONGEST
        at = np.flatnonzero(fresh)
        if at.size:
            found[at] = self._resolve(text, begins[at], sizes[at], slots[at], low[at], high[at])
        return found

    def _resolve(
        self,
        text: bytes,
        begins: NDArray[np.int64],
        sizes: NDArray[np.int64],
        slots: NDArray[np.uint64],
        low: NDArray[np.uint64],
        high: NDArray[np.uint64],
    ) -> NDArray[np.int64]:
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
        found = np.fromiter(map(known.__getitem__, words), dtype=np.int64, count=len(words))
        short = (sizes <= _LONGEST) & (found < 0xFFFF)
        slot = slots[short]
        # Of several words for one slot numpy keeps the last in all three assignments alike.
        self._low[slot] = low[short]
        self._high[slot] = high[short]
        self._tokens[slot] = found[short]
        return found


# Keeps the first n bytes of a little-endian word.
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype="<u8")
_MIX_LOW = np.uint64(0x9E3779B97F4A7C15)
_MIX_HIGH = np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT = np.uint64(64 - _SLOTS.bit_length() + 1)
