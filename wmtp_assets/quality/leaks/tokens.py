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
_NAME, _KEYWORD, _SILENT, _ELIF, _BUILTIN = range(5)
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


def _classes(words: bytes, operators: bytes) -> NDArray[np.uint8]:
    table = np.full(256, _DROPPED, np.uint8)
    table[list(words)] = _WORD
    table[128:] = _WORD
    table[list(operators)] = _OPERATOR
    table[0] = _SEPARATOR
    return table


_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = b"0123456789"
_OF_CODE: Final = _classes(_LETTERS + _LETTERS.upper() + _DIGITS + b"_", b"+-*/%@&|^~<>=!.[]{}`?$")
_OF_PROSE: Final = _classes(_LETTERS + _DIGITS, b"")
_LOWER: Final = np.arange(256, dtype=np.uint8)
_LOWER[65:91] += 32
_DOT: Final = _OF_OPERATOR[ord(".")]


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
    joined = without_unseen(_joined(texts))
    tokens = _words(np.frombuffer(joined, np.uint8), joined, _OF_CODE)
    first = tokens.first_bytes
    sort = np.where(tokens.is_word, _sorts(tokens.hashes), np.uint8(_KEYWORD))
    kept = sort != _SILENT
    hashes, sort, first = tokens.hashes[kept], sort[kept], first[kept]
    hashes[sort == _ELIF] = _IF
    number = (first >= ord("0")) & (first <= ord("9"))
    free = ((sort == _NAME) | (sort == _BUILTIN)) & ~number
    bare = np.where(free, _ANY_NAME, hashes)
    built_in = sort == _BUILTIN
    for name in renamed:
        built_in &= hashes != _hash_of(name)
    attribute = np.zeros(hashes.size, np.bool_)
    attribute[1:] = hashes[:-1] == _DOT
    shaped = np.where(free & ~built_in & ~attribute, _ANY_NAME, hashes)
    bounds = _bounds(first)
    return CodeStreams(Stream(hashes, bounds), Stream(shaped, bounds), Stream(bare, bounds))


def without_unseen(code: bytes) -> bytes:
    """Programs (in UTF-8, parted by zero bytes) without comments and strings."""
    return _UNSEEN.sub(b" ", code)


def lex_prose(texts: Sequence[bytes]) -> Stream:
    """The words of texts in UTF-8, in lower case (of ASCII)."""
    lowered = _LOWER[np.frombuffer(_joined(texts), np.uint8)]
    tokens = _words(lowered, lowered.tobytes(), _OF_PROSE)
    return Stream(tokens.hashes, _bounds(tokens.first_bytes))


def _joined(texts: Iterable[bytes]) -> bytes:
    parts = [text.replace(_END, b" ") for text in texts]
    return _END.join([*parts, b""])


@dataclass(frozen=True)
class _Tokens:
    hashes: Hashes
    is_word: NDArray[np.bool_]
    first_bytes: NDArray[np.uint8]


def _words(data: NDArray[np.uint8], raw: bytes, classes: NDArray[np.uint8]) -> _Tokens:
    of_byte = classes[data]
    word = of_byte == _WORD
    edges = np.zeros(data.size + 1, np.bool_)
    np.not_equal(word[1:], word[:-1], out=edges[1:-1])
    if data.size:
        edges[0], edges[-1] = word[0], word[-1]
    # A word begins at every other edge, and ends at the next.
    both = np.flatnonzero(edges)
    begins, sizes = both[::2], both[1::2] - both[::2]
    places = np.concatenate((begins, np.flatnonzero(of_byte >= _OPERATOR)))
    order = np.argsort(places, kind="stable")
    hashes = np.concatenate(
        (_hashes(raw, begins, sizes), _of_operators(data[places[begins.size :]]))
    )
    is_word = np.zeros(places.size, np.bool_)
    is_word[: begins.size] = True
    return _Tokens(hashes[order], is_word[order], data[places[order]])


def _of_operators(data: NDArray[np.uint8]) -> Hashes:
    return _OF_OPERATOR[data]


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
