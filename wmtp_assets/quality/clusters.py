"""Clusters of texts that are nearly the same, by their shingles.

Two texts are near-duplicates where the sets of their shingles have a Jaccard index of at least
`THRESHOLD`; clusters are what is connected by such pairs, so two texts of one cluster may be less
alike than that. Candidates come from MinHash (`rensa`) and locality-sensitive hashing; every pair
that joins two clusters is verified by its exact index.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from wmtp_assets.quality.shingles import Shingles

THRESHOLD: Final = 0.8
HASHES: Final = 64
"""Of a signature. In bands of four, a pair at the threshold agrees in one with 99.98 %."""

_BAND = 4
_SEED = 42
# An index of 0.8 is estimated below this twice in a thousand times.
_ESTIMATE = round((THRESHOLD - 0.15) * HASHES)
_NEIGHBOURS = 32  # texts of one bucket whose pairs are listed; more are a crowd
_MANY = 16  # texts that one is compared with, from which on a table pays
_SLOT_BITS = 16  # such a table fits into the first cache
_LONG = 512  # different shingles of a text, on average, from which on a sketch costs less
_CELL_BITS = 10
_CELLS = 1 << _CELL_BITS  # of a sketch: a standard deviation is 1.4 % of long texts' index
_DEVIATIONS = 4  # by which the index may be underestimated: once in thirty thousand pairs
_SKETCHES_AT_ONCE = 1 << 9  # half a megabyte
_TEXTS_AT_ONCE = 1 << 13
_KEPT = 1 << 20  # elements of sets that are kept for the next comparison: some 70 bytes each


def cluster_texts(shingles: Shingles) -> NDArray[np.int64]:
    """The cluster of each text: the number of the first text in it.

    Time grows with the pairs that share a band and are not of one cluster yet: some half a
    microsecond each where thousands of texts are all nearly near-duplicates, however long they are.
    Memory is some three times that of the shingles, and some kilobytes per text.
    """
    _, first, text_of = np.unique(shingles.texts, return_index=True, return_inverse=True)
    first = first.astype(np.int64)
    different = shingles.subset(first)
    found = _Clusters(different).labels
    # The first text of each cluster, of all texts.
    least = np.full(first.size, shingles.texts.size, np.int64)
    np.minimum.at(least, found, first)
    return least[found][text_of]


def signatures(shingles: Shingles) -> NDArray[np.uint32]:
    """MinHash signatures: (texts, HASHES)."""
    parts = [np.empty((0, HASHES), np.uint32)]
    offsets = np.concatenate((np.zeros(1, np.int64), shingles.ends)).astype(np.uint64)
    for begin in range(0, shingles.ends.size, _TEXTS_AT_ONCE):
        some = offsets[begin : begin + _TEXTS_AT_ONCE + 1]
        values = shingles.values[int(some[0]) : int(some[-1])]
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            values, some - some[0], HASHES, _SEED
        )
        parts.append(np.array(matrix.to_rows(), np.uint32))
    return np.concatenate(parts)


class _Clusters:
    """Texts that are all different, joined by verified pairs."""

    def __init__(self, shingles: Shingles) -> None:
        self._shingles = shingles
        self._begins = shingles.begins
        self._signatures = signatures(shingles)
        self._sets: dict[int, frozenset[int]] = {}
        self._kept = 0
        self.labels = np.arange(shingles.ends.size)
        """The cluster of each text, as the number of one of them."""
        if self.labels.size > 1:
            # Four numbers of 32 bits as two of 64, and these as one.
            halves = np.ascontiguousarray(self._signatures).view(np.uint64)
            bands = range(0, halves.shape[1], _BAND // 2)
            self._join_bucketed(
                halves[:, band] * np.uint64(0x9E3779B97F4A7C15) ^ halves[:, band + 1]
                for band in bands
            )

    def _join_bucketed(self, bands: Iterable[NDArray[np.uint64]]) -> None:
        """Join the near-duplicates among texts that have the same key in one of the bands."""
        pairs, crowds = [np.empty(0, np.int64)], list[NDArray[np.int64]]()
        for keys in bands:
            near, large = _neighbours(keys)
            pairs += near
            crowds += large
        one, other = np.divmod(np.unique(np.concatenate(pairs)), self.labels.size)
        likely = self._likely(one, other)
        one, other = one[likely], other[likely]
        bounds = np.flatnonzero(np.concatenate(([True], one[1:] != one[:-1], [one.size > 0])))
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            self._join(int(one[begin]), other[begin:end])
        self._join_crowds(crowds)

    def _join_crowds(self, crowds: Sequence[NDArray[np.int64]]) -> None:
        """Join the near-duplicates within each crowd; a pair that meets in several is looked at
        once."""
        of_text: dict[int, list[int]] = {}
        for number, crowd in enumerate(crowds):
            for text in crowd.tolist():
                of_text.setdefault(text, []).append(number)
        for text in sorted(of_text):
            met = np.zeros(self.labels.size, np.bool_)
            for number in of_text[text]:
                met[crowds[number]] = True
            met[: text + 1] = False
            met &= self.labels != self.labels[text]
            others = np.flatnonzero(met)
            if others.size:
                self._join(text, others[self._likely(np.array([text]), others)])

    def _likely(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these pairs the signatures take for near-duplicates, or nearly so."""
        found = np.empty(other.size, np.bool_)
        for begin in range(0, other.size, _TEXTS_AT_ONCE):
            part = slice(begin, begin + _TEXTS_AT_ONCE)
            mine = self._signatures[one[part] if one.size > 1 else one]
            found[part] = _counted(mine == self._signatures[other[part]]) >= _ESTIMATE
        return found

    def _join(self, text: int, others: NDArray[np.int64]) -> None:
        """Join a text with those of the others, which come after it, that are its duplicates."""
        others = others[self.labels[others] != self.labels[text]]
        if others.size > _MANY and self._are_long:
            others = self._alike(text, others)
        # It is read for all texts between the first and the last.
        if others.size > max(_MANY, (others[-1] - others[0]) // 16 if others.size else 0):
            others = self._possible(text, others)
        for other in others.tolist():
            here, there = int(self.labels[text]), int(self.labels[other])
            if here != there and self._index(text, other) >= THRESHOLD:
                self.labels[self.labels == there] = here

    def _alike(self, text: int, others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of many others whose index with the text may be as high as the threshold, by their
        sketches: a fixed number of bytes of each, where `_possible` reads all of its shingles."""
        cells, filled = self._sketches
        found = np.empty(others.size, np.bool_)
        for begin in range(0, others.size, _SKETCHES_AT_ONCE):
            part = slice(begin, begin + _SKETCHES_AT_ONCE)
            some = others[part]
            either = np.bitwise_count(filled[some] | filled[text]).sum(axis=1, dtype=np.int64)
            # What is empty in both is the same, and says nothing.
            common = _counted(cells[some] == cells[text]) - (_CELLS - either)
            doubt = _DEVIATIONS * np.sqrt(THRESHOLD * (1 - THRESHOLD) * either)
            found[part] = common >= THRESHOLD * either - doubt
        return others[found]

    @cached_property
    def _are_long(self) -> bool:
        return float(self._distinct.mean()) >= _LONG

    @cached_property
    def _sketches(self) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """MinHash of each text in one pass: the least shingle of each of `_CELLS` parts of their
        range, by eight bits of it (0: none), and the bits of which cells hold one.

        Of the cells that hold one in either of two texts, as many agree as their index says, and
        one in 255 of the others by chance.
        """
        cells = np.zeros((self.labels.size, _CELLS), np.uint8)
        for text in range(self.labels.size):
            values = np.unique(self._values(text))
            place, first = np.unique(values >> np.uint64(64 - _CELL_BITS), return_index=True)
            cells[text, place] = values[first] % np.uint64(255) + np.uint64(1)
        return cells, np.packbits(cells != 0, axis=1).view(np.uint64)

    def _possible(self, text: int, others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of many others whose index with the text may be as high as the threshold.

        Shingles are compared by 16 bits of them, so that a table says which the text has: what it
        has in common with another is never less than that, and seldom more.
        """
        slots, ends = self._slots
        begins = ends - self._distinct
        table = np.zeros(1 << _SLOT_BITS, np.uint8)
        table[slots[begins[text] : ends[text]]] = 1
        first, last = int(others[0]), int(others[-1])
        hits = table.take(slots[begins[first] : ends[last]])
        common = np.add.reduceat(hits, begins[first : last + 1] - begins[first], dtype=np.int32)
        common = common[others - first]
        sizes = self._distinct[others]
        common = np.minimum(common, np.minimum(sizes, self._distinct[text]))
        enough = THRESHOLD * (sizes + self._distinct[text] - common) - 1e-6
        found: NDArray[np.int64] = others[common >= enough]
        return found

    @cached_property
    def _slots(self) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """The different shingles of each text, by some of their bits, and where they end."""
        ends = np.cumsum(self._distinct)
        found = np.empty(int(ends[-1]), np.uint16)
        for text, end in enumerate(ends.tolist()):
            values = np.unique(self._values(text))
            found[end - values.size : end] = values >> np.uint64(64 - _SLOT_BITS)
        return found, ends

    @cached_property
    def _distinct(self) -> NDArray[np.int64]:
        """How many different shingles each text has."""
        return np.array([np.unique(self._values(one)).size for one in range(self.labels.size)])

    def _index(self, one: int, other: int) -> float:
        """The exact Jaccard index of two texts; 0 where either has no shingle."""
        a, b = self._set(one), self._set(other)
        shared = len(a & b)
        return shared / (len(a) + len(b) - shared) if shared else 0.0

    def _set(self, text: int) -> frozenset[int]:
        known = self._sets.get(text)
        if known is None:
            known = frozenset(self._values(text).tolist())
            if self._kept > _KEPT:
                self._sets.clear()
                self._kept = 0
            self._sets[text] = known
            self._kept += len(known)
        return known

    def _values(self, text: int) -> NDArray[np.uint64]:
        return self._shingles.values[int(self._begins[text]) : int(self._shingles.ends[text])]


def _counted(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true in each row, of a multiple of 8 and at most 2,040: eight bytes of a row are
    added as one number, several times as fast as `np.count_nonzero` by rows."""
    lanes = np.ascontiguousarray(same).view(np.uint64).sum(axis=1, dtype=np.uint64)
    counts: NDArray[np.int64] = lanes.view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64)
    return counts


def _neighbours(
    keys: NDArray[np.uint64],
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Pairs of texts with one key, each as lower * texts + higher; and where more than
    `_NEIGHBOURS` have one, these texts instead, ascending."""
    texts = keys.size
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    sizes = np.diff(starts, append=keys.size)
    crowded = sizes > _NEIGHBOURS
    crowds = [
        order[begin : begin + size]
        for begin, size in zip(starts[crowded].tolist(), sizes[crowded].tolist(), strict=True)
    ]
    if crowds:
        kept = np.repeat(~crowded, sizes)
        order, keys = order[kept], keys[kept]
    pairs = []
    for apart in range(1, min(_NEIGHBOURS, keys.size)):
        near = np.flatnonzero(keys[apart:] == keys[:-apart])
        if not near.size:
            break
        pairs.append(order[near] * texts + order[near + apart])
    return pairs, crowds
