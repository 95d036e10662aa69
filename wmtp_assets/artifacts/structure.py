"""The structure of the metadata files: which fields they have, of which types.

Only their form: other checks verify that what they say is true. `metadata.json` may have
further fields with a single value each, for the sizes and facts that its layout states.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
)

from wmtp_assets.catalog.fields import Status
from wmtp_assets.checkpoints.dtypes import DType

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Words = Annotated[str, Field(min_length=1)]
_DTYPES = Annotated[str, Field(pattern=rf"^({'|'.join(DType)})$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Entry(_Strict):
    """One row: its class and its difficulty, each absent where rows have none."""

    is_correct: bool = False
    difficulty: NonNegativeInt = 0


class Statistics(_Strict):
    """The counts of all rows; correct and incorrect are null where rows have no class, and there
    are no counts by difficulty where they have none."""

    total: NonNegativeInt
    correct: NonNegativeInt | None
    incorrect: NonNegativeInt | None
    difficulty_dist: dict[Annotated[str, Field(pattern=r"^\d+$")], NonNegativeInt]


class SplitMetadata(_Strict):
    """{split}_metadata.json: an entry per line, and the statistics."""

    metadata: list[Entry]
    stats: Statistics


class ProblemEntry(Entry):
    """One row: also its problem, absent where rows have none."""

    problem_id: str = ""


class Problem(_Strict):
    """The lines of one problem by class, and the tokens of their outputs."""

    difficulty: NonNegativeInt | None
    correct_indices: list[NonNegativeInt]
    incorrect_indices: list[NonNegativeInt]
    correct_token_lengths: list[NonNegativeInt]
    incorrect_token_lengths: list[NonNegativeInt]


class ProblemStatistics(Statistics):
    """The counts of all rows and problems, and what every row has."""

    has_is_correct: bool
    has_difficulty: bool
    has_problem_id: bool
    n_problems: NonNegativeInt
    n_valid_problems: NonNegativeInt
    total_possible_pairs: NonNegativeInt


class ProblemMetadata(_Strict):
    """{split}_metadata.json of the current contract: also the lines of each problem."""

    metadata: list[ProblemEntry]
    problem_index_map: dict[str, Problem]
    stats: ProblemStatistics


class _Digests(_Strict):
    checkpoint: Digest
    weights: Digest = Field(alias="model.safetensors")
    tokenizer: Digest = Field(validation_alias=AliasChoices("tokenizer.model", "tokenizer.json"))


class _Source(_Strict):
    repository: Words
    revision: Words
    licence: Words
    licence_name: Words = ""
    licence_link: Words = ""
    slice_of: Words = ""


class _ValueHead(_Strict):
    stored: bool
    input_size: PositiveInt
    tensors: list[Words] = []


class _Distributed(_Strict):
    fsdp_compatible: bool


class _Settled(_Strict):
    value: str | int | float | bool | None
    evidence: Words = Field(alias="from")


class _Converted(_Strict):
    kind: Literal["convert"]
    source_dtype: _DTYPES | dict[_DTYPES, PositiveInt]
    dtype: _DTYPES
    source_files: dict[Words, NonNegativeInt]
    dropped: dict[Words, Words]
    settled: dict[Words, _Settled]


class _Sliced(_Strict):
    kind: Literal["slice"]
    of: Words
    taken: dict[Words, list[NonNegativeInt]]


class ModelMetadata(BaseModel):
    """metadata.json of a model."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, str | int | float | bool]

    name: Words
    model_name: Words
    version: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    layout: Words
    implementation: Words
    format: Literal["safetensors"]
    dtype: _DTYPES
    parameters: PositiveInt
    n_params: PositiveInt
    tensors: PositiveInt
    vocab_size: PositiveInt
    repository: Words = ""
    revision: Words = ""
    licence: Words = ""
    slice_of: Words = ""
    status: Status
    target_device: Words
    source: _Source
    files: Annotated[dict[Words, Words], Field(min_length=1)]
    tokenizer_shared_with: Words | None
    value_head: _ValueHead
    distributed: _Distributed
    sha256: _Digests
    size_bytes: PositiveInt
    conversion: Annotated[_Converted | _Sliced, Field(discriminator="kind")]


def structure_fault(schema: type[BaseModel], document: object) -> str:
    """Where a document, as JSON gives it, does not have the structure; empty where it does."""
    try:
        schema.model_validate(document)
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_context=False, include_input=False)
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        more = f", and {len(others)} more" if others else ""
        return f"{place}: {first['msg']}{more}"
    return ""
