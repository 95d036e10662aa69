"""The interface of a dataset format: all that this package knows of one layout of a source.

A format is one object. It states the columns that are read of the source's shards, what a row
looks like, how rows are made, which checks only its rows have, and what they take on disk. The
build, the schema, the cards, the checks and the comparison with the source ask it; none of them
knows a format by its name. The formats themselves are in `formats/`, one module each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from wmtp_assets.corpora.columns import Kind
from wmtp_assets.corpora.evaluation import EvaluationSource
from wmtp_assets.corpora.package_file import PackageFile
from wmtp_assets.corpora.records import PlainProblem, Problem
from wmtp_assets.corpora.runnable import Functions, Programs
from wmtp_assets.corpora.scanned_rows import ExpectedRows, ScannedRows
from wmtp_assets.findings import Finding
from wmtp_assets.generations import Contract

Rule = Mapping[str, Any]
"""What one field of a row may be, in terms of JSON Schema."""

TASK_ID: Rule = {"type": "string", "minLength": 1, "description": "Unique within the split."}


@dataclass(frozen=True)
class Relative:
    """Another dataset, or another config of the same one, that is easily taken for a format's own.

    A shard is recognized as this one by the names of its columns: all of `columns` are there.
    `advice` says what to write into the catalog.
    """

    what: str
    columns: frozenset[str]
    advice: str


@dataclass(frozen=True)
class RowCheck:
    """A check of one format's rows. `compute` gets what one pass over the lines found, the path of
    the JSONL file, and what the catalog expects; `blocking` when wrong rows would reach training.
    """

    name: str
    description: str
    compute: Callable[[ScannedRows, str, ExpectedRows], Finding]
    blocking: bool = True


class DatasetFormat(ABC):
    """One format. Everything without a default must be stated.

    A row is {instruction, input, output, *fields, metadata}, and its metadata are {source,
    difficulty, *metadata_fields, has_tests}, without those that the format does not have: trainers
    read these names.
    """

    name: ClassVar[str]
    """What the catalog calls it: `layout: <name>`."""

    label: ClassVar[str]
    """What the row index, the statistics, schema.json and the cards call it."""

    source: ClassVar[str]
    """`metadata.source` of every row."""

    citation: ClassVar[str] = ""
    """The publication that describes the source, for cards; on one line."""

    columns: ClassVar[Mapping[str, Kind]]
    """The source's columns that are read, by name, and what each must hold."""

    fields: ClassVar[Mapping[str, Rule]]
    """The fields between output and metadata, in order. `task_id` is among them; `is_correct` is
    where rows have a class. schema.json, the Arrow and pandera schemas that rows are checked by,
    and the features that the cards declare follow from it (see `schema`)."""

    metadata_fields: ClassVar[Mapping[str, Rule]] = {}
    """What metadata holds beside source, difficulty and has_tests, in order: by the same rules as
    `fields`, of which it may repeat some."""

    difficulties: ClassVar[Sequence[int]] = ()
    """The difficulties that the source uses; () where rows have none: then no metadata names it."""

    difficulty_names: ClassVar[Mapping[int, str]] = {}
    """What the source calls its difficulties, by their numbers; {} where it has only numbers."""

    source_names: ClassVar[Mapping[int, str]] = {}
    """What the numbers in the index's column `source` stand for."""

    scales: ClassVar[Mapping[int, str]] = {}
    """By source, what its difficulties are: `levels` of the site's own, or `letters` of the problem
    in its contest. A source that is not named here has no grades, or nobody says which."""

    python_solutions: ClassVar[Mapping[str, float]] = {}
    """Python solutions per problem by split, as the publication of the source counts them; {} where
    there is none."""

    published_rates: ClassVar[Sequence[Mapping[str, object]]] = ()
    """How often labels hold, as others published it: `what` it is of, its `figures` as fractions by
    name, and their `protocol`. They stand beside what is found out here."""

    index_columns: ClassVar[Sequence[str]] = ()
    """Columns of the source that go into the row index under the same name, null as 0; any of
    difficulty, source and cf_rating."""

    difficulties_of: ClassVar[Sequence[str]] = ()
    """Formats of datasets that difficulties are taken from, problem by problem, where this one's
    source has none: the catalog's `difficulties_from` names one of theirs."""

    tested: ClassVar[bool] = True
    """Whether problems may have tests: then `metadata.has_tests` says of each row if its has."""

    tests_field: ClassVar[str | None] = None
    """The field that must not be empty in any row, where rows have tests."""

    evaluation: ClassVar[EvaluationSource | None] = None
    """Where the source has tests with which solutions of a whole problem are judged; None where it
    has none, or the rows hold them all. Evaluation and tests files follow from it."""

    execution: ClassVar[Programs | Functions | None] = None
    """How rows are executed: as programs, against their problems' tests in `evaluation`, or as
    functions, against tests that each row holds; None where there is nothing to execute. The
    catalog's `quality.execute` is for formats that have it."""

    checks: ClassVar[Sequence[RowCheck]] = ()
    """The checks that only this format's rows have."""

    divides: ClassVar[bool] = False
    """Whether rows can be made shard by shard: those of one depend on names in the others alone."""

    package: ClassVar[PackageFile | None] = None
    """What reads the catalog's `package_file`, where an evaluation package reads one of the
    source's files."""

    relatives: ClassVar[Sequence[Relative]] = ()
    """What is mistaken for this format; of several that fit, the first is named."""

    growth: ClassVar[int]
    """Bytes written per byte of the shards, at most: JSONL, row index and statistics."""

    row_bytes: ClassVar[int]
    """Bytes of JSONL per row, about: what `wmtp doctor` estimates with before anything is here."""

    version: ClassVar[str] = ""
    """Gets a new value when the format gives other rows, or another schema, for the same source:
    what it gave before is then made again, and nothing of other formats is."""

    @property
    def classed(self) -> bool:
        """Whether rows are correct or incorrect."""
        return "is_correct" in self.fields

    @property
    def current(self) -> DatasetFormat:
        """The format of the rows that today's training code reads: this one, unless its rows are
        not those of the first phase."""
        return self

    def of(self, contract: Contract) -> DatasetFormat:
        """The format of the rows in a generation of the contract."""
        return self.current if contract == "current" else self

    def metadata_rules(self) -> dict[str, Rule]:
        """What `metadata` of a row may be, field by field in their order."""
        numbers = list(self.difficulties)
        return {
            "source": {"const": self.source},
            **({"difficulty": {"type": "integer", "enum": numbers}} if numbers else {}),
            **self.metadata_fields,
            **({"has_tests": {"type": "boolean"}} if self.tested else {}),
        }

    def metadata_of(
        self, difficulty: int | None, has_tests: bool, further: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`metadata` of a row; `further` are the values of `metadata_fields`."""
        known = {"source": self.source, "difficulty": difficulty, "has_tests": has_tests}
        values = {**known, **further}
        return {name: values[name] for name in self.metadata_rules()}

    def columns_used(self) -> set[str]:
        """The columns that making rows needs; all of them must be among `columns`."""
        return set(self.index_columns)

    def with_difficulties(self, shards: Sequence[Path]) -> DatasetFormat:
        """The format with the difficulties of another dataset: `shards` are all of its splits', of
        one of the formats `difficulties_of`."""
        del shards
        return self

    def index_numbers(self, column: Callable[[str], list[Any]]) -> dict[str, list[int]]:
        """What the row index holds of every problem of a split, by the index's column; `column`
        gives a column of the source."""
        return {name: [value or 0 for value in column(name)] for name in self.index_columns}

    @abstractmethod
    def problems(self, shards: Sequence[Path]) -> Iterator[Problem]:
        """The problems of all shards in the source's order, for the build.

        Raises CorpusError if a shard is not what upstream publishes.
        """

    def problems_of(self, shards: Sequence[Path], numbers: range) -> Iterator[Problem]:
        """As `problems`, of the shards with these numbers only; of a format that `divides`."""
        raise TypeError(f"rows of {self.name} are not made shard by shard")

    @abstractmethod
    def plain_problem(self, raw: Mapping[str, Any], task_id: str | None) -> PlainProblem:
        """One row of the source made the plain way: what a built split is compared with.

        `raw` maps `columns` to Python values, text as bytes; `task_id` is that of `task_ids`.
        """

    def task_ids(self, column: Callable[[str], list[Any]]) -> list[str] | None:
        """A task id per problem where they depend on all problems of the split; else None.

        `column` gives a column of all problems.
        """
        del column
        return None
