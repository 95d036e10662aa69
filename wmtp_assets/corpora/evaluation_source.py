"""Problems with their tests made the plain way: what evaluation and tests files are compared with.

One dictionary per problem, from Arrow's values as Python's: this shares with the writers the rules
that are stated once (by the format, and in `records`) and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wmtp_assets.corpora import records
from wmtp_assets.corpora.columns import Integer
from wmtp_assets.corpora.evaluation import SIDES, EvaluationSource
from wmtp_assets.corpora.source_comparison import SAMPLED_GROUPS, SAMPLED_PROBLEMS, SMALL_SOURCE
from wmtp_assets.corpora.source_rows import opened, plain_values
from wmtp_assets.findings import lazy


@dataclass(frozen=True)
class EvaluatedSplit:
    """What evaluation and tests files are made from: upstream's `shards` in order, read as
    `source` says."""

    source: EvaluationSource
    split: str
    shards: Sequence[Path]

    @property
    def is_small(self) -> bool:
        """Whether all of it is compared."""
        return sum(shard.stat().st_size for shard in self.shards) <= SMALL_SOURCE


class PlainProblems:
    """The problems of a source as plain values, texts repaired: what files must hold of each."""

    def __init__(self, made_from: EvaluatedSplit) -> None:
        self.source = made_from.source
        self._files = [opened(shard) for shard in made_from.shards]
        self.groups: list[tuple[int, int, range]] = []
        """Number of the shard, of the row group in it, and the ordinals of its problems."""
        first = 0
        for shard, file in enumerate(self._files):
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                self.groups.append((shard, group, range(first, first + rows)))
                first += rows

    @lazy
    def names(self) -> list[str]:
        """The problems' names, unique within the split."""
        given = [records.plain_text(name) for name in self._column(self.source.name)]
        return records.unique_names(given, [n or 0 for n in self._column(self.source.source)])

    def _column(self, name: str) -> Iterator[Any]:
        for file in self._files:
            for batch in file.iter_batches(1024, columns=[name], use_threads=False):
                yield from plain_values(batch.column(0))

    def sample(self, draw: random.Random) -> list[int]:
        """The ordinals of some problems in a few row groups, ascending."""
        groups = [each for _, _, each in self.groups if each]
        return sorted(
            ordinal
            for each in draw.sample(groups, min(SAMPLED_GROUPS, len(groups)))
            for ordinal in draw.sample(each, min(SAMPLED_PROBLEMS, len(each)))
        )

    def problems(self, wanted: Iterable[int] | None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Ordinals and records, as an evaluation file has them, of all problems or those wanted."""
        chosen = None if wanted is None else set(wanted)
        columns = list(self.source.columns)
        names = self.names  # first: a file that is asked for other batches ends those under way
        for shard, group, ordinals in self.groups:
            here = ordinals if chosen is None else chosen.intersection(ordinals)
            if not here:
                continue
            batches = self._files[shard].iter_batches(
                1, row_groups=[group], columns=columns, use_threads=False
            )
            for ordinal, batch in zip(ordinals, batches, strict=True):
                if ordinal in here:
                    raw = {name: plain_values(batch[name])[0] for name in columns}
                    yield ordinal, self._record(names[ordinal], raw)

    def _record(self, name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
        facts: dict[str, Any] = {}
        for fact, kind in self.source.facts.items():
            if isinstance(kind, Integer):
                facts[fact] = raw[fact] or 0
                continue
            numbers = raw[fact] or {}
            known = any(numbers.get(part) is not None for part in kind.fields)
            facts[fact] = {part: numbers[part] or 0 for part in kind.fields} if known else None
        tests = {sort: _sides(raw[sort]) for sort in self.source.tests}
        return {
            "task_id": name,
            "instruction": records.plain_text(raw[self.source.instruction]),
            "input": "",
            "metadata": {**facts, **tests},
        }


def _sides(value: Any) -> dict[str, list[str]]:
    """Tests from a struct of lists or a list of structs, texts as bytes."""
    if value is None:
        return {side: [] for side in SIDES}
    if isinstance(value, list):
        value = {side: [each and each[side] for each in value] for side in SIDES}
    return {side: [records.plain_text(text) for text in value[side] or []] for side in SIDES}
