"""Texts as sequences of 64-bit token hashes, many texts at once, by numpy.

What a text is looked for by must not change when it is only written differently. So of programs,
comments, strings, white space, parentheses, commas, colons and the like count for nothing, nor do
`else`, `not` and `pass`, and `elif` is `if`: what formatters and `ast.unparse` change. What is left
makes streams: `named` has every name, `shaped` one symbol for all names that are neither built in
nor attributes, `bare` for all. Of prose, words count, in lower case.

These streams find candidates. They decide nothing: collisions of hashes, and what they leave out,
are looked at by what reads the candidates (`deciding`).
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]

SHINGLE: Final = 5  # tokens
_END: Final = b"\0"  # between texts; a text's own are taken for spaces
_DROPPED, _WORD, _OPERATOR, _SEPARATOR = range(4)
_NAME, _BUILTIN, _KEYWORD, _SILENT, _ELIF = range(5)
# Quantifiers are possessive, so that nothing is tried twice: time is linear in the bytes.
_UNSEEN: Final = re.compile(
    rb"#[^\n\0]*+"
    rb'|"""(?:[^"\\\0]++|\\[^\0]|"(?!""))*+(?:""")?'
    rb"|'''(?:[^'\\\0]++|\\[^\0]|'(?!''))*+(?:''')?"
    rb'|"(?:[^"\\\n\0]++|\\[^\0])*+"?'
    rb"|'(?:[^'\\\n\0]++|\\[^\0])*+'?"
)


def _odd_numbers(count: int, seed: int) -> Hashes:
    numbers = np.random.default_rng(seed).integers(0, 1 << 63, count, np.uint64)
    return (numbers << np.uint64(1)) | np.uint64(1)


_FIRST, _LAST, _LENGTH, _MIX = _odd_numbers(4, 1)
_PLACES: Final = _odd_numbers(SHINGLE, 2)
_OF_OPERATOR: Final = _odd_numbers(256, 3)
_ANY_NAME, _STEP = _odd_numbers(2, 4)
_HALF: Final = np.uint64(32)
_WHOLE_BYTES: Final = 8  # of a word that are looked at together
_MASKS: Final = np.array(
    [(1 << 8 * min(size, 8)) - 1 for size in range(_WHOLE_BYTES + 1)], np.uint64
)


def _classes(words: bytes, operators: bytes) -> bytes:
    """A table for `bytes.translate`, which is faster than numpy's look-up."""
    table = np.full(256, _DROPPED, np.uint8)
    table[list(words)] = _WORD
    table[128:] = _WORD
    table[list(operators)] = _OPERATOR
    table[0] = _SEPARATOR
    return table.tobytes()


_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = b"0123456789"
_OF_CODE: Final = _classes(_LETTERS + _LETTERS.upper() + _DIGITS + b"_", b"+-*/%@&|^~<>=!.[]{}`?$")
_OF_PROSE: Final = _classes(_LETTERS + _DIGITS, b"")


@dataclass(frozen=True)
class Stream:
    """The tokens of several texts: `hashes`, uint64, those of text i from `bounds[i]` to before
    `bounds[i + 1] - 1`, where a token stands that is of no text."""

    hashes: Hashes
    bounds: Numbers

    def of(self, text: int) -> Hashes:
        """The tokens of one text."""
        return self.hashes[self.bounds[text] : self.bounds[text + 1] - 1]

    def shingles(self) -> Hashes:
        """A hash of every SHINGLE tokens in a row. Those that reach into the next text are equal to
        none within a text, but by chance: one token among them is of no text."""
        return shingles(self.hashes)

    def texts_at(self, tokens: Numbers) -> Numbers:
        """Which texts these tokens are of."""
        return np.searchsorted(self.bounds, tokens, "right") - 1


def shingles(tokens: Hashes) -> Hashes:
    """A hash of every SHINGLE tokens in a row, uint64; none where there are fewer."""
    count = tokens.size - SHINGLE + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    found = tokens[:count] * _PLACES[0]
    for place in range(1, SHINGLE):
        found += tokens[place : place + count] * _PLACES[place]
    found ^= found >> _HALF
    found *= _MIX
    return np.asarray(found)


def distinct(hashes: Hashes) -> Hashes:
    """Every hash once, ascending: `np.unique` of uint64, but fast for few."""
    ordered = np.sort(hashes)
    first = np.ones(ordered.size, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def wholes(stream: Stream) -> Hashes:
    """A hash of all the tokens of each text, uint64."""
    sums = np.zeros(stream.hashes.size + 1, np.uint64)
    np.cumsum(stream.hashes * _powers(stream.hashes.size), out=sums[1:])
    begins, ends = stream.bounds[:-1], stream.bounds[1:] - 1
    # Every power of an odd number has an inverse, so that where a text begins makes no difference.
    found = (sums[ends] - sums[begins]) * _inverses(stream.hashes.size)[begins]
    found += (ends - begins).astype(np.uint64) * _LENGTH
    found ^= found >> _HALF
    return np.asarray(found * _MIX)


def _powers(count: int) -> Hashes:
    return _series("powers", int(_STEP), count)


def _inverses(count: int) -> Hashes:
    return _series("inverses", pow(int(_STEP), -1, 1 << 64), count)


_SERIES: Final[dict[str, Hashes]] = {}


def _series(name: str, step: int, count: int) -> Hashes:
    """The first powers of `step` modulo 2**64."""
    known = _SERIES.get(name)
    if known is None or known.size < count:
        size = max(1 << 16, 1 << count.bit_length())
        known = np.full(size, step, np.uint64)
        known[0] = 1
        known = _SERIES[name] = np.cumprod(known, dtype=np.uint64)
    return np.asarray(known[:count])


@dataclass(frozen=True)
class CodeStreams:
    """Programs: with their names, without, and without those that are built in or attributes."""

    named: Stream
    shaped: Stream
    bare: Stream


def lex_code(texts: Sequence[bytes], *, renamed: frozenset[bytes] = frozenset()) -> CodeStreams:
    """The tokens of programs in UTF-8, well-formed or not. `renamed` are built-in names that stand
    for something else in these."""
    return lex_seen(without_unseen(texts), renamed=renamed)


def lex_seen(programs: Sequence[bytes], *, renamed: frozenset[bytes] = frozenset()) -> CodeStreams:
    """As `lex_code`, of what `without_unseen` gives."""
    tokens = _tokens(_joined(programs), _OF_CODE)
    kept = np.flatnonzero(tokens.sorts != _SILENT)
    hashes, sorts, first = tokens.hashes[kept], tokens.sorts[kept], tokens.first_bytes[kept]
    hashes[sorts == _ELIF] = _IF
    free = sorts <= _BUILTIN
    bare = np.where(free, _ANY_NAME, hashes)
    other = sorts == _NAME
    for name in renamed:
        other |= free & (hashes == _hash_of(name))
    other[1:] &= first[:-1] != ord(".")  # no attribute
    shaped = np.where(other, _ANY_NAME, hashes)
    bounds = _bounds(first)
    return CodeStreams(Stream(hashes, bounds), Stream(shaped, bounds), Stream(bare, bounds))


def without_unseen(texts: Sequence[bytes]) -> list[bytes]:
    """Programs in UTF-8 without comments and strings, and with spaces for zero bytes."""
    return _UNSEEN.sub(b" ", _joined(texts)).split(_END)[:-1]


def lex_prose(texts: Sequence[bytes]) -> Stream:
    """The words of texts in UTF-8, in lower case (of ASCII)."""
    tokens = _tokens(_joined(texts).lower(), _OF_PROSE)
    return Stream(tokens.hashes, _bounds(tokens.first_bytes))


def _joined(texts: Iterable[bytes]) -> bytes:
    parts = [text.replace(_END, b" ") for text in texts]
    return _END.join([*parts, b""])


@dataclass(frozen=True)
class _Tokens:
    hashes: Hashes
    sorts: NDArray[np.uint8]
    first_bytes: NDArray[np.uint8]


def _tokens(text: bytes, classes: bytes) -> _Tokens:
    """The words and operators of texts that end in zero bytes, which are tokens, too."""
    of_byte = np.frombuffer(text.translate(classes), np.uint8)
    word = np.zeros(of_byte.size + 1, np.bool_)
    np.equal(of_byte, _WORD, out=word[1:])
    # A word begins at every other edge, and ends at the next.
    edges = np.flatnonzero(word[1:] != word[:-1])
    begins, sizes = edges[::2], edges[1::2] - edges[::2]
    stands = of_byte >= _OPERATOR
    stands[begins] = True
    places = np.flatnonzero(stands)
    first = np.frombuffer(text, np.uint8)[places]
    hashes, sorts = _OF_OPERATOR[first], np.full(places.size, _KEYWORD, np.uint8)
    words = np.flatnonzero(word[1:][places])
    hashes[words] = of_words = _hashes(text, begins, sizes)
    sorts[words] = _sorts(of_words)
    sorts[(first >= ord("0")) & (first <= ord("9"))] = _KEYWORD
    return _Tokens(hashes, sorts, first)


def _hashes(raw: bytes, begins: Numbers, sizes: Numbers) -> Hashes:
    """Hashes of words, by their length and up to 16 of their bytes, the first and the last."""
    padded = np.frombuffer(bytes(_WHOLE_BYTES) + raw + bytes(_WHOLE_BYTES), np.uint8)
    # The eight bytes from any byte on.
    windows = np.ndarray((padded.size - _WHOLE_BYTES + 1,), "<u8", buffer=padded.data, strides=(1,))
    whole = _MASKS[np.minimum(sizes, _WHOLE_BYTES)]
    found = (windows[begins + _WHOLE_BYTES] & whole) * _FIRST
    long = np.flatnonzero(sizes > _WHOLE_BYTES)
    found[long] += windows[begins[long] + sizes[long]] * _LAST
    found += sizes.astype(np.uint64) * _LENGTH
    found ^= found >> _HALF
    found *= _MIX
    return np.asarray(found)


def _hash_of(word: bytes) -> np.uint64:
    return np.uint64(_hashes(word, np.array([0]), np.array([len(word)]))[0])


_IF: Final = _hash_of(b"if")


def _bounds(first_bytes: NDArray[np.uint8]) -> Numbers:
    """Where each text's tokens begin; the last is the end."""
    return np.concatenate(([0], np.flatnonzero(first_bytes == 0) + 1))


def _table_of_sorts() -> tuple[Hashes, NDArray[np.uint8], np.uint64]:
    """What sort of name a hash is of: the hash that a place holds, and its sort, where the place is
    the upper bits of the hash times a number that sends no two to one place."""
    sorts = dict.fromkeys(dir(builtins), _BUILTIN)
    sorts |= dict.fromkeys(keyword.kwlist, _KEYWORD)
    sorts |= dict.fromkeys(("else", "not", "pass"), _SILENT) | {"elif": _ELIF}
    hashes = np.array([_hash_of(name.encode()) for name in sorts], np.uint64)
    for factor in _odd_numbers(1000, 5):
        places = (hashes * factor) >> _TABLE
        if np.unique(places).size == hashes.size:
            keys, found = np.zeros(1 << 14, np.uint64), np.full(1 << 14, _NAME, np.uint8)
            keys[places], found[places] = hashes, list(sorts.values())
            return keys, found, np.uint64(factor)
    raise AssertionError("no number sends these names to places of their own")


_TABLE: Final = np.uint64(64 - 14)
_KEYS, _SORTS, _FACTOR = _table_of_sorts()


def _sorts(hashes: Hashes) -> NDArray[np.uint8]:
    places = (hashes * _FACTOR) >> _TABLE
    return np.where(_KEYS[places] == hashes, _SORTS[places], np.uint8(_NAME))
