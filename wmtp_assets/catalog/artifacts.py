"""What follows from a catalog: every artifact, what it is made from, and where readers find it.

An artifact is a folder of files that one Dagster asset makes; its name is the asset's key. Assets,
checks, the gate, `wmtp verify` and staleness all walk this one list. `links` are the contract with
the training code (paths below the storage root): what a reader opens, and which file that is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from wmtp_assets.catalog.schema import (
    Catalog,
    Dataset,
    File,
    MicroModel,
    Status,
    Upstream,
    UpstreamModel,
)
from wmtp_assets.checkpoints.layouts import layout_named


class Kind(StrEnum):
    """What sort of thing an artifact is; `artifacts/kinds.py` says what follows from it."""

    RAW = "raw"
    CHECKPOINT = "checkpoint"
    SHARDS = "shards"
    TOKENIZER = "tokenizer"
    CERTIFICATE = "certificate"
    CONFIG = "config"
    ADAPTER = "adapter"
    MODEL_METADATA = "model_metadata"
    SPLIT = "split"
    SPLIT_METADATA = "split_metadata"
    SCHEMA = "schema"
    SMALL_SPLIT = "small_split"
    SMALL_METADATA = "small_metadata"


@dataclass(frozen=True)
class Artifact:
    """One artifact of a catalog.

    `owner` is the model or dataset it belongs to, `split` its split if it has one. `inputs` are the
    artifacts it is made from. `settings` are the catalog's fields that its bytes depend on, and no
    others: a new expected count makes no file stale.
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
    def is_small(self) -> bool:
        """Whether its rows are chosen from a whole split."""
        return self.kind is Kind.SMALL_SPLIT

    @property
    def is_row_metadata(self) -> bool:
        """Whether it describes the lines of a JSONL file, one entry per line."""
        return self.kind in (Kind.SPLIT_METADATA, Kind.SMALL_METADATA)

    @property
    def is_of_small_copy(self) -> bool:
        """Whether it belongs to the small copy of a dataset."""
        return self.kind in (Kind.SMALL_SPLIT, Kind.SMALL_METADATA)

    @property
    def is_published_alone(self) -> bool:
        """Whether it is published as a set of its own, with its metadata file if it has one; what
        belongs to a model is published with the model."""
        return self.kind in (Kind.SPLIT, Kind.SCHEMA, Kind.SMALL_SPLIT)

    @property
    def is_shared(self) -> bool:
        """Whether several models are published with it: the tokenizer."""
        return self.name == TOKENIZER

    @property
    def settings_digest(self) -> str:
        """SHA-256 of `settings`, as canonical JSON."""
        text = json.dumps(self.settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


TOKENIZER = "models/tokenizer"
TOKENIZER_RAW = "models/tokenizer_raw"
TOKENIZER_FILES = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json")


def model_artifact(model: str, part: str = "") -> str:
    """The name of a model's artifact: the checkpoint itself, or its `part`."""
    return f"models/{model}_{part}" if part else f"models/{model}"


def split_artifact(dataset: str, split: str, part: str = "") -> str:
    """The name of a split's artifact: its JSONL and row index, or its `part`."""
    return f"datasets/{dataset}_{split}_{part}" if part else f"datasets/{dataset}_{split}"


def artifacts_of(catalog: Catalog) -> dict[str, Artifact]:
    """Every artifact of `catalog` by name, each after the artifacts that it is made from."""
    return {artifact.name: artifact for artifact in every_artifact(catalog)}


def every_artifact(catalog: Catalog) -> list[Artifact]:
    """As `artifacts_of`, and also where two have one name (which `consistency.py` refuses)."""
    found = _tokenizer(catalog)
    for name, model in catalog.upstream_models().items():
        found += _fetched_model(name, model, _marked(catalog))
    for name, micro in catalog.micro_models().items():
        found += _micro_model(name, micro, catalog)
    for name, dataset in catalog.datasets.items():
        found += _dataset(name, dataset, _marked(catalog))
    return found


def _raw(
    name: str, owner: str, group: str, upstream: Upstream, files: Sequence[File], status: Status
) -> Artifact:
    return Artifact(
        name,
        Kind.RAW,
        owner,
        group,
        status=status,
        settings={
            "repository": upstream.repository,
            "revision": upstream.revision,
            "files": [file.model_dump() for file in files],
        },
    )


def _tokenizer(catalog: Catalog) -> list[Artifact]:
    """The shared tokenizer, with a fetch of its own: datasets need it, and no 27 GB beside it."""
    shared = catalog.tokenizer
    model = catalog.upstream_models()[shared.from_model]
    files = [model.files.tokenizer] if model.files.tokenizer else []
    raw = _raw(TOKENIZER_RAW, shared.from_model, "tokenizer", model.upstream, files, "required")
    made = Artifact(
        TOKENIZER,
        Kind.TOKENIZER,
        shared.from_model,
        "tokenizer",
        inputs=(raw.name,),
        settings={"vocab_size": shared.vocab_size},
    )
    return [raw, made]


def _marked(catalog: Catalog) -> dict[str, object]:
    """What settings of documents say of the sample, and of no other catalog."""
    return {"sample": True} if catalog.is_sample else {}


def _fetched_model(name: str, model: UpstreamModel, marked: Mapping[str, object]) -> list[Artifact]:
    raw, weights = model_artifact(name, "raw"), model_artifact(name)
    group = group_of(name)
    conversion: dict[str, object] = {
        "layout": model.layout,
        "source_dtype": model.source_dtype,
        "dtype": model.dtype,
        "waive_overflow": list(model.waive_overflow),
        # Only where they are given: the digest of what was made without them stays what it was.
        **({"weights_key": list(model.weights_key)} if model.weights_key else {}),
        **({"strip_prefix": model.strip_prefix} if model.strip_prefix else {}),
    }
    if model.source_dtype_of:  # absent, as it was before there was such a field
        conversion["source_dtype_of"] = dict(sorted(model.source_dtype_of.items()))
    made = [
        _raw(raw, name, group, model.upstream, model.files.all(), model.status),
        Artifact(
            weights,
            Kind.CHECKPOINT,
            name,
            group,
            inputs=(raw,),
            status=model.status,
            links=_checkpoint_links(name),
            settings=conversion,
        ),
    ]
    described: dict[str, object] = {
        **marked,
        "repository": model.upstream.repository,
        "revision": model.upstream.revision,
        "licence": model.upstream.licence,
        "status": model.status,
        "target_device": model.target_device,
    }
    made += _documents(made[1], model.layout, raw, described)
    if model.shard_bytes is not None:
        shards = Artifact(
            model_artifact(name, "shards"),
            Kind.SHARDS,
            name,
            group,
            inputs=(weights, model_artifact(name, "config")),
            status=model.status,
            links={f"models_v2/{name}/sharded": "sharded"},
            settings={"shard_bytes": model.shard_bytes},
        )
        made.append(shards)
    return made


def _micro_model(name: str, micro: MicroModel, catalog: Catalog) -> list[Artifact]:
    base = catalog.upstream_models()[micro.slice_of]
    base_config = model_artifact(micro.slice_of, "config")
    weights = model_artifact(name)
    group = group_of(name)
    checkpoint = Artifact(
        weights,
        Kind.CHECKPOINT,
        name,
        group,
        inputs=(model_artifact(micro.slice_of), base_config),
        status=micro.status,
        links=_checkpoint_links(name),
        settings={"layers": micro.layers, "dim": micro.dim, "ffn": micro.ffn},
    )
    described = {
        **_marked(catalog),
        "slice_of": micro.slice_of,
        "status": micro.status,
        "target_device": micro.target_device,
    }
    return [checkpoint, *_documents(checkpoint, base.layout, weights, described)]


def _checkpoint_links(name: str) -> dict[str, str]:
    at = f"models_v2/{name}/safetensors"
    return {f"{at}/model.safetensors": "model.safetensors", f"{at}/SHA256SUMS": "SHA256SUMS"}


def _documents(
    model: Artifact, layout: str, config_from: str, described: Mapping[str, object]
) -> list[Artifact]:
    """The documents beside the checkpoint `model`: config, certificate, adapter, metadata."""
    folder = f"models_v2/{model.owner}"

    def document(
        kind: Kind,
        part: str,
        inputs: Iterable[str],
        *paths: str,
        settings: Mapping[str, object] | None = None,
    ) -> Artifact:
        return Artifact(
            model_artifact(model.owner, part),
            kind,
            model.owner,
            model.group,
            inputs=tuple(inputs),
            status=model.status,
            links={f"{folder}/{path}": path.rpartition("/")[2] for path in paths},
            settings=settings or {},
        )

    known = layout_named(layout)
    config = document(
        Kind.CONFIG,
        "config",
        dict.fromkeys((config_from, model.name)),
        *(f"configs/{file}" for file in known.config_files),
        settings={"layout": layout},
    )
    certificate = document(Kind.CERTIFICATE, "certificate", [model.name], "certificate.json")
    made = [config, certificate]
    if known.has_adapter:
        inputs = [config.name, model.name]
        made.append(document(Kind.ADAPTER, "adapter", inputs, "configs/meta_adapter.yaml"))
    members = [model.name, *(one.name for one in made), TOKENIZER]
    metadata = document(
        Kind.MODEL_METADATA, "metadata", members, "metadata.json", settings=described
    )
    return [*made, metadata]


def _dataset(name: str, dataset: Dataset, marked: Mapping[str, object]) -> list[Artifact]:
    group = group_of(name)
    made: list[Artifact] = []
    at = f"datasets_v2/{name}"
    for split, wanted in dataset.splits.items():
        raw, rows = split_artifact(name, split, "raw"), split_artifact(name, split)
        made += [
            replace(
                _raw(raw, name, group, dataset.upstream, wanted.files, dataset.status), split=split
            ),
            Artifact(
                rows,
                Kind.SPLIT,
                name,
                group,
                inputs=(raw, TOKENIZER),
                split=split,
                status=dataset.status,
                links={
                    f"{at}/processed/{split}.jsonl": f"{split}.jsonl",
                    f"{at}/processed/{split}.index.parquet": f"{split}.index.parquet",
                    f"{at}/stats/{split}_stats.json": f"{split}_stats.json",
                },
                settings={"layout": dataset.layout, "max_tokens": dataset.max_tokens},
            ),
            Artifact(
                split_artifact(name, split, "metadata"),
                Kind.SPLIT_METADATA,
                name,
                group,
                inputs=(rows,),
                split=split,
                status=dataset.status,
                links={f"{at}/processed/{split}_metadata.json": f"{split}_metadata.json"},
            ),
        ]
    made.append(
        Artifact(
            f"datasets/{name}_schema",
            Kind.SCHEMA,
            name,
            group,
            inputs=tuple(split_artifact(name, split) for split in dataset.splits),
            status=dataset.status,
            links=_schema_links(name, dataset),
            settings={
                **marked,
                "layout": dataset.layout,
                # What the cards declare; `datasets` cannot load a split without rows.
                "files": {
                    split: f"{split}.jsonl"
                    for split, wanted in dataset.splits.items()
                    if wanted.rows != 0
                },
                "small_files": {
                    split: f"{split}_small.jsonl"
                    for split in (dataset.small.rows if dataset.small else ())
                    if dataset.splits[split].rows != 0
                },
            },
        )
    )
    for split, rows_wanted in (dataset.small.rows if dataset.small else {}).items():
        small = split_artifact(f"{name}_small", split)
        folder = f"datasets_local_small/{name}_small"
        seed = dataset.small.seed if dataset.small else 0
        made += [
            Artifact(
                small,
                Kind.SMALL_SPLIT,
                name,
                f"{group}_small",
                inputs=(split_artifact(name, split),),
                split=split,
                status=dataset.status,
                links={
                    f"{folder}/{split}_small.jsonl": f"{split}_small.jsonl",
                    f"{folder}/{split}_small.index.parquet": f"{split}_small.index.parquet",
                },
                settings={"rows": rows_wanted, "seed": seed},
            ),
            Artifact(
                split_artifact(f"{name}_small", split, "metadata"),
                Kind.SMALL_METADATA,
                name,
                f"{group}_small",
                inputs=(small,),
                split=split,
                status=dataset.status,
                links={f"{folder}/{split}_small_metadata.json": f"{split}_small_metadata.json"},
            ),
        ]
    return made


def _schema_links(name: str, dataset: Dataset) -> dict[str, str]:
    processed = f"datasets_v2/{name}/processed"
    links = {f"{processed}/schema.json": "schema.json", f"{processed}/README.md": "README.md"}
    if dataset.small and any(dataset.splits[split].rows != 0 for split in dataset.small.rows):
        links[f"datasets_local_small/{name}_small/README.md"] = "README_small.md"
    return links


def group_of(name: str) -> str:
    """The group of what the catalog calls `name`.

    Dagster's group names allow letters, digits and underscores only.
    """
    return name.replace("-", "_").replace(".", "_")
