"""What the report says, read from the storage: receipts, certificates, headers, rows, the verdict.

Nothing here is computed from what a document claims where the file itself can be asked: parameters
and dtypes come from the safetensors header, ranges from the tensors, sample rows from the JSONL. A
document is read only where its SHA-256 is the one in its artifact's receipt.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.documents import certificate_of
from wmtp_assets.artifacts.facts import stated_ends
from wmtp_assets.artifacts.gate import Verdict
from wmtp_assets.artifacts.types import Checkpoint
from wmtp_assets.artifacts.upstream_files import commit_page
from wmtp_assets.catalog import MicroModel
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.identity import Identity, identify
from wmtp_assets.catalog.model_entries import Model
from wmtp_assets.catalog.upstream_entries import Upstream
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.layout import Network
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.ranges import largest_names, value_range
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.corpora.opening import open_corpus
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.errors import WmtpError
from wmtp_assets.generations import model_folder
from wmtp_assets.hub.files import RepoId
from wmtp_assets.pages.quality_facts import QualityFacts, quality_of
from wmtp_assets.pages.row_facets import Facets, facets_of_all
from wmtp_assets.pages.rows import Line, SplitOfRows, read_lines, splits_of_rows
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Receipt, record_bytes

SAMPLE_ROWS = 5  # of a split
_DROPPED = ("null_solutions", "too_long_by_bound", "too_long_by_count")


@dataclass(frozen=True)
class Source:
    """Where something comes from. `revision` is what was fetched; `link` is the Hub's page of that
    commit, empty where the bytes came from elsewhere (the sample, a mirror without commits)."""

    repository: str
    revision: str
    licence: str
    link: str = ""


@dataclass(frozen=True)
class TensorFacts:
    """One tensor of the file: shape, dtype, bytes; its least and greatest value, None where its
    dtype has none that are read; the greatest error of its cast."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    values: tuple[float, float] | None
    cast_error: float


@dataclass(frozen=True)
class CastFacts:
    """What a conversion did to the values of `tensors` tensors, by its certificate.

    `before` and `after` are bytes of tensors by dtype. `cast` counts the tensors whose dtype was
    changed, `error` is the greatest error among them, of the tensor `error_in`. `lost` counts
    elements that a cast changed in kind (overflow, zeroed) or that were none at the source (nan,
    inf).
    """

    tensors: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    cast: int
    error: float
    error_in: str
    lost: Mapping[str, int]


@dataclass(frozen=True)
class ModelFacts:
    """A model: `before` and `after` are bytes of its tensors by dtype, `lost` counts of elements
    that a cast changed in kind (overflow, zeroed) or that were none at the source (nan, inf).
    `folder` is where readers find it, below the storage. `trouble` is why there are no facts."""

    name: str
    folder: str
    status: str
    network: Network
    slice_of: str = ""
    source: Source | None = None
    made_at: str = ""
    size: int = 0
    parameters: int = 0
    tensors: int = 0
    before: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, int] = field(default_factory=dict)
    largest: Sequence[TensorFacts] = ()
    cast_error: float = 0.0
    cast_error_in: str = ""
    lost: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    trouble: WmtpError | None = None
    asset: str = ""


@dataclass(frozen=True)
class SplitFacts:
    """A split: how many rows of upstream's were dropped, and why (`funnel`: candidates, dropped by
    reason, kept), its counts, a few rows, and the quality of all. `trouble` is why there are no
    facts."""

    of: SplitOfRows
    rows: int = 0
    size: int = 0
    made_at: str = ""
    problems: int = 0
    facets: Facets | None = None
    funnel: Mapping[str, int] = field(default_factory=dict)
    lines: Sequence[Line] = ()
    quality: QualityFacts | None = None
    trouble: WmtpError | None = None


@dataclass(frozen=True)
class DatasetFacts:
    """A dataset with its splits."""

    name: str
    status: str
    source: Source
    classed: bool
    splits: Sequence[SplitFacts]


@dataclass(frozen=True)
class ReportFacts:
    """All of it. `verdict` is the gate's last one, None where it was never asked; `newer` names
    required artifacts that were made after it."""

    catalog: Identity
    storage: Path
    sample: bool
    verdict: Verdict | None
    newer: Sequence[str]
    models: Sequence[ModelFacts]
    datasets: Sequence[DatasetFacts]


