"""A catalog's entries of datasets: splits, small copies, and analyses of the rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from wmtp_assets.catalog.fields import (
    MAX_TOKENS,
    QUALITY_SEED,
    SHARED,
    SMALL_SEED,
    AssetName,
    Count,
    Entry,
    Positive,
    Seed,
    SplitName,
    Status,
    TokenizerOf,
    Truth,
)
from wmtp_assets.catalog.upstream_entries import FileField, Upstream
from wmtp_assets.corpora.evaluation import is_training_split
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.package_file import usable_ending
from wmtp_assets.generations import Contract


class Counts(Entry):
    """The rows of a split that must come out of upstream's files.

    `correct` and `incorrect` belong to formats whose rows have a class. `rows` may be left out
    where nobody has counted yet; the check then reports what it found.
    """

    rows: Count | None = None
    correct: Count | None = None
    incorrect: Count | None = None

    @model_validator(mode="after")
    def _classes_add_up(self) -> Self:
        if (self.correct is None) != (self.incorrect is None):
            raise ValueError("correct and incorrect must be given together")
        if (
            self.rows is not None
            and self.correct is not None
            and self.incorrect is not None
            and self.correct + self.incorrect != self.rows
        ):
            raise ValueError(
                f"correct + incorrect = {self.correct + self.incorrect}, but rows = {self.rows}"
            )
        return self


class Split(Counts):
    """One split of a dataset: upstream's files, and the rows that must come out of them.

    `current` has the counts of the rows that today's training code reads, for a format whose rows
    are not those of the first phase.
    """

    files: Annotated[list[FileField], Field(min_length=1)]
    current: Counts | None = None

    def counts(self, contract: Contract) -> Counts:
        """The counts of the rows of a generation, as in `Artifact.contract`."""
        if contract == "phase1":
            return self
        return self.current or Counts()


class Small(Entry):
    """How many rows of each split go into the small copy for laptops, and the seed that picks."""

    rows: Annotated[dict[SplitName, Positive], Field(min_length=1)]
    seed: Seed = SMALL_SEED


def small_rows(splits: Iterable[str]) -> dict[str, int]:
    """How many rows of each split a small copy has where the catalog does not say: as many as the
    first phase's contract gives code_contests."""
    return {split: 100 if is_training_split(split) else 32 for split in splits}


def _known_format(name: str) -> str:
    if name not in FORMATS:
        known = ", ".join(map(repr, FORMATS))
        raise ValueError(f"{name!r} is no dataset format: expected one of {known}")
    return name


FormatName = Annotated[str, AfterValidator(_known_format)]


class Execution(Entry):
    """Solutions that are run against the tests of their problems, in the sandbox.

    `rows` are those of each split: `all`, or how many, drawn by `seed` in proportion to classes,
    sources and difficulties. `on_request`: no run of everything does it, as it may take hours.
    """

    rows: Annotated[dict[SplitName, Positive | Literal["all"]], Field(min_length=1)]
    seed: Seed = QUALITY_SEED
    on_request: Truth = False


class Quality(Entry):
    """Analyses of a dataset's rows, which do not change the rows.

    `execute` runs solutions. `leaks` names the splits that are compared with what models are
    evaluated on, `duplicates` those whose problems' solutions are compared with each other.
    """

    execute: Execution | None = None
    leaks: tuple[SplitName, ...] = ()
    duplicates: tuple[SplitName, ...] = ()

    @field_validator("leaks", "duplicates")
    @classmethod
    def _each_once(cls, splits: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(splits)) < len(splits):
            raise ValueError("a split is named twice")
        return splits

    def splits(self) -> set[str]:
        """Every split that is named."""
        executed = self.execute.rows if self.execute else ()
        return {*executed, *self.leaks, *self.duplicates}


