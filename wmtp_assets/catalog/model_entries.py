"""A catalog's entries of models: fetched models, and micro models that are cut from them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from wmtp_assets.catalog.fields import (
    SHARED,
    AssetName,
    Dtype,
    Entry,
    Positive,
    SourceDtype,
    Status,
    TokenizerOf,
    Words,
    list_from_string,
)
from wmtp_assets.catalog.upstream_entries import File, FileField, Upstream
from wmtp_assets.checkpoints.layouts import LAYOUTS


def _known_layout(name: str) -> str:
    if name not in LAYOUTS:
        known = ", ".join(map(repr, LAYOUTS))
        raise ValueError(f"no layout is called {name!r}: name one of {known}")
    return name


ModelLayout = Annotated[str, AfterValidator(_known_layout)]
WeightsKey = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=255)], ...],
    Field(max_length=4),
    BeforeValidator(list_from_string),
]


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

    `layout` says how its tensors are named and shaped (`checkpoints/layouts/`); `source_dtype`
    is what upstream stores, and `dtype` is what we store. A converted tensor with another dtype at
    the source is refused, unless `source_dtype_of` states its dtype (by upstream's name; `*` stands
    for anything). `waive_overflow` lists tensors, by their names in the converted file, whose
    values may become infinite in the cast. `shard_bytes` asks for a sharded view beside the single
    file.

    If upstream's archive contains more than the weights (a training state, a Lightning checkpoint),
    `weights_key` is the key of the weights: `state_dict`, or nested keys `[checkpoint, model]`. If
    every tensor's name has a prefix that the layout does not have (`module.`, `_orig_mod.`),
    `strip_prefix` names it.

    `max_position_embeddings` is for layouts whose config may leave it out (meta-mtp).
    `aliases` are further names under which the current generation of training code finds it.

    `tokenizer` says which tokenizer is published with it: `own` is the one in its `files`, a
    model's name means that model's own one, and `shared` the catalog's.
    """

    layout: ModelLayout
    upstream: Upstream
    files: ModelFiles
    source_dtype: SourceDtype
    dtype: Dtype
    expected: Expected
    tokenizer: TokenizerOf = SHARED
    status: Status = "required"
    source_dtype_of: dict[str, SourceDtype] = {}  # noqa: RUF012 - pydantic copies it
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
