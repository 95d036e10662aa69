"""A corpus as a torch Dataset. Imported only when asked for: torch takes seconds to import."""

from __future__ import annotations

from torch.utils.data import Dataset

from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.selection import Readable, Rows, row_number, row_numbers


class TorchRows(Dataset[Row]):
    """Map-style: item k is the row `rows[k]` of the corpus; a batch is read in one go."""

    def __init__(self, corpus: Readable, rows: Rows) -> None:
        self.corpus = corpus
        self.rows = rows

    def __len__(self) -> int:
        return int(self.rows.size)

    def __getitem__(self, at: int) -> Row:
        return self.corpus[int(self.rows[row_number(at, len(self))])]

    def __getitems__(self, at: list[int]) -> list[Row]:
        """What a DataLoader asks for a batch."""
        return self.corpus.take(self.rows[row_numbers(at, len(self))])