class Dataset(Entry):
    """A dataset whose splits become Alpaca JSONL; `layout` names its format (`corpora/formats`).

    `package_file` is published as it is, for the evaluation package that reads it.
    `tokenizer` names the model whose tokenizer counts its tokens; `shared` is the catalog's.
    `training_difficulties`, the lowest and the highest that training samples from, is what a check
    reports by; no row is left out for it. `difficulties_from` names the dataset that gives the
    difficulties of a format whose source has none. `quality` says what is found out about the rows.
    """

    layout: FormatName
    upstream: Upstream
    splits: Annotated[dict[SplitName, Split], Field(min_length=1)]
    max_tokens: Annotated[int, Field(gt=0, le=MAX_TOKENS, strict=True)] = 2048
    tokenizer: TokenizerOf = SHARED
    status: Status = "required"
    small: Small | None = None
    package_file: FileField | None = None
    training_difficulties: tuple[Count, Count] | None = None
    difficulties_from: AssetName | None = None
    quality: Quality | None = None

    @model_validator(mode="after")
    def _splits_are_of_the_layout(self) -> Self:
        row_format = FORMATS[self.layout]
        for name, split in self.splits.items():
            every = [split, *([split.current] if split.current else [])]
            if not row_format.classed and any(one.correct is not None for one in every):
                raise ValueError(
                    f"splits.{name} has counts of correct and incorrect rows, which {self.layout} "
                    "does not know"
                )
            if split.current is not None and row_format.of("current") is row_format:
                raise ValueError(
                    f"splits.{name}.current has counts of its own, but the rows of {self.layout} "
                    "are the same in every generation of the contract"
                )
        return self

    @model_validator(mode="after")
    def _a_package_reads_its_file(self) -> Self:
        if self.package_file is None:
            return self
        package = FORMATS[self.layout].package
        if package is None:
            known = [name for name, one in FORMATS.items() if one.package is not None]
            raise ValueError(
                f"package_file: no evaluation package reads a file of {self.layout}; of "
                f"{' and '.join(known)} one does"
            )
        path = self.package_file.path
        if "*" in path or not usable_ending(path):
            raise ValueError(
                f"package_file: {package.package} reads one file of JSON Lines, plain or gzipped: "
                f"name one that ends in .jsonl or .jsonl.gz, not {path!r}"
            )
        return self

    @model_validator(mode="after")
    def _difficulties_come_from_somewhere(self) -> Self:
        wanted = FORMATS[self.layout].difficulties_of
        if wanted and self.difficulties_from is None:
            raise ValueError(
                f"difficulties_from: the source of {self.layout} has no difficulties: name the "
                f"dataset of {' or '.join(wanted)} that gives them"
            )
        if self.difficulties_from is not None and not wanted:
            raise ValueError(
                f"difficulties_from: {self.layout} takes no difficulties from another dataset"
            )
        return self

    @model_validator(mode="after")
    def _difficulties_are_a_range(self) -> Self:
        if self.training_difficulties is None:
            return self
        low, high = self.training_difficulties
        if not FORMATS[self.layout].difficulties:
            raise ValueError(f"training_difficulties: rows of {self.layout} have no difficulty")
        if low > high:
            raise ValueError(
                f"training_difficulties: the lowest and the highest, in this order, not {low} and "
                f"{high}"
            )
        return self

    @model_validator(mode="after")
    def _small_names_existing_splits(self) -> Self:
        for split in self.small.rows if self.small else ():
            if split not in self.splits:
                raise ValueError(f"small names the split {split!r}, which is not among the splits")
        return self

    @model_validator(mode="after")
    def _quality_is_of_existing_splits(self) -> Self:
        if self.quality is None:
            return self
        for split in sorted(self.quality.splits() - self.splits.keys()):
            raise ValueError(
                f"quality names the split {split!r}, which is not among the splits "
                f"({', '.join(self.splits)})"
            )
        if self.quality.execute is not None and FORMATS[self.layout].execution is None:
            known = [name for name, one in FORMATS.items() if one.execution is not None]
            raise ValueError(
                f"quality.execute: {self.layout} has no tests that its rows are executed against; "
                f"{', '.join(known)} have"
            )
        if self.quality.duplicates and not FORMATS[self.layout].classed:
            raise ValueError(
                f"quality.duplicates: a problem of {self.layout} has one solution, so there is "
                "nothing to compare"
            )
        for split in self.quality.leaks:
            if not is_training_split(split):
                raise ValueError(
                    f"quality.leaks: {split!r} is no training split, whose name begins with train"
                )
        return self
