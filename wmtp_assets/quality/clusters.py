"""Clusters of texts that are nearly the same, by their shingles.

Two texts are near-duplicates where the sets of their shingles have a Jaccard index of at least
`THRESHOLD`; clusters are what is connected by such pairs, so two texts of one cluster may be less
alike than that. Candidates come from MinHash (`rensa`) and locality-sensitive hashing; every pair
that joins two clusters is verified by its exact index.
"""

from __future__ import annotations

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
# An index of 0.8 is estimated below this once in a thousand times.
_ESTIMATE = round((THRESHOLD - 0.15) * HASHES)
_NEIGHBOURS = 32  # texts of one bucket that are compared at a time
_TEXTS_AT_ONCE = 1 << 13
_KEPT = 1 << 20  # elements of sets that are kept for the next comparison: some 70 bytes each


def cluster_texts(shingles: Shingles) -> NDArray[np.int64]:
    """The cluster of each text: the number of the first text in it.

    Time grows with the pairs that share a band. Memory is some three times that of the shingles,
    and 256 bytes per text.
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
    """Texts that are all different, joined band by band."""

    def __init__(self, shingles: Shingles) -> None:
        self._shingles = shingles
        self._begins = shingles.begins
        self._signatures = signatures(shingles)
        self._sets: dict[int, frozenset[int]] = {}
        self._kept = 0
        self._apart: set[tuple[int, int]] = set()
        self.labels = np.arange(shingles.ends.size)
        """The cluster of each text, as the number of one of them."""
        if self.labels.size > 1:
            # Four numbers of 32 bits as two of 64, and these as one.
            halves = np.ascontiguousarray(self._signatures).view(np.uint64)
            for band in range(0, halves.shape[1], _BAND // 2):
                low, high = halves[:, band], halves[:, band + 1]
                self._join_bucketed(low * np.uint64(0x9E3779B97F4A7C15) ^ high)

    def _join_bucketed(self, keys: NDArray[np.uint64]) -> None:
        """Join those that are near-duplicates among texts of the same key."""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        same = keys[1:] == keys[:-1]
        if not same.any():
            return
        for apart in range(1, _NEIGHBOURS + 1):
            near = np.flatnonzero(keys[apart:] == keys[:-apart])
            if not near.size:
                return
            self._join(order[near], order[near + apart])
        bounds = np.flatnonzero(np.concatenate(([True], ~same, [True])))
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            members = order[begin:end]
            for at in range(members.size - _NEIGHBOURS - 1):
                rest = members[at + _NEIGHBOURS + 1 :]
                rest = rest[self.labels[rest] != self.labels[members[at]]]
                if rest.size:
                    self._join(np.full(rest.size, members[at]), rest)

    def _join(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Join those of these pairs that are near-duplicates."""
        different = self.labels[one] != self.labels[other]
        one, other = one[different], other[different]
        if not one.size:
            return
        agreed = np.count_nonzero(self._signatures[one] == self._signatures[other], axis=1)
        likely = agreed >= _ESTIMATE
        for a, b in zip(one[likely].tolist(), other[likely].tolist(), strict=True):
            here, there = int(self.labels[a]), int(self.labels[b])
            pair = (a, b) if a < b else (b, a)
            if here == there or pair in self._apart:
                continue
            if self._index(a, b) >= THRESHOLD:
                self.labels[self.labels == there] = here
            else:
                self._apart.add(pair)

    def _index(self, one: int, other: int) -> float:
        """The exact Jaccard index of two texts; 0 where either has no shingle."""
        a, b = self._set(one), self._set(other)
        shared = len(a & b)
        return shared / (len(a) + len(b) - shared) if shared else 0.0

    def _set(self, text: int) -> frozenset[int]:
        known = self._sets.get(text)
        if known is None:
            begin, end = int(self._begins[text]), int(self._shingles.ends[text])
            known = frozenset(self._shingles.values[begin:end].tolist())
            if self._kept > _KEPT:
                self._sets.clear()
                self._kept = 0
            self._sets[text] = known
            self._kept += len(known)
        return known
