"""The catalog's schema: what a catalog may say, and what each field means.

Read `full.yaml` first; this file is its grammar. Reading and error messages are in `reader.py`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from wmtp_assets.checkpoints.layouts import LayoutName

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
RepositoryName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
]
AssetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
SplitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*$")]
Dtype = Literal["float16", "bfloat16", "float32"]
SourceDtype = Literal["float16", "bfloat16", "float32", "float8_e4m3fn", "float8_e5m2"]
Status = Literal["required", "optional"]
COMMIT = re.compile(r"[0-9a-f]{40}")


class Entry(BaseModel):
    """Unknown fields are mistakes, and a catalog does not change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Entry):
    """A file that is taken from a repository, or a pattern (`*`) and how many files it must find.

    `sha256` is checked on arrival where it is known beforehand; what is not known is computed on
    arrival and written down in `assets.lock`.
    """

    path: Annotated[str, StringConstraints(min_length=1)]
    sha256: Sha256 | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    count: Annotated[int, Field(ge=1)] = 1

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


def _keys_from_string(value: object) -> object:
    return [value] if isinstance(value, str) else value


WeightsKey = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=255)], ...],
    Field(max_length=4),
    BeforeValidator(_keys_from_string),
]


class Upstream(Entry):
    """Where something comes from: a repository of the Hub, pinned to a commit."""

    repository: RepositoryName
    revision: Annotated[str, StringConstraints(min_length=1)]
    licence: str
    gated: bool = False

    @property
    def pinned(self) -> bool:
        """Whether `revision` is a commit (40 hex digits) and not a branch or a tag."""
        return COMMIT.fullmatch(self.revision) is not None


class Expected(Entry):
    """Counts that the artifact must show when it is read back."""

    parameters: Annotated[int, Field(gt=0)]
    tensors: Annotated[int, Field(gt=0)]


class ModelFiles(Entry):
    """The files of a model's repository that are taken; nothing else in it ever is."""

    weights: Annotated[list[FileField], Field(min_length=1)]
    config: FileField
    index: FileField | None = None
    tokenizer: FileField | None = None

    @model_validator(mode="after")
    def _patterns_are_for_weights(self) -> Self:
        for file in self.all()[len(self.weights) :]:
            if "*" in file.path:
                raise ValueError(f"{file.path} is a pattern, which only weights may be")
        return self

    def all(self) -> list[File]:
        """Every file, in the order weights, config, index, tokenizer."""
        rest = (self.config, self.index, self.tokenizer)
        return [*self.weights, *(file for file in rest if file is not None)]


class UpstreamModel(Entry):
    """A checkpoint that is fetched and converted.

    `layout` names how its tensors are called and shaped (`checkpoints/layouts.py`); `source_dtype`
    is what upstream stores, `dtype` what we store. `waive_overflow` names tensors whose values may
    become infinite in the cast. `shard_bytes` asks for a sharded view beside the single file.

    Where upstream's archive holds more than the weights (a training state, a Lightning checkpoint),
    `weights_key` names the key behind which they lie: `state_dict`, or `[checkpoint, model]` for
    one within the other. Where every tensor's name begins with what the layout does not know
    (`module.`, `_orig_mod.`), `strip_prefix` names it.
    """

    layout: LayoutName
    upstream: Upstream
    files: ModelFiles
    source_dtype: SourceDtype
    dtype: Dtype
    expected: Expected
    status: Status = "required"
    waive_overflow: tuple[str, ...] = ()
    weights_key: WeightsKey = ()
    strip_prefix: Annotated[str, StringConstraints(pattern=r"^(([A-Za-z0-9_-]+\.)+)?$")] = ""
    shard_bytes: Annotated[int, Field(gt=0)] | None = None
    target_device: str = "cuda"


class MicroModel(Entry):
    """A small model that is sliced from a converted one: fewer layers, fewer heads, same head size.

    `layers` counts every block, the heads of a multi-token-prediction model included.
    """

    slice_of: AssetName
    layers: Annotated[int, Field(gt=0)]
    dim: Annotated[int, Field(gt=0)]
    ffn: Annotated[int, Field(gt=0)]
    expected: Expected
    status: Status = "required"
    max_bytes: Annotated[int, Field(gt=0)] = 200_000_000
    target_device: str = "mps"


