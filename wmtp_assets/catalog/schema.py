"""The catalog's schema: what a catalog may say, and what each field means.

Read `full.yaml` first; this file is its grammar. Reading and error messages are in `reader.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from wmtp_assets.catalog.spdx import REF, expression
from wmtp_assets.checkpoints.layouts import LAYOUTS
from wmtp_assets.corpora.evaluation import is_training_split
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.package_file import usable_ending
from wmtp_assets.generations import CONTRACTS, Contract
from wmtp_assets.hub.files import is_commit
from wmtp_assets.storage.bounds import why_unsafe

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _without_climbing(value: str) -> str:
    if ".." in value:
        raise ValueError("'..' is not allowed")
    return value


def _inside_its_folder(path: str) -> str:
    reason = why_unsafe(path)
    if reason is not None:
        raise ValueError(f"this file name {reason}: give a path inside the repository")
    return path


def _no_word_of_datasets(split: str) -> str:
    if split == "all":
        raise ValueError("`datasets` means every split together by 'all': choose another name")
    return split


_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
RepositoryName = Annotated[
    str,
    StringConstraints(pattern=rf"^{_SEGMENT}/{_SEGMENT}$"),
    AfterValidator(_without_climbing),
]
# A commit, or a branch, tag or other ref as git allows and URLs carry.
Revision = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]{0,254}$"),
    AfterValidator(_without_climbing),
]
FileName = Annotated[str, AfterValidator(_inside_its_folder)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
# An address that needs no escaping in HTML, Markdown or YAML.
Link = Annotated[
    str,
    StringConstraints(
        pattern=r"^https://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(/[A-Za-z0-9._~/-]*)?(#[A-Za-z0-9._-]+)?$",
        max_length=500,
    ),
]
# Strict: YAML has numbers and truth values of its own, and `true` is not the number 1.
_MOST = 1 << 63  # what files of rows and receipts can hold
Count = Annotated[int, Field(ge=0, lt=_MOST, strict=True)]
Positive = Annotated[int, Field(gt=0, lt=_MOST, strict=True)]
Seed = Annotated[int, Field(ge=-_MOST, lt=_MOST, strict=True)]
Truth = Annotated[bool, Field(strict=True)]
# The longest file name that is made of both has 96 + 96 + 23 characters, and may have 255.
AssetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,95}$")]
SplitName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,95}$"), AfterValidator(_no_word_of_datasets)
]
# Whose tokenizer: that of `shared`, one's `own`, or the one of the model of that name.
TokenizerOf = AssetName
SHARED, OWN = "shared", "own"
Dtype = Literal["float16", "bfloat16", "float32"]
SourceDtype = Literal["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]
Status = Literal["required", "optional"]
SMALL_SEED = 42
QUALITY_SEED = 42
MAX_TOKENS = 65_535  # of a row: the row index holds token counts in 16 bits


class Entry(BaseModel):
    """Unknown fields are mistakes, and a catalog does not change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Entry):
    """A file of a repository, or a pattern (`*`) and how many files it must match.

    `sha256` is checked on arrival where it is known beforehand; what is not known is computed on
    arrival and recorded in `assets.lock`.
    """

    path: FileName
    sha256: Sha256 | None = None
    size: Count | None = None
    count: Positive = 1

    @model_validator(mode="after")
    def _pattern_and_digest_exclude_each_other(self) -> Self:
        if "*" in self.path and (self.sha256 or self.size is not None):
            raise ValueError("a pattern cannot have one digest or size: name the files instead")
        if "*" not in self.path and self.count != 1:
            raise ValueError("count belongs to a pattern: this path has no '*'")
        return self


def _file_from_string(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


FileField = Annotated[File, BeforeValidator(_file_from_string)]


def _list_from_string(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _each_once(contracts: tuple[Contract, ...]) -> tuple[Contract, ...]:
    if len(set(contracts)) != len(contracts):
        raise ValueError("a generation of the contract is named twice")
    return tuple(one for one in CONTRACTS if one in contracts)


def _known_layout(name: str) -> str:
    if name not in LAYOUTS:
        known = ", ".join(map(repr, LAYOUTS))
        raise ValueError(f"no layout is called {name!r}: name one of {known}")
    return name


ModelLayout = Annotated[str, AfterValidator(_known_layout)]
WeightsKey = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=255)], ...],
    Field(max_length=4),
    BeforeValidator(_list_from_string),
]
Contracts = Annotated[
    tuple[Contract, ...],
    Field(min_length=1),
    BeforeValidator(_list_from_string),
    AfterValidator(_each_once),
]