def facts_of(project: Project) -> ReportFacts:
    """Everything that the report says of a project, as its storage is now."""
    verdict = _verdict(project)
    return ReportFacts(
        identify(project.catalog),
        project.store.root,
        project.catalog.is_sample,
        verdict,
        _newer(project, verdict),
        [_model(project, name, model) for name, model in project.catalog.models.items()],
        _datasets(project),
    )


def _verdict(project: Project) -> Verdict | None:
    """The gate's last verdict on this storage, unless there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Verdict.from_json(json.loads(record_bytes(project.report)))
    return None


def _newer(project: Project, verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return []
    return [
        name
        for name, artifact in project.artifacts.items()
        # The gate looks at no other, and what is found out about rows is often made after it.
        if artifact.status == "required"
        if (receipt := _receipt(project, name)) and receipt.made_at > verdict.evaluated_at
    ]


def _receipt(project: Project, name: str) -> Receipt | None:
    try:
        return project.store.current(name)
    except StorageError:
        return None


def _of_owner(project: Project, owner: str) -> list[Artifact]:
    return [one for one in project.artifacts.values() if one.owner == owner]


def _source(project: Project, upstream: Upstream, raw: Sequence[Artifact], dataset: bool) -> Source:
    """What was fetched, where something was; what the catalog pins otherwise."""
    receipts = [receipt for one in raw if (receipt := _receipt(project, one.name))]
    revision = str(receipts[0].facts["revision"]) if receipts else upstream.revision
    repo = RepoId("dataset" if dataset else "model", upstream.repository)
    link = commit_page(project.catalog, repo, revision)
    return Source(upstream.repository, revision, upstream.licence, link)


def _model(project: Project, name: str, model: Model) -> ModelFacts:
    of_model = _of_owner(project, name)
    (artifact,) = (one for one in of_model if one.is_checkpoint)
    micro = model if isinstance(model, MicroModel) else None
    owner = micro.slice_of if micro else name
    base = project.catalog.upstream_models()[owner]
    network = layout_named(base.layout).network
    raw = [one for one in _of_owner(project, owner) if one.is_fetched]
    source = _source(project, base.upstream, raw, dataset=False)
    said = ModelFacts(
        name,
        model_folder(project.catalog.contract[0], name),
        model.status,
        network,
        micro.slice_of if micro else "",
        source,
        asset=f"/assets/{artifact.name}",
    )
    try:
        return _of_checkpoint(said, Checkpoint.load(project.store, artifact.name))
    except WmtpError as error:
        return replace(said, trouble=error)
    except OSError as error:
        return replace(said, trouble=WmtpError(str(error), where=artifact.name))


def _of_checkpoint(said: ModelFacts, checkpoint: Checkpoint) -> ModelFacts:
    header, certificate = _documents(checkpoint)
    after: Counter[str] = Counter()
    for info in header.tensors.values():
        after[str(info.dtype)] += info.end - info.begin
    cast = cast_facts(certificate)
    return replace(
        said,
        made_at=checkpoint.receipt.made_at,
        size=header.size,
        parameters=header.parameters,
        tensors=len(header.tensors),
        before=cast.before,
        after=dict(after.most_common()),
        largest=largest_tensors(checkpoint, header, certificate, read=True),
        cast_error=cast.error,
        cast_error_in=cast.error_in,
        lost=cast.lost,
        dropped=dict(Counter(entry.reason for entry in certificate.dropped).most_common()),
    )


def cast_facts(certificate: Certificate) -> CastFacts:
    """What a certificate says of the cast."""
    tensors = certificate.tensors
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for tensor in tensors:
        elements = math.prod(tensor.shape)
        before[str(tensor.source_dtype)] += elements * tensor.source_dtype.itemsize
        after[str(tensor.dtype)] += elements * tensor.dtype.itemsize
    worst = max(tensors, key=lambda tensor: tensor.max_cast_error, default=None)
    return CastFacts(
        len(tensors),
        dict(before.most_common()),
        dict(after.most_common()),
        sum(tensor.dtype is not tensor.source_dtype for tensor in tensors),
        worst.max_cast_error if worst else 0.0,
        worst.name if worst else "",
        {
            kind: sum(getattr(tensor, kind) for tensor in tensors)
            for kind in ("overflow", "zeroed", "nan", "inf")
        },
    )


def largest_tensors(
    checkpoint: Checkpoint, header: Header, certificate: Certificate, read: bool = False
) -> list[TensorFacts]:
    """The tensors with the most bytes, with the ends of their values and the errors of their casts.

    The ends are those that the receipt states; with `read`, where it states none (an earlier
    version made it), the tensors are read.
    """
    ends = stated_ends(checkpoint.receipt)
    errors = {tensor.name: tensor.max_cast_error for tensor in certificate.tensors}
    return [
        TensorFacts(
            name,
            header.tensors[name].shape,
            str(header.tensors[name].dtype),
            header.tensors[name].end - header.tensors[name].begin,
            ends.get(name) or (_range(header.path, checkpoint.digest, name) if read else None),
            errors.get(name, 0.0),
        )
        for name in largest_names(header)
    ]


def _documents(checkpoint: Checkpoint) -> tuple[Header, Certificate]:
    _require_recorded(checkpoint.certificate, checkpoint.receipt, "certificate.json")
    return read_header(checkpoint.path), certificate_of(checkpoint)


@lru_cache(maxsize=256)
def _range(path: Path, digest: str, name: str) -> tuple[float, float] | None:
    """Of a tensor in the version `digest`, which does not change: read once by a server."""
    del digest
    return value_range(read_header(path), name)


def _require_recorded(path: Path, receipt: Receipt, name: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != receipt.files[name].sha256:
        raise StorageError(
            f"{name} of {receipt.artifact} is not as its receipt says",
            expected=f"SHA-256 {receipt.files[name].sha256[:12]}",
            found=found[:12],
            where=path,
            hint=f"wmtp materialize {receipt.artifact} --force",
        )


def _datasets(project: Project) -> list[DatasetFacts]:
    found = []
    for name, dataset in project.catalog.datasets.items():
        raw = [one for one in _of_owner(project, name) if one.is_fetched]
        splits = [one for one in splits_of_rows(project) if one.artifact.owner == name]
        found.append(
            DatasetFacts(
                name,
                dataset.status,
                _source(project, dataset.upstream, raw, dataset=True),
                splits[0].format.classed,
                [_split(project, one) for one in splits if not one.artifact.is_small],
            )
        )
    return found


def _split(project: Project, split: SplitOfRows) -> SplitFacts:
    try:
        receipt = project.store.current(split.artifact.name)
        if receipt is None:
            raise StorageError(
                f"{split.artifact.name} does not exist yet",
                hint=f"wmtp materialize {split.artifact.name}",
            )
        corpus = open_corpus(project.store.root, split.dataset, split.split, split.contract)
        stats: Mapping[str, Any] = receipt.facts["stats"]
        if stats["jsonl"] != dict(corpus.facts["jsonl"]):
            raise StorageError(
                f"{split.artifact.name} is made, but something else is published",
                hint=f"wmtp materialize {split.artifact.name}",
            )
        rows = len(corpus)
        lines = sample_lines(corpus)
        quality = quality_of(project, split.artifact, receipt, corpus.row_index)
    except WmtpError as error:
        return SplitFacts(split, trouble=error)
    except OSError as error:
        return SplitFacts(split, trouble=WmtpError(str(error), where=split.artifact.name))
    return SplitFacts(
        split,
        rows,
        int(stats["jsonl"]["bytes"]),
        receipt.made_at,
        int(stats["problems_with_rows"]),
        facets_of_all(stats),
        whole_funnel(stats),
        lines,
        quality,
    )


def sample_lines(corpus: Corpus) -> list[Line]:
    """A few rows, evenly spaced: of the index the groups that hold them are read, of the JSONL
    these lines."""
    step = max(1, len(corpus) // SAMPLE_ROWS)
    return read_lines(corpus, list(range(0, len(corpus), step))[:SAMPLE_ROWS])


def whole_funnel(stats: Mapping[str, Any]) -> dict[str, int]:
    """The funnel of a whole split; of a source without problems, nothing was counted."""
    return {"candidates": 0, "kept": 0} | {
        name: int(count) for name, count in stats["funnel"].items()
    }


def dropped(funnel: Mapping[str, int]) -> dict[str, int]:
    """Rows of upstream's that were dropped, by reason; what no reason explains is named too."""
    found = {name: int(funnel[name]) for name in _DROPPED if funnel.get(name)}
    unexplained = int(funnel["candidates"]) - int(funnel["kept"]) - sum(found.values())
    return found | ({"other_reasons": unexplained} if unexplained else {})
