"""Passes over rows or pairs that continue exactly where they were interrupted.

    stream = corpus.stream(pairs, seed=7, rank=rank, world=world)
    for epoch in range(stream.epoch, epochs):
        for pair in stream:  # what is left of the epoch
            ...
            state = stream.state_dict()

An epoch has one order for all ranks together, random by (seed, epoch). They take it in turns: of
`world` ranks, rank r takes the items r, r + world, .. from where the pass began. Ranks that have
taken equally many have therefore consumed a beginning of the order between them, and how long that
beginning is, is all that a state has to say: another number of ranks continues after it, and none
of them takes an item twice or leaves one out.

A state is of a moment at which every rank has finished the same number of steps, which is when
training saves a checkpoint. It is the same on each rank then, so that one of them may save it.
Ranks differ by at most one item of an epoch, and may at its end differ by one step for that.

A state belongs to an edition of the corpus and to one request: these items in this order, this
seed, shuffled or not. `load_state_dict` refuses it for any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.bins import checked_rank, checked_seed
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.selection import RowsLike, row_numbers

Items = NDArray[np.int64]
State = dict[str, int | str | bool]

FORMAT = "wmtp_assets stream 1"
_FIRST_STREAM = 1 << 32  # of keys: apart from those that samplers draw by
_EPOCHS = 1 << 32
_AHEAD = 64  # items read together


class Order:
    """Which items a rank takes, in which order, and how far all ranks are.

    items: row numbers, int64 of shape (n,), or pairs of them, (n, 2).
    edition: the digest of the corpus edition that they are of.
    epoch, position: which epoch the next pass is of, and how many items of it were consumed by all
        ranks together; at the end of an epoch, the next one and 0.
    """

    def __init__(
        self,
        items: Items,
        edition: str,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> None:
        self.items = items
        self.seed = checked_seed(seed) % (1 << 64)
        self.rank, self.world = checked_rank(rank, world)
        self.shuffle = shuffle
        self.epoch = self.position = 0
        self._edition = edition
        self._request = _digest(items)
        self._pass: Pass | None = None
        self._shuffled: tuple[int, Items] | None = None

    def __len__(self) -> int:
        """How many items this rank still takes in this epoch."""
        return len(range(self.position + self.rank, len(self.items), self.world))

    def begin(self) -> Pass:
        """The pass over what is left of the epoch; one that was begun before ends with an error."""
        self._pass = Pass(self)
        return self._pass

    def numbers(self) -> Items:
        """Which items this rank takes in what is left of the epoch: their places in `items`."""
        if not self.shuffle:
            return np.arange(self.position + self.rank, len(self.items), self.world)
        if self._shuffled is None or self._shuffled[0] != self.epoch:
            keys = ordering.keys(
                np.arange(len(self.items)), self.seed, stream=_FIRST_STREAM + self.epoch
            )
            self._shuffled = (self.epoch, np.argsort(keys, kind="stable"))
        return self._shuffled[1][self.position + self.rank :: self.world]

    def state_dict(self) -> State:
        """Where all ranks are, for JSON or torch.save: some 400 bytes, whatever the size."""
        return {
            "format": FORMAT,
            "epoch": self.epoch,
            "position": self.position,
            "items": len(self.items),
            "seed": self.seed,
            "shuffle": self.shuffle,
            "request": self._request,
            "edition": self._edition,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where a state was saved, on any number of ranks and workers.

        `state` may be of `state_dict` or of a StatefulDataLoader, which has one inside. Raises
        CorpusError for what is no state, and for the state of another edition or request.
        """
        found = own_state(state)
        ours = self.state_dict()
        names = {
            "edition": "edition of the corpus",
            "request": "sample of rows or pairs",
            "items": "number of items",
            "seed": "seed",
            "shuffle": "order (shuffle)",
        }
        if others := [key for key in names if found[key] != ours[key]]:
            key = others[0]
            raise CorpusError(
                f"This state was saved with another {names[key]}",
                expected=ours[key],
                found=found[key],
                hint="Give what the state was saved with, or begin anew without the state.",
            )
        if not (0 <= found["epoch"] < _EPOCHS and 0 <= found["position"] < max(len(self.items), 1)):
            raise _no_state(
                f"epoch {found['epoch']}, position {found['position']} of {len(self.items)}"
            )
        self._pass = None
        self.epoch, self.position = found["epoch"], found["position"]

    def _advance(self, of: Pass, position: int) -> None:
        if of is not self._pass:
            raise CorpusError(
                "This pass has ended",
                found="another pass was begun since, or a state was loaded",
                hint="Begin a new pass: `for item in stream`.",
            )
        self.position = position
        if position >= len(self.items):
            self.epoch, self.position = of.epoch + 1, 0


