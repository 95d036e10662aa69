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

import numpy as np
import pyarrow as pa
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
_NEWLINE = ord("\n")

Integers = NDArray[np.int64]


def distinct_lines(text: bytes) -> tuple[Integers, NDArray[np.int32], bytes, NDArray[np.int32]]:
    """The lines of `text`, which ends with a newline, each of them once.

    Returns where each line of the text ends, and which of the distinct lines it is; those, one
    after the other in the order in which they come first, and where each of them ends.
    """
    ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == _NEWLINE) + 1
    offsets = np.zeros(ends.size + 1, dtype=np.int32)
    offsets[1:] = ends
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    coded = pa.Array.from_buffers(pa.binary(), ends.size, buffers).dictionary_encode()
    which = np.frombuffer(coded.indices.buffers()[1], dtype=np.int32, count=ends.size)
    distinct = coded.dictionary
    _, offsets_buffer, lines = distinct.buffers()
    distinct_ends = np.frombuffer(offsets_buffer, dtype=np.int32, count=len(distinct) + 1)[1:]
    return ends, which, lines.to_pybytes()[: distinct_ends[-1]], distinct_ends


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

    def tokens(self, text: bytes, begins: Integers) -> NDArray[np.int32]:
        """Tokens of each segment of `text`; segment i ends where i + 1 begins."""
        sizes = np.empty_like(begins)
        np.subtract(begins[1:], begins[:-1], out=sizes[:-1])
        sizes[-1:] = len(text) - begins[-1:]
        windows: NDArray[np.uint64] = np.ndarray(
            shape=(len(text) + _LONGEST,),
            dtype="<u8",
            buffer=text + bytes(2 * _LONGEST),
            strides=(1,),
        )
        # All in one go: to set lone characters and long segments apart first would cost more than
        # to look them up in vain.
        keys = [windows[begins] & _SHORT_MASKS.take(sizes, mode="clip")]
        found = self._looked_up(self._short, keys, text, begins, sizes)
        at = np.flatnonzero(sizes > 8)
        held = sizes[at] <= _LONGEST
        at, longer = at[held], at[~held]
        where, size = begins[at], sizes[at]
        keys = [windows[where]]
        for begin in range(8, _LONGEST, 8):
            keys.append(windows[where + begin] & _MASKS.take(size - begin, mode="clip"))
        found[at] = self._looked_up(self._long, keys, text, where, size)
        found[longer] = self._resolved(text, begins[longer], sizes[longer])
        return found

    def _looked_up(
        self,
        table: _Table,
        keys: list[NDArray[np.uint64]],
        text: bytes,
        begins: Integers,
        sizes: Integers,
    ) -> NDArray[np.int32]:
        slots, found, known = table.get(keys)
        new = np.flatnonzero(~known)
        if new.size:
            found[new] = counts = self._resolved(text, begins[new], sizes[new])
            table.put(slots[new], [key[new] for key in keys], counts)
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
    """Counts by one or a few 64-bit keys.

    Slot 0 is the empty key's, zero, and says one token: right for a lone character. No other
    segment has that key, since a zero byte is always alone.
    """

    def __init__(self, keys: int) -> None:
        self._keys = [np.zeros(_SLOTS, dtype=np.uint64) for _ in range(keys)]
        self._counts = np.zeros(_SLOTS, dtype=np.int32)
        self._counts[0] = 1

    def get(
        self, keys: list[NDArray[np.uint64]]
    ) -> tuple[Integers, NDArray[np.int32], NDArray[np.bool_]]:
        """Slots, the counts found there, and whether those are the counts of these keys."""
        mixed = keys[0] * _MIX
        for key in keys[1:]:
            mixed ^= key
            mixed *= _MIX
        mixed >>= _SHIFT
        slots = mixed.view(np.int64)  # as an index: numpy would convert an unsigned one
        known: NDArray[np.bool_] = self._keys[0].take(slots) == keys[0]
        for mine, key in zip(self._keys[1:], keys[1:], strict=True):
            known &= mine.take(slots) == key
        return slots, self._counts.take(slots), known

    def put(self, slots: Integers, keys: list[NDArray[np.uint64]], counts: Integers) -> None:
        taken = np.flatnonzero(slots)
        slots, counts = slots[taken], counts[taken]
        # Of several segments for one slot numpy keeps the last, in each of these assignments alike.
        for mine, key in zip(self._keys, keys, strict=True):
            mine[slots] = key[taken]
        self._counts[slots] = counts


# Keeps the first n bytes of a little-endian word.
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype="<u8")
# The same for two to eight bytes; the empty key for one, and for more.
_SHORT_MASKS = np.array([0, 0, *_MASKS[2:], 0], dtype="<u8")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(64 - (_SLOTS.bit_length() - 1))