def _kind_of_model(value: object) -> str:
    if isinstance(value, dict):
        return "micro" if "slice_of" in value else "fetched"
    return "micro" if isinstance(value, MicroModel) else "fetched"


Model = Annotated[
    Annotated[UpstreamModel, Tag("fetched")] | Annotated[MicroModel, Tag("micro")],
    Discriminator(_kind_of_model),
]


class Split(Entry):
    """One split of a dataset: upstream's files, and the rows that must come out of them.

    `correct` and `incorrect` belong to code_contests alone. `rows` may be left out in a catalog of
    one's own where nobody has counted yet; the check then reports what it found.
    """

    files: Annotated[list[FileField], Field(min_length=1)]
    rows: Annotated[int, Field(ge=0)] | None = None
    correct: Annotated[int, Field(ge=0)] | None = None
    incorrect: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _classes_add_up(self) -> Self:
        if (self.correct is None) != (self.incorrect is None):
            raise ValueError("correct and incorrect come together")
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


class Small(Entry):
    """How many rows of each split go into the small copy for laptops, and the seed that picks."""

    rows: dict[SplitName, Annotated[int, Field(gt=0)]]
    seed: int = 42


class Dataset(Entry):
    """A dataset whose splits become Alpaca JSONL; `layout` names upstream's schema."""

    layout: Literal["code-contests", "mbpp", "humaneval"]
    upstream: Upstream
    splits: dict[SplitName, Split]
    max_tokens: Annotated[int, Field(gt=0)] = 2048
    status: Status = "required"
    small: Small | None = None

    @model_validator(mode="after")
    def _small_names_existing_splits(self) -> Self:
        for split in self.small.rows if self.small else ():
            if split not in self.splits:
                raise ValueError(f"small names the split {split!r}, which is not among the splits")
        return self


class Tokenizer(Entry):
    """The one tokenizer that every model shares; it comes with the files of model `from_model`."""

    from_model: AssetName
    vocab_size: Annotated[int, Field(gt=0)]


class Catalog(Entry):
    """Everything that is secured. `hub: sample` means: the sample, unless WMTP_HUB is set.

    With `commits_only` nothing is fetched from a repository whose revision is a branch or a tag.
    Without, a branch is resolved once, and assets.lock holds it to that commit from then on.
    """

    name: AssetName
    hub: Literal["huggingface", "sample"] = "huggingface"
    commits_only: bool = False
    tokenizer: Tokenizer
    models: dict[AssetName, Model]
    datasets: dict[AssetName, Dataset]

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        shared = self.models.get(self.tokenizer.from_model)
        if not isinstance(shared, UpstreamModel) or shared.files.tokenizer is None:
            raise ValueError(
                f"tokenizer.from_model is {self.tokenizer.from_model!r}, "
                "which is no fetched model with a tokenizer file"
            )
        for name, model in self.models.items():
            if isinstance(model, MicroModel) and not isinstance(
                self.models.get(model.slice_of), UpstreamModel
            ):
                raise ValueError(
                    f"models.{name}.slice_of is {model.slice_of!r}, which is no fetched model here"
                )
        return self

    @model_validator(mode="after")
    def _one_revision_a_repository(self) -> Self:
        pins: dict[str, str] = {}
        for upstream in self.upstreams().values():
            seen = pins.setdefault(upstream.repository, upstream.revision)
            if seen != upstream.revision:
                raise ValueError(f"{upstream.repository} is pinned to two revisions")
        return self

    def upstream_models(self) -> dict[str, UpstreamModel]:
        """The models that are fetched, by name."""
        return {n: m for n, m in self.models.items() if isinstance(m, UpstreamModel)}

    def micro_models(self) -> dict[str, MicroModel]:
        """The models that are sliced from another, by name."""
        return {n: m for n, m in self.models.items() if isinstance(m, MicroModel)}

    def upstreams(self) -> dict[str, Upstream]:
        """Where every fetched model and dataset comes from, by the name of the model or dataset."""
        entries: dict[str, UpstreamModel | Dataset] = {**self.upstream_models(), **self.datasets}
        return {name: entry.upstream for name, entry in entries.items()}
