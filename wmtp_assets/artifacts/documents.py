"""The small files of an artifact, derived from its inputs: by the assets to write them, and by the
checks to compare them with what is stored, byte for byte.

Everything here is a pure function of its inputs' files and the catalog, so that a document that
was edited (and resealed) differs from what its inputs give. No Dagster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from wmtp_assets.artifacts.tokenizer_source import TokenizerSource
from wmtp_assets.artifacts.types import Checkpoint, Document, Fetched, Tokenizer
from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.configs import metadata_facts
from wmtp_assets.checkpoints.layout import Described
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.tokenizers import published_as
from wmtp_assets.checkpoints.vocabulary import require_vocabulary
from wmtp_assets.corpora.card import dataset_card
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.storage.atomic import json_bytes, write_bytes
from wmtp_assets.storage.digests import digest_of


@dataclass(frozen=True)
class Derived:
    """The files of an artifact's folder, by name, and the `facts` that go into its receipt."""

    files: Mapping[str, bytes]
    facts: Mapping[str, object] = field(default_factory=dict)

    def write(self, folder: Path) -> Mapping[str, object]:
        """Writes every file into `folder`; returns the facts. Raises StorageError."""
        for name, data in self.files.items():
            write_bytes(folder / name, data)
        return self.facts


def tokenizer_files(
    raw: Fetched, origin: str, model: UpstreamModel, vocab_size: int | None
) -> Derived:
    """A tokenizer's file as fetched, and the documents that AutoTokenizer reads beside it.

    It comes with the files of `model`, which is called `origin`; `vocab_size` is the number of
    pieces that the catalog states, None where it does not.

    Raises TokenizerError; VocabularyError where it is not the tokenizer of the model's config.
    """
    source = TokenizerSource.of(raw, model)
    source.require_of(origin)
    files = {published_as(source.file.name): source.file.read_bytes()}
    files |= {name: json_bytes(document) for name, document in source.documents.items()}
    return Derived(files, {"vocab_size": vocab_size or source.opened.size})


def config_files(
    layout: str, described: Described, upstream: dict[str, object], checkpoint: Checkpoint
) -> Derived:
    """The config documents that the layout writes, from upstream's.

    What upstream's leaves open is as the conversion settled it. Raises LayoutError where a setting
    is not known, ConfigError or ParamsError where config and tensors disagree.
    """
    header = read_header(checkpoint.path)
    upstream = {**upstream, **checkpoint.settled()["config"]}
    known = layout_named(layout)
    documents = known.documents(upstream, header, described)
    files = {name: json_bytes(document) for name, document in documents.items()}
    return Derived(files, {"document": known.config_files[0]})


def certificate_of(checkpoint: Checkpoint) -> Certificate:
    """The certificate that the conversion wrote. Raises CheckpointError where it is none."""
    return Certificate.from_json(checkpoint.read("certificate.json"))


def certificate_files(checkpoint: Checkpoint) -> Derived:
    """certificate.json, as the conversion wrote it."""
    recorded = certificate_of(checkpoint)
    content = json_bytes(recorded.to_json())
    return Derived({"certificate.json": content}, certificate_facts(recorded))


def certificate_facts(recorded: Certificate) -> Mapping[str, object]:
    """What a certificate counts, for its receipt."""
    tensors = recorded.tensors
    return {
        "tensors": len(tensors),
        "dropped": {entry.name: entry.reason for entry in recorded.dropped[:50]},
        "greatest_cast_error": max((t.max_cast_error for t in tensors), default=0.0),
        "overflows": sum(t.overflow for t in tensors),
        "nan": sum(t.nan for t in tensors),
        "inf": sum(t.inf for t in tensors),
    }


def adapter_files(
    layout: str, described: Described, model_config: Document, checkpoint: Checkpoint
) -> Derived:
    """meta_adapter.yaml. Raises ConfigError or ParamsError."""
    header = read_header(checkpoint.path)
    derived = layout_named(layout).adapter(model_config.value(), header, described)
    text = yaml.safe_dump(derived, sort_keys=False)
    return Derived({"meta_adapter.yaml": text.encode()}, derived)


def metadata_files(
    artifact: Artifact,
    layout: str,
    model: UpstreamModel | MicroModel,
    checkpoint: Checkpoint,
    model_config: Document,
    tokenizer: Tokenizer,
) -> Derived:
    """A model's metadata.json.

    Raises ConfigError or ParamsError, and VocabularyError where the tokenizer is another model's.
    """
    config = model_config.value()
    facts = metadata_facts(layout, config, read_header(checkpoint.path))
    rows = cast("int", facts["vocab_size"])
    padding = require_vocabulary(tokenizer.model, config, rows, artifact.owner)
    sums = checkpoint.receipt.files
    document = {
        "name": artifact.owner,
        "model_name": artifact.owner,
        "version": checkpoint.receipt.version,
        **facts,
        **({"vocabulary_padding": padding} if padding else {}),
        **dict(artifact.settings),
        "sha256": {
            "checkpoint": sums["model.safetensors"].sha256,
            "model.safetensors": sums["model.safetensors"].sha256,
            tokenizer.model.name: tokenizer.receipt.files[tokenizer.model.name].sha256,
        },
        "size_bytes": sums["model.safetensors"].size,
        "conversion": _conversion(model, checkpoint),
    }
    shown = {key: facts[key] for key in ("parameters", "tensors", "dtype")}
    return Derived({"metadata.json": json_bytes(document)}, shown)


def _conversion(model: UpstreamModel | MicroModel, checkpoint: Checkpoint) -> dict[str, object]:
    """What was done to the source's tensors, for metadata.json."""
    if isinstance(model, MicroModel):
        return {"kind": "slice", "of": model.slice_of, "taken": checkpoint.slice()["taken"]}
    recorded, settled = certificate_of(checkpoint), checkpoint.settled()
    return {
        "kind": "convert",
        "source_dtype": _source_dtype(recorded),
        "dtype": model.dtype,
        "source_files": dict(recorded.source_files),
        "dropped": {entry.name: entry.reason for entry in recorded.dropped},
        "settled": {
            name: {"value": value, "from": settled["evidence"][name]}
            for name, value in settled["config"].items()
        },
    }


def _source_dtype(recorded: Certificate) -> str | dict[str, int]:
    """The dtype of the tensors that were converted, as their source has them; of several, how many
    tensors are of each."""
    times = Counter(str(tensor.source_dtype) for tensor in recorded.tensors)
    return next(iter(times)) if len(times) == 1 else dict(sorted(times.items()))


def schema_files(
    dataset_format: DatasetFormat,
    files: Mapping[str, str],
    small: Mapping[str, str],
    digests: Mapping[str, str],
    small_by: Mapping[str, object],
    *,
    sample: bool = False,
) -> Derived:
    """schema.json of a dataset, and the cards that declare its rows' files.

    `files` and `small` map splits to the names of their files
    in the dataset's folder and in that of its small copy, which has a card only where there are
    some. `digests` maps splits to the SHA-256 of their rows, and `small_by` is what else decides
    which of them are in the small copy. `sample`: the cards say that the rows are generated.
    """
    rows = {split: digests[split] for split in files}
    small_rows = {"of": {split: digests[split] for split in small}, "by": dict(small_by)}
    written = {
        "schema.json": json_bytes(row_schema(dataset_format)),
        "README.md": dataset_card(dataset_format, files, digest_of(rows), sample=sample),
    }
    if small:
        card = dataset_card(dataset_format, small, digest_of(small_rows), sample=sample)
        written["README_small.md"] = card
    return Derived(written, {"layout": dataset_format.name, "document": "schema.json"})