class Upstream(Entry):
    """Where something comes from: a repository of the Hub, pinned to a commit.

    `licence` is an SPDX expression. One that is not of SPDX's list is `LicenseRef-<name>`, and then
    `licence_name` and `licence_link` say which it is. Words are taken as they are: `wmtp licences`
    says what to write in their place.

    `redistribution` says whether copies may be passed on, `noncommercial` whether it is for
    noncommercial use alone; left out, both follow from a licence that `licences.py` knows, and are
    unknown otherwise.
    """

    repository: RepositoryName
    revision: Revision
    licence: Words
    licence_name: Words | None = None
    licence_link: Link | None = None
    redistribution: Words | None = None
    noncommercial: Truth | None = None
    gated: Truth = False

    @model_validator(mode="after")
    def _own_licences_are_explained(self) -> Self:
        known = expression(self.licence)
        if known is None or not known.own:
            if self.licence_name or self.licence_link:
                raise ValueError(
                    f"licence_name and licence_link explain a licence that is called {REF}<name>, "
                    f"which {self.licence!r} is not"
                )
        elif len(known.own) > 1:
            raise ValueError(
                f"licence: {' and '.join(known.own)} have one licence_name and licence_link: name "
                "one licence of your own, which says all of it"
            )
        elif not (self.licence_name and self.licence_link):
            missing = "licence_link" if self.licence_name else "licence_name"
            raise ValueError(
                f"licence: {known.own[0]} is on no list: say in {missing} what it is"
                if missing == "licence_name"
                else f"licence: {known.own[0]} is on no list: say in licence_link where it is"
            )
        return self

    @property
    def pinned(self) -> bool:
        """Whether `revision` is a commit (40 hex digits) and not a branch or a tag."""
        return is_commit(self.revision)


class Expected(Entry):
    """Counts that the artifact must show when it is read back."""

    parameters: Positive
    tensors: Positive


class ModelFiles(Entry):
    """The files of a model's repository that are fetched; no others ever are.

    `tokenizer` is a SentencePiece model (tokenizer.model) or, by its ending, a tokenizer.json. Of
    `tokenizer_config` only the special tokens are taken.
    """

    weights: Annotated[list[FileField], Field(min_length=1)]
    config: FileField
    index: FileField | None = None
    tokenizer: FileField | None = None
    tokenizer_config: FileField | None = None

    @model_validator(mode="after")
    def _patterns_are_for_weights(self) -> Self:
        for file in self.all()[len(self.weights) :]:
            if "*" in file.path:
                raise ValueError(f"{file.path} is a pattern, which only weights may be")
        return self

    def all(self) -> list[File]:
        """Every file, in the order weights, config, index, tokenizer, tokenizer_config."""
        rest = (self.config, self.index, self.tokenizer, self.tokenizer_config)
        return [*self.weights, *(file for file in rest if file is not None)]


