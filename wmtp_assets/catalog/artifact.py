"""What an artifact is, and how it is named; which ones a catalog has is in `artifacts.py`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wmtp_assets.catalog.fields import Status
from wmtp_assets.generations import Contract


class Kind(StrEnum):
    """The type of an artifact; `artifacts/kinds.py` says how each kind is made and checked."""

    RAW = "raw"
    CHECKPOINT = "checkpoint"
    SHARDS = "shards"
    TOKENIZER = "tokenizer"
    CERTIFICATE = "certificate"
    CONFIG = "config"
    ADAPTER = "adapter"
    MODEL_METADATA = "model_metadata"
    MODEL_CARD = "model_card"
    SPLIT = "split"
    SPLIT_METADATA = "split_metadata"
    SPLIT_METADATA_CURRENT = "split_metadata_current"
    SCHEMA = "schema"
    DATASET_CARD = "dataset_card"
    SMALL_SPLIT = "small_split"
    SMALL_METADATA = "small_metadata"
    SMALL_METADATA_CURRENT = "small_metadata_current"
    PACKAGE_FILE = "package_file"
    EVALUATION = "eval"
    TESTS = "tests"
    RAW_VIEW = "raw_view"
    VERDICTS = "verdicts"
    LEAKS = "leaks"
    DUPLICATES = "duplicates"
    QUALITY_CARD = "quality_card"


@dataclass(frozen=True)
class Artifact:
    """One artifact of a catalog.

    `owner` is the model or dataset it belongs to, `split` its split if it has one. `inputs` are the
    artifacts it is made from. `settings` are the catalog's fields that its bytes depend on, and no
    others: a new expected count makes no file stale. `contract` is the generation of the contract
    whose bytes it holds, `phase1` where they are the same in all; `links` may be paths of several.
    What is `on_request` is made when it is named, and by no run of everything: it takes hours.
    """

    name: str
    kind: Kind
    owner: str
    group: str
    inputs: tuple[str, ...] = ()
    split: str | None = None
    status: Status = "required"
    links: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    contract: Contract = "phase1"
    on_request: bool = False

    @property
    def is_fetched(self) -> bool:
        """Whether it is made of upstream's files, and so has no artifact as input."""
        return self.kind is Kind.RAW

    @property
    def is_checkpoint(self) -> bool:
        """Whether it is the safetensors file of a model."""
        return self.kind is Kind.CHECKPOINT

    @property
    def is_sharded(self) -> bool:
        """Whether it is a model's tensors in several files, in a folder."""
        return self.kind is Kind.SHARDS

    @property
    def is_split(self) -> bool:
        """Whether it is the rows of a whole split."""
        return self.kind is Kind.SPLIT

    @property
    def is_small(self) -> bool:
        """Whether its rows are chosen from a whole split."""
        return self.kind is Kind.SMALL_SPLIT

    @property
    def is_row_metadata(self) -> bool:
        """Whether it describes the lines of a JSONL file, one entry per line."""
        return self.kind in (
            Kind.SPLIT_METADATA,
            Kind.SPLIT_METADATA_CURRENT,
            Kind.SMALL_METADATA,
            Kind.SMALL_METADATA_CURRENT,
        )

    @property
    def is_of_small_copy(self) -> bool:
        """Whether it belongs to the small copy of a dataset."""
        return self.kind in (Kind.SMALL_SPLIT, Kind.SMALL_METADATA, Kind.SMALL_METADATA_CURRENT)

    @property
    def is_of_whole_problems(self) -> bool:
        """Whether it holds a split's problems with all of their tests, and no rows."""
        return self.kind in (Kind.EVALUATION, Kind.TESTS)

    @property
    def is_about_quality(self) -> bool:
        """Whether it says something of a split's rows, which are as good without it."""
        return self.kind in (Kind.VERDICTS, Kind.LEAKS, Kind.DUPLICATES, Kind.QUALITY_CARD)

    @property
    def executes_rows(self) -> bool:
        """Whether making it runs the programs that rows are."""
        return self.kind is Kind.VERDICTS

    @property
    def is_raw_view(self) -> bool:
        """Whether it shows the fetched files of a model or dataset, in a folder."""
        return self.kind is Kind.RAW_VIEW

    @property
    def is_published_alone(self) -> bool:
        """Whether it is published as a set of its own, with its metadata file if it has one; what
        belongs to a model is published with the model."""
        return self.kind in (
            Kind.SPLIT,
            Kind.SCHEMA,
            Kind.DATASET_CARD,
            Kind.SMALL_SPLIT,
            Kind.PACKAGE_FILE,
            Kind.EVALUATION,
            Kind.TESTS,
            Kind.VERDICTS,
            Kind.LEAKS,
            Kind.DUPLICATES,
            Kind.QUALITY_CARD,
        ) or (self.is_raw_view and self.name.startswith("datasets/"))

    @property
    def published_in(self) -> str:
        """The name of the set that it begins, if it is published alone.

        A catalog that serves another generation publishes at the same paths what it has in place
        of the small copy and the schema: the set is the same, so that it is replaced.
        """
        if self.kind is Kind.SMALL_SPLIT:
            return split_artifact(f"{self.owner}_small", str(self.split))
        return schema_artifact(self.owner) if self.kind is Kind.SCHEMA else self.name

    @property
    def is_shared(self) -> bool:
        """Whether several models are published with it, or may be: a tokenizer."""
        return self.kind is Kind.TOKENIZER

    @property
    def settings_digest(self) -> str:
        """SHA-256 of `settings`, as canonical JSON."""
        text = json.dumps(self.settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


TOKENIZER = "models/tokenizer"
TOKENIZER_RAW = "models/tokenizer_raw"


def model_artifact(model: str, part: str = "") -> str:
    """The name of a model's artifact: the checkpoint itself, or its `part`."""
    return f"models/{model}_{part}" if part else f"models/{model}"


def split_artifact(dataset: str, split: str, part: str = "", contract: Contract = "phase1") -> str:
    """The name of a split's artifact: its JSONL and row index, or its `part`.

    `contract` is the artifact's own, as in `Artifact`: the first phase's have plain names.
    """
    generation = "" if contract == "phase1" else contract
    return "_".join(filter(None, (f"datasets/{dataset}", split, generation, part)))


def schema_artifact(dataset: str, contract: Contract = "phase1") -> str:
    """The name of the schema of a dataset's rows, in the generation as in `split_artifact`."""
    return split_artifact(dataset, "schema", contract=contract)


def group_of(name: str) -> str:
    """The group of what the catalog calls `name`.

    Dagster's group names allow letters, digits and underscores only.
    """
    return name.replace("-", "_").replace(".", "_")
