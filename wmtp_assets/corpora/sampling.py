"""What a corpus offers to draw: `samplers` over its own columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import data_sampling, samplers
from wmtp_assets.corpora.bins import Bins, Stage
from wmtp_assets.corpora.selection import Rows, RowsLike, row_numbers


class Sampling(ABC):
    """Samples of a corpus. `among` names the rows to choose from in any way that `selection` knows;
    None: all of them."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def column(self, name: str) -> NDArray[Any]:
        """A column of the row index, or total_tokens."""

    @abstractmethod
    def _classes(self) -> NDArray[Any]:
        """The column is_correct. Raises CorpusError where rows have no class."""

    def balanced(
        self, count: int, *, seed: int, share: float = 0.5, among: RowsLike | None = None
    ) -> Rows:
        """`samplers.balanced` over this corpus: the fraction `share` of the rows is correct."""
        return samplers.balanced(self._classes(), self._among(among), count, share, seed)

    def binned(
        self,
        count: int,
        bins: Bins,
        *,
        seed: int,
        by: str = "difficulty",
        share: float | None = None,
        among: RowsLike | None = None,
    ) -> Rows:
        """`samplers.binned` by a column of the index (or total_tokens).

        `share` balances each bin by correctness; None leaves the classes as they come.
        """
        classes = None if share is None else self._classes()
        return samplers.binned(
            self.column(by), self._among(among), count, bins, seed, classes, share or 0.0
        )

    def curriculum(
        self,
        count: int,
        stages: Sequence[Stage],
        *,
        seed: int,
        by: str = "difficulty",
        share: float | None = None,
        among: RowsLike | None = None,
    ) -> Rows:
        """`samplers.curriculum` by a column of the index: rows in the order of training."""
        classes = None if share is None else self._classes()
        return samplers.curriculum(
            self.column(by), self._among(among), count, stages, seed, classes, share or 0.0
        )

    def one_per_cluster(
        self, *, seed: int, among: RowsLike | None = None, per_class: bool = True
    ) -> Rows:
        """`samplers.one_per_cluster`: a random row of each cluster of near-duplicates, of either
        class unless `per_class` is False. Raises CorpusError where near-duplicates were not
        looked for."""
        return samplers.one_per_cluster(
            self.column("cluster"), self.column("is_correct"), self._among(among), seed, per_class
        )

    def pairs(self, count: int, *, seed: int, among: RowsLike | None = None) -> NDArray[np.int64]:
        """`samplers.pairs`: (count, 2) row numbers, a right and a wrong solution of one problem."""
        return samplers.pairs(
            self._classes(), self.column("problem"), self._among(among), count, seed
        )

    def unique_pairs(
        self,
        count: int,
        *,
        seed: int,
        max_pairs_per_problem: int | None = None,
        bins: Bins | None = None,
        length_bins: Sequence[float] | None = None,
        among: RowsLike | None = None,
        skip_empty_bins: bool = False,
    ) -> NDArray[np.int64]:
        """`samplers.unique_pairs`: (count, 2) row numbers, drawn from all possible pairs.

        `bins` are of difficulty and share out by weight; both rows of a pair are in one of
        `length_bins` (edges of output tokens).
        """
        return samplers.unique_pairs(
            self._classes(),
            self.column("problem"),
            among,
            count,
            seed,
            max_pairs_per_problem=max_pairs_per_problem,
            difficulty=None if bins is None else self.column("difficulty"),
            bins=bins,
            output_tokens=None if length_bins is None else self.column("output_tokens"),
            length_bins=length_bins,
            skip_empty_bins=skip_empty_bins,
        )

    def sample(
        self,
        block: Mapping[str, Any],
        *,
        count: int | None = None,
        seed: int | None = None,
        among: RowsLike | None = None,
    ) -> NDArray[np.int64]:
        """What a training configuration's block `data_sampling` requests (see that module).

        (n_samples, 2) row numbers with use_pairwise, else (n_samples,): the correct row of each
        pair. `count` and `seed`, where given, replace n_samples and seed. Raises CorpusError for a
        block that makes no sense, and where there are not so many pairs.
        """
        asked = data_sampling.parse(block, count, seed)
        bins = asked.bins
        if asked.length_bins is not None and bins is not None:
            among, bins = self._inside(bins, among), None
        found = self.unique_pairs(
            asked.count,
            seed=asked.seed,
            max_pairs_per_problem=asked.max_pairs_per_problem,
            bins=bins,
            length_bins=asked.length_bins,
            among=among,
            skip_empty_bins=True,
        )
        return found if asked.pairwise else found[:, 0]

    def _inside(self, bins: Bins, among: RowsLike | None) -> NDArray[np.bool_]:
        """A mask of the rows among these whose difficulty lies in one of the bins."""
        level = self.column("difficulty")
        mask = np.zeros(len(self), dtype=np.bool_)
        for low, high in bins:
            mask |= (level >= max(low, 0)) & (level <= high)  # -1 stands for none
        if among is not None:
            chosen = np.zeros(len(self), dtype=np.bool_)
            chosen[self._among(among)] = True
            mask &= chosen
        return mask

    def _among(self, among: RowsLike | None) -> Rows:
        return np.arange(len(self)) if among is None else row_numbers(among, len(self))