class Pass:
    """One rank's way through what is left of an epoch. `numbers`: see `Order.numbers`."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.epoch = order.epoch
        self.numbers = order.numbers()
        self._begin, self._taken = order.position, 0

    def advance(self, count: int) -> None:
        """This rank has taken `count` more items, and every other rank as many.

        Raises CorpusError when another pass was begun since, or a state loaded.
        """
        self._taken += count
        end = len(self._order.items)
        self._order._advance(self, min(self._begin + self._taken * self._order.world, end))

    def finish(self) -> None:
        """More items were requested of this rank than it has: the epoch has ended for all ranks.

        Raises CorpusError as `advance` does.
        """
        self._order._advance(self, len(self._order.items))


class Stream:
    """The rows or pairs of an `Order`, read ahead. Iterating gives what is left of the epoch.

    A row is a dict; a pair is a dict of `instruction` and `input`, `correct_output` and
    `incorrect_output`.
    """

    def __init__(self, corpus: Source, order: Order) -> None:
        self.order = order
        self._corpus = corpus

    @property
    def epoch(self) -> int:
        """The epoch that the next pass is of, or the one under way."""
        return self.order.epoch

    def __len__(self) -> int:
        """How many items this rank still takes in this epoch."""
        return len(self.order)

    def __iter__(self) -> Iterator[Row]:
        current = self.order.begin()
        for begin in range(0, current.numbers.size, _AHEAD):
            for item in read(
                self._corpus, self.order.items[current.numbers[begin : begin + _AHEAD]]
            ):
                current.advance(1)
                yield item
        current.finish()

    def state_dict(self) -> State:
        """See `Order.state_dict`. It counts every item that this iterator has given."""
        return self.order.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Order.load_state_dict`."""
        self.order.load_state_dict(state)


class Source(Protocol):
    """What rows are read from: a corpus."""

    def take(self, rows: RowsLike, /) -> list[Row]:
        """Rows in the order given."""


def read(corpus: Source, items: Items) -> list[Row]:
    """Rows, or for items of shape (n, 2) pairs: one dict each."""
    if items.ndim == 1:
        return corpus.take(items)
    rows = corpus.take(items.ravel())
    return [
        {
            "instruction": right["instruction"],
            "input": right["input"],
            "correct_output": right["output"],
            "incorrect_output": wrong["output"],
        }
        for right, wrong in zip(rows[::2], rows[1::2], strict=True)
    ]


def checked_items(items: object, length: int) -> Items:
    """Row numbers in any way that `selection` knows, or pairs of them: int64, (n,) or (n, 2).

    Raises RowNumberError for anything else.
    """
    array = items if isinstance(items, np.ndarray) else None
    if array is not None and array.ndim == 2 and array.shape[1] == 2:
        return row_numbers(array.ravel(), length).reshape(-1, 2)
    return row_numbers(items, length)


def own_state(state: object) -> dict[str, Any]:
    """The state of a stream that `state` is, or has inside as a StatefulDataLoader's does.

    Raises CorpusError where there is none, and for one of a StatefulDataLoader that was saved
    between two of its snapshots: its samplers' states are older then than what it had given.
    """
    waiting, seen = [state], set()
    while waiting:
        one = waiting.pop()
        if not isinstance(one, Mapping) or id(one) in seen:
            continue
        seen.add(id(one))
        if one.get("format") == FORMAT:
            _check(one)
            return dict(one)
        if one.get("_steps_since_snapshot"):
            raise CorpusError(
                "The state of this StatefulDataLoader is older than what it had given",
                expected="a state of the step that it was saved at",
                found=f"one of {one['_steps_since_snapshot']} steps before",
                hint="Load it with the loader itself; or save with snapshot_every_n_steps=1.",
            )
        waiting += reversed(list(one.values()))
    raise _no_state(type(state).__name__ + (f" of {_names(state)}" if state else ", empty"))


def _names(state: object) -> str:
    """What is in something that is no state, for a message."""
    names = state if isinstance(state, Mapping) else [type(state).__name__]
    return ", ".join(f"{name!r:.20}" for name in list(names)[:8])


_TYPES = {
    "epoch": int,
    "position": int,
    "items": int,
    "seed": int,
    "shuffle": bool,
    "request": str,
    "edition": str,
}


def _check(state: Mapping[Any, Any]) -> None:
    if unknown := [key for key in state if key != "format" and key not in _TYPES]:
        raise _no_state(f"a further key, {unknown[0]!r:.100}")
    for key, kind in _TYPES.items():
        value = state.get(key)
        if type(value) is not kind:
            raise _no_state(f"{key} {value!r:.100}")


def _no_state(found: str) -> CorpusError:
    return CorpusError(
        "This is not the state of a stream",
        expected="what state_dict() gave, unchanged",
        found=found,
        hint="Load what state_dict() gave, or begin anew without a state.",
    )


def _digest(items: Items) -> str:
    """SHA-256 of the numbers, the same on every machine."""
    digest = hashlib.sha256(f"{items.ndim}:".encode())
    digest.update(np.ascontiguousarray(items, dtype="<i8").data)
    return digest.hexdigest()
