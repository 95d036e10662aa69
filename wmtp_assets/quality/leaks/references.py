"""What training rows are compared with: the rows of splits that models are evaluated on."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.row_parser import Row

_AT_ONCE: Final = 2048  # rows


@dataclass(frozen=True)
class Source:
    """The rows of one split. Where `whole`, an output is only looked for as all of a program: of a
    set with hundreds of solutions to a problem, most functions are everybody's."""

    dataset: str
    split: str
    corpus: Corpus
    whole: bool = False

    def batches(self) -> Iterator[tuple[int, list[Row]]]:
        """Its rows some at a time, each time with the number of the first."""
        for first in range(0, len(self.corpus), _AT_ONCE):
            yield first, self.corpus.take(range(first, min(first + _AT_ONCE, len(self.corpus))))


@dataclass(frozen=True)
class Reference:
    """A row of a source."""

    source: Source
    at: int

    @property
    def row(self) -> Row:
        """Its text, read anew."""
        row: Row = self.source.corpus[self.at]
        return row


class References:
    """The rows of all sources, numbered through."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self._ends = list(itertools.accumulate(len(source.corpus) for source in sources))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def first(self, source: int) -> int:
        """The number of a source's first row."""
        return self._ends[source] - len(self.sources[source].corpus)

    def __getitem__(self, number: int) -> Reference:
        source = bisect_right(self._ends, number)
        return Reference(self.sources[source], number - self.first(source))
