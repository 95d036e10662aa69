"""Problems with all of their tests, as a source has them: what evaluation and tests files hold.

Nothing is left out and nothing is cut: every problem of the source, in its order, whether or not
it gave rows, under the name that its rows' task ids begin with. Odd values read as in `records`:

- Text that is not UTF-8 has each bad byte replaced by U+FFFD.
- A null list is an empty one, a null text an empty one, and a null number 0. A test with an empty
  side stays: a program may read nothing.
- A struct of numbers (time_limit) that is null, or of which every number is, is None: the source
  states no limit.
- Lists of a problem that are not parallel are refused: nobody can say which output belongs to which
  input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from wmtp_assets.corpora import records
from wmtp_assets.corpora.columns import Integer, Kind, Parallel, Struct, Text
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.parquet_file import AS_UPSTREAM, Shard, decoding

SIDES: Final = ("input", "output")
_PAIRS = Parallel(dict.fromkeys(SIDES, Text()))
# A problem is decoded at a time. Upstream's have a megabyte on the average; what takes more than
# this is damaged, or another dataset.
_MOST_BYTES = 1 << 30


def is_training_split(split: str) -> bool:
    """Whether models are trained on a split, by its name; the others are for evaluation."""
    return split.startswith("train")


@dataclass(frozen=True)
class ProblemTests:
    """One problem: its `name` (unique within the split), statement, facts and tests.

    `tests` has, by the name of their sort, the two sides of all tests: Arrow strings of equal
    length without nulls. `repaired` counts texts, of tests and others, that were not UTF-8.
    """

    name: str
    instruction: str
    facts: Mapping[str, object]
    tests: Mapping[str, Mapping[str, pa.StringArray]]
    repaired: int = 0


@dataclass(frozen=True)
class EvaluationSource:
    """Where a source has the problems' texts, facts and tests: the columns, by name.

    `facts` are numbers, or structs of numbers, and go into an evaluation file's metadata in this
    order; each of `tests` is a column of two parallel lists, `input` and `output`. `name` and
    `source` make the problems' names.
    """

    instruction: str
    facts: Mapping[str, Integer | Struct]
    tests: Sequence[str]
    name: str = "name"
    source: str = "source"

    @property
    def columns(self) -> dict[str, Kind]:
        """The source's columns that are read, and what each must hold."""
        return {
            self.name: Text(),
            self.source: Integer(),
            self.instruction: Text(),
            **self.facts,
            **dict.fromkeys(self.tests, _PAIRS),
        }

    def evaluates(self, split: str) -> bool:
        """Whether a split has an evaluation file: training splits have none. Every split has a
        tests file."""
        return not is_training_split(split)

    def opened(self, shards: Sequence[Path]) -> list[Shard]:
        """The shards, opened. Raises CorpusError as `Shard` does, and where there are none."""
        if not shards:
            raise CorpusError(
                "No shards were given",
                expected="at least one parquet file",
                hint="Fetch the dataset first.",
            )
        return [Shard(path, self.columns, _MOST_BYTES) for path in shards]

    def text_bytes(self, shards: Sequence[Path]) -> int:
        """Bytes of all columns when they are decompressed, more than those that are read here."""
        return sum(file.decoded_bytes for file in self.opened(shards))

    def problems(
        self, files: Sequence[Shard], wanted: Set[int] | None = None
    ) -> Iterator[ProblemTests]:
        """The problems of all shards (see `opened`) in their order, one in memory at a time; only
        those whose ordinals are `wanted`, if any are named. Shards without such are not decoded.

        Raises CorpusError if a shard is not what upstream publishes.
        """
        names, tasks = task_names(files, self.name, self.source)
        ordinal = 0
        for file in files:
            first = ordinal
            if wanted is not None and wanted.isdisjoint(range(first, first + file.rows)):
                ordinal += file.rows
                continue
            for batch in file.batches(list(self.columns), 1):
                if ordinal == len(tasks):
                    raise CorpusError(
                        "The columns of a shard have different numbers of rows",
                        expected=f"{file.rows:,} in each",
                        where=file.path,
                        hint=AS_UPSTREAM,
                    )
                if wanted is None or ordinal in wanted:
                    where = f"problem {names[ordinal]!r:.100}, row {ordinal - first} of {file.path}"
                    yield self._problem(file, batch, tasks[ordinal], where)
                ordinal += 1

    def _problem(self, file: Shard, batch: pa.RecordBatch, task: str, where: str) -> ProblemTests:
        tests: dict[str, dict[str, pa.StringArray]] = {}
        raw = [file.read(batch, name)[0] for name in (self.name, self.instruction)]
        repaired = sum(map(records.is_malformed, raw))
        for sort in self.tests:
            _, sides = file.read_parallel(batch, sort, lambda _: where)
            tests[sort] = {}
            with decoding(file.path):
                for side in SIDES:
                    tests[sort][side], bad = _repaired(sides[side])
                    repaired += bad
        return ProblemTests(
            task,
            records.plain_text(raw[1]),
            {
                name: plain_fact(kind, file.read(batch, name)[0])
                for name, kind in self.facts.items()
            },
            tests,
            repaired,
        )


def plain_fact(kind: Integer | Struct, value: Any) -> object:
    """A fact as files state it: a null number as 0, a struct without any number as None."""
    if not isinstance(kind, Struct):
        return value or 0
    if value is None or all(number is None for number in value.values()):
        return None
    return {name: value[name] or 0 for name in kind.fields}


def task_names(
    files: Sequence[Shard], name: str = "name", source: str = "source"
) -> tuple[list[str], list[str]]:
    """The problems' own names in all shards, and those that are unique within the split."""
    names: list[str] = []
    sources: list[int] = []
    for file in files:
        for batch in file.batches([name, source], 4096):
            names += map(records.plain_text, file.read(batch, name))
            sources += [number or 0 for number in file.read(batch, source)]
    return names, records.unique_names(names, sources)


def _repaired(values: pa.Array) -> tuple[pa.StringArray, int]:
    """Texts as Arrow strings, null as empty, and how many were not UTF-8."""
    try:
        found = Text().strings(values)
    except pa.ArrowInvalid:
        raw = Text().read(values)
        texts = pa.array(list(map(records.plain_text, raw)), pa.string())
        return texts, sum(map(records.is_malformed, raw))
    return found.fill_null("") if found.null_count else found, 0
