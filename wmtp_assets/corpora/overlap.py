"""Texts that splits have in common: the same verbatim, or ignoring white space.

Texts are compared by 64-bit hashes, which the pass over the lines computes that checks make anyway.
Two different texts of 3.7 million meet by chance once in some million comparisons of splits. White
space is that of ASCII, and all of it counts for nothing: indentation, line ends, blank lines.
Texts of nothing else are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

FIELDS: Final = ("instruction", "output")
WHITE_SPACE: Final = b" \t\n\r\v\f"
_SHOWN = 5


@dataclass(frozen=True)
class TextHashes:
    """Hashes of a field's texts, an element per text; of lines that repeat the text of the line
    before, there may be none.

    lines: int32, the line. exact: uint64, of the text. loose: uint64, of it without white space.
    20 bytes per text: 74 MB for 3.7 million.
    """

    lines: NDArray[np.int32]
    exact: NDArray[np.uint64]
    loose: NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Iterable[tuple[int, bytes]]) -> TextHashes:
        """Of texts in UTF-8, each with the number of its line."""
        lines: list[int] = []
        exact: list[int] = []
        loose: list[int] = []
        for line, text in texts:
            bare = text.translate(None, WHITE_SPACE)
            if bare:
                lines.append(line)
                exact.append(xxhash.xxh3_64_intdigest(text))
                loose.append(xxhash.xxh3_64_intdigest(bare))
        return cls(
            np.array(lines, np.int32), np.array(exact, np.uint64), np.array(loose, np.uint64)
        )

    @classmethod
    def of_column(cls, column: pa.ChunkedArray, first: int) -> TextHashes:
        """Of a column of texts, the first of which is that of line `first`."""
        return cls.of(_texts(column, first))

    @classmethod
    def joined(cls, parts: Sequence[TextHashes]) -> TextHashes:
        """Several as one."""
        if not parts:
            return cls.of(())
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("lines", "exact", "loose")
            )
        )


def _texts(column: pa.ChunkedArray, first: int) -> Iterator[tuple[int, bytes]]:
    """The texts with their lines, from Arrow's buffers: no text is decoded."""
    for chunk in column.chunks:
        _, offsets, data = chunk.buffers()
        if len(chunk):
            places = np.frombuffer(offsets, np.int32, len(chunk) + 1, 4 * chunk.offset).tolist()
            view = memoryview(data) if data is not None else memoryview(b"")
            for line, (begin, end) in enumerate(itertools.pairwise(places), first):
                if begin < end:
                    yield line, view[begin:end].tobytes()
        first += len(chunk)


@dataclass(frozen=True)
class Shared:
    """What one field of two splits has in common.

    `texts` counts different texts, `verbatim` those among them that are the same verbatim;
    `rows` counts the texts' places in each of the two. `examples` are pairs of lines.
    """

    texts: int
    verbatim: int
    rows: tuple[int, int]
    examples: Sequence[tuple[int, int]]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"texts": self.texts, "verbatim": self.verbatim, "places": list(self.rows)}


def shared_texts(one: TextHashes, other: TextHashes) -> Shared | None:
    """What two splits have in common; None where it is nothing. Sorts the smaller one only."""
    if one.loose.size > other.loose.size:
        found = shared_texts(other, one)
        if found is None:
            return None
        turned = [(second, first) for first, second in found.examples]
        return Shared(found.texts, found.verbatim, (found.rows[1], found.rows[0]), turned)
    of_other = _within(other.loose, _distinct(one.loose))
    common = _distinct(other.loose[of_other])
    if not common.size:
        return None
    of_one = _within(one.loose, common)
    exact = _distinct(one.exact[of_one])
    verbatim = _distinct(other.exact[of_other & _within(other.exact, exact)])
    examples = []
    for value in common[:_SHOWN].tolist():
        places = [int(np.flatnonzero(each.loose == value)[0]) for each in (one, other)]
        examples.append((int(one.lines[places[0]]), int(other.lines[places[1]])))
    counts = int(np.count_nonzero(of_one)), int(np.count_nonzero(of_other))
    return Shared(int(common.size), int(verbatim.size), counts, sorted(examples))


def _distinct(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The different values, ascending. Not by np.unique, whose hashing takes far longer."""
    values = np.sort(values)
    keep = np.ones(values.size, np.bool_)
    keep[1:] = values[1:] != values[:-1]
    return values[keep]


def _within(values: NDArray[np.uint64], among: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of `values` are one of `among`, which ascends."""
    if not among.size:
        return np.zeros(values.size, np.bool_)
    places = np.searchsorted(among, values)
    places[places == among.size] = 0
    return np.asarray(among[places] == values)
