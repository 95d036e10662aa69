"""Difficulties of one dataset's problems for another dataset that has the same problems.

Problems are found by where they are from and by their names, or by the words that their names begin
with, which the sites give as ids. Two problems of one key with different grades are no match:
nobody could say whose grade is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from wmtp_assets.corpora import records
from wmtp_assets.corpora.columns import Integer, Kind, Text
from wmtp_assets.corpora.parquet_file import Shard

_COLUMNS: Final[Mapping[str, Kind]] = {
    "name": Text(),
    "source": Integer(),
    "difficulty": Integer(),
    "cf_rating": Integer(),
}
_AT_ONCE = 4096  # problems


class Grade(NamedTuple):
    """A problem's difficulty and rating, as the source of `Grades` numbers them; 0 is unknown."""

    difficulty: int
    cf_rating: int


UNKNOWN: Final = Grade(0, 0)


class Grades:
    """The grades of all problems in `shards`, of some megabytes for thousands of problems.

    Raises CorpusError for a shard that cannot be read, ColumnsError without the columns name,
    source, difficulty and cf_rating.
    """

    def __init__(self, shards: Sequence[Path] = ()) -> None:
        self._known: dict[tuple[int, str], Grade | None] = {}
        for shard in shards:
            file = Shard(shard, _COLUMNS)
            for batch in file.batches(list(_COLUMNS), _AT_ONCE):
                columns = (file.read(batch, name) for name in _COLUMNS)
                for name, source, difficulty, rating in zip(*columns, strict=True):
                    grade = Grade(difficulty or 0, rating or 0)
                    self._add(records.plain_text(name), source or 0, grade)

    def _add(self, name: str, source: int, grade: Grade) -> None:
        for key in {name, id_of(name)}:
            known = self._known.setdefault((source, key), grade)
            if known != grade:
                self._known[source, key] = None

    def of(self, source: int, names: Sequence[str]) -> Grade | None:
        """The grade of the problem that is from `source` and called the first of `names` that says
        which one it is; None where none does."""
        found = (self._known.get((source, name)) for name in names)
        return next((grade for grade in found if grade is not None), None)


def id_of(name: str) -> str:
    """What a name begins with: `1575_A` of `1575_A. Another Sorting Problem`, `p00001` of
    `p00001 List of Top 3 Hills`."""
    return name.partition(" ")[0].removesuffix(".")
