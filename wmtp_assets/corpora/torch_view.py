"""A corpus for torch. Imported only when asked for: torch takes seconds to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from wmtp_assets.corpora.resume import Items, Order, State, read
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.selection import Readable, row_number, row_numbers


class TorchRows(Dataset[Row]):
    """Map-style: item k is the row `rows[k]` of the corpus, or of pairs (n, 2) the pair `rows[k]`
    as `resume.read` has it; a batch is read in one go."""

    def __init__(self, corpus: Readable, rows: Items) -> None:
        self.corpus = corpus
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: int) -> Row:
        place = row_number(at, len(self))
        if self.rows.ndim == 1:
            return self.corpus[int(self.rows[place])]
        return read(self.corpus, self.rows[place : place + 1])[0]

    def __getitems__(self, at: list[int]) -> list[Row]:
        """What a DataLoader asks for a batch."""
        return read(self.corpus, self.rows[row_numbers(at, len(self))])


class StreamLoader(DataLoader[Row]):
    """A DataLoader that continues exactly: its state counts the batches that it has given.

    Each iteration gives this rank's part of what is left of the epoch; `epoch` says of which.
    `len()` is the number of those batches. A batch is a list of rows unless there is a
    `collate_fn`. The number of workers and the size of batches may change with `load_state_dict`.
    """

    def __init__(
        self,
        dataset: TorchRows,
        order: Order,
        *,
        batch_size: int | None = 1,
        num_workers: int = 0,
        collate_fn: Callable[[list[Row]], Any] | None = None,
        pin_memory: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        self.order = order
        super().__init__(
            dataset,
            batch_size=batch_size,
            sampler=_Numbers(order),
            num_workers=num_workers,
            collate_fn=collate_fn or (list if batch_size is not None else None),
            pin_memory=pin_memory,
            timeout=timeout,
            worker_init_fn=worker_init_fn,
            multiprocessing_context=multiprocessing_context,
            prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers,
        )

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration is of, or the one under way."""
        return self.order.epoch

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # counts what it gives
        current = self.order.begin()
        left = current.numbers.size
        for batch in super().__iter__():
            count = min(self.batch_size or 1, left)
            left -= count
            current.advance(count)
            yield batch
        current.finish()

    def state_dict(self) -> State:
        """See `Order.state_dict`."""
        return self.order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Order.load_state_dict`."""
        self.order.load_state_dict(state)


class _Numbers(Sampler[int]):
    """The numbers of a pass; how far it is, the loader counts: workers read ahead."""

    def __init__(self, order: Order) -> None:
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[int]:
        for number in self._order.numbers():
            yield int(number)


class StreamSampler(Sampler[int]):
    """The numbers of an `Order` for a StatefulDataLoader of torchdata, which keeps each batch's
    state of its sampler until it gives the batch.

    A DataLoader of torch reads its sampler ahead of what it gives: use `StreamLoader` there.
    """

    def __init__(self, order: Order) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        current = self.order.begin()
        for number in current.numbers:
            current.advance(1)
            yield int(number)
        current.finish()

    def state_dict(self) -> State:
        """See `Order.state_dict`."""
        return self.order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Order.load_state_dict`: also takes the state of a StatefulDataLoader."""
        self.order.load_state_dict(state)