class UpstreamModel(Entry):
    """A checkpoint that is fetched and converted.

    `layout` names how its tensors are called and shaped (`checkpoints/layouts/`); `source_dtype`
    is what upstream stores, `dtype` what we store; a tensor that is converted and is of another
    dtype at the source is refused, unless `source_dtype_of` names it (as upstream does; `*` stands
    for anything) with the dtype that it has. `waive_overflow` names tensors (as the converted file
    does) whose values may become infinite in the cast. `shard_bytes` asks for a sharded view beside
    the single file.

    Where upstream's archive holds more than the weights (a training state, a Lightning checkpoint),
    `weights_key` names the key behind which they lie: `state_dict`, or `[checkpoint, model]` for
    one within the other. Where every tensor's name begins with what the layout does not know
    (`module.`, `_orig_mod.`), `strip_prefix` names it.

    `max_position_embeddings` is for layouts whose config may leave it out (meta-mtp).
    `aliases` are further names under which the current generation of training code finds it.

    `tokenizer` says which tokenizer is published with it: `own` is that of its `files`, a model's
    name the own one of that model, and `shared` the catalog's.
    """

    layout: ModelLayout
    upstream: Upstream
    files: ModelFiles
    source_dtype: SourceDtype
    dtype: Dtype
    expected: Expected
    tokenizer: TokenizerOf = SHARED
    status: Status = "required"
    source_dtype_of: dict[str, SourceDtype] = {}
    waive_overflow: tuple[str, ...] = ()
    weights_key: WeightsKey = ()
    strip_prefix: Annotated[str, StringConstraints(pattern=r"^(([A-Za-z0-9_-]+\.)+)?$")] = ""
    shard_bytes: Positive | None = None
    target_device: Words = "cuda"
    max_position_embeddings: Positive | None = None
    aliases: tuple[AssetName, ...] = ()

    @model_validator(mode="after")
    def _positions_are_of_the_config_where_it_states_them(self) -> Self:
        if self.max_position_embeddings is not None and LAYOUTS[self.layout].positions is None:
            raise ValueError(
                f"max_position_embeddings is what config.json of the layout {self.layout} states: "
                "leave it out here"
            )
        return self


class MicroModel(Entry):
    """A small model that is sliced from a converted one: fewer layers, fewer heads, same head size.

    `layers` counts every block, the heads of a multi-token-prediction model included.
    """

    slice_of: AssetName
    layers: Positive
    dim: Positive
    ffn: Positive
    expected: Expected
    status: Status = "required"
    max_bytes: Positive = 200_000_000
    target_device: Words = "mps"
    aliases: tuple[AssetName, ...] = ()


def _kind_of_model(value: object) -> str:
    if isinstance(value, dict):
        return "micro" if "slice_of" in value else "fetched"
    return "micro" if isinstance(value, MicroModel) else "fetched"


Model = Annotated[
    Annotated[UpstreamModel, Tag("fetched")] | Annotated[MicroModel, Tag("micro")],
    Discriminator(_kind_of_model),
]


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
    """What is found out about a dataset's rows, which stay as they are.

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


class Tokenizer(Entry):
    """The tokenizer that every model shares which does not say otherwise; it comes with the files
    of the model `from_model`."""

    from_model: AssetName
    vocab_size: Positive


class Catalog(Entry):
    """All models and datasets. `hub: sample` means: the sample, unless WMTP_HUB is set; whatever is
    made by such a catalog is marked as the sample, not the real thing.

    With `commits_only` nothing is fetched from a repository whose revision is a branch or a tag.
    Without, a branch is resolved once, and assets.lock holds it to that commit from then on. What
    entries must say of each other is in `consistency.py`.

    `contract` names the generations of training code that are to be served: `phase1` (folders
    models_v2 and datasets_v2), `current` (models and datasets), or `[phase1, current]` for both;
    what is the same for both is stored once.
    """

    name: AssetName
    hub: Literal["huggingface", "sample"] = "huggingface"
    commits_only: Truth = False
    contract: Contracts = ("phase1",)
    tokenizer: Tokenizer
    models: dict[AssetName, Model]
    datasets: dict[AssetName, Dataset]

    @property
    def is_sample(self) -> bool:
        """Whether this is a catalog of the generated sample: nothing made by it is the real thing.

        The one place that decides it; pages, documents and commands ask here.
        """
        return self.hub == "sample"

    def upstream_models(self) -> dict[str, UpstreamModel]:
        """The models that are fetched, by name."""
        return {n: m for n, m in self.models.items() if isinstance(m, UpstreamModel)}

    def micro_models(self) -> dict[str, MicroModel]:
        """The models that are sliced from another, by name."""
        return {n: m for n, m in self.models.items() if isinstance(m, MicroModel)}

    def upstream_of(self, owner: str) -> Upstream:
        """Where a model or dataset comes from; a micro model, from where its base does."""
        model = self.models.get(owner)
        if isinstance(model, MicroModel):
            return self.upstreams()[model.slice_of]
        return self.upstreams()[owner]

    def upstreams(self) -> dict[str, Upstream]:
        """Where every fetched model and dataset comes from, by the name of the model or dataset."""
        entries: dict[str, UpstreamModel | Dataset] = {**self.upstream_models(), **self.datasets}
        return {name: entry.upstream for name, entry in entries.items()}
