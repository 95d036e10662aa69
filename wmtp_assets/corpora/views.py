"""What a corpus is for those who iterate over it: streams, and the datasets of other libraries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wmtp_assets.corpora.resume import Items, Order, Stream, checked_items
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.selection import RowsLike, row_numbers

if TYPE_CHECKING:
    import datasets

    from wmtp_assets.corpora.torch_view import StreamLoader, StreamSampler, TorchRows


class Views(ABC):
    """Views of a corpus. Each imports its library when it is asked for."""

    facts: Mapping[str, Any]

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def __getitem__(self, at: Any) -> Any:
        """A row, or rows."""

    @abstractmethod
    def take(self, indices: RowsLike) -> list[Row]:
        """Rows in the order given."""

    def stream(
        self,
        items: RowsLike | None = None,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> Stream:
        """Rows (all if None) or pairs (n, 2), epoch after epoch, for one of `world` ranks; with
        state_dict() and load_state_dict(), see `resume`. Without `shuffle`, in the order given."""
        return Stream(self, self._order(items, seed, rank, world, shuffle))

    def torch_dataset(self, indices: RowsLike | None = None) -> TorchRows:
        """A map-style torch Dataset of rows (all if None), or of pairs (n, 2)."""
        from wmtp_assets.corpora.torch_view import TorchRows

        return TorchRows(self, self._items(indices))

    def torch_loader(
        self,
        items: RowsLike | None = None,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
        **loader: Any,
    ) -> StreamLoader:
        """`stream` as a torch DataLoader; `loader` is what `StreamLoader` takes: batch_size,
        num_workers, collate_fn, .."""
        from wmtp_assets.corpora.torch_view import StreamLoader, TorchRows

        order = self._order(items, seed, rank, world, shuffle)
        return StreamLoader(TorchRows(self, order.items), order, **loader)

    def torch_sampler(
        self,
        items: RowsLike | None = None,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> StreamSampler:
        """The order of `stream` as a sampler for torchdata's StatefulDataLoader, whose dataset is
        `torch_dataset` of the same items."""
        from wmtp_assets.corpora.torch_view import StreamSampler

        return StreamSampler(self._order(items, seed, rank, world, shuffle))

    def hf_dataset(self, indices: RowsLike | None = None) -> datasets.Dataset:
        """A `datasets.Dataset` that reads the rows `indices` (all if None) when asked for them."""
        from wmtp_assets.corpora.hf_view import view

        return view(self, row_numbers(range(len(self)) if indices is None else indices, len(self)))

    def _order(
        self, items: RowsLike | None, seed: int, rank: int, world: int, shuffle: bool
    ) -> Order:
        edition = str(self.facts["jsonl"]["sha256"])
        return Order(
            self._items(items), edition, seed=seed, rank=rank, world=world, shuffle=shuffle
        )

    def _items(self, items: RowsLike | None) -> Items:
        return np.arange(len(self)) if items is None else checked_items(items, len(self))
