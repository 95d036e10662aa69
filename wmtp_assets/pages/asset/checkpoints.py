"""The pages of checkpoints and of what describes their tensors: the cast, the largest, shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.types import Checkpoint, Document
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.pages.asset.values import (
    SHOWN_FIELDS,
    WORD_BESIDE,
    Cell,
    Facts,
    Picture,
    Table,
    narrow,
    numbers,
)
from wmtp_assets.pages.facts import CastFacts, TensorFacts, cast_facts, largest_tensors
from wmtp_assets.pages.small_picture import strips
from wmtp_assets.pages.text import size
from wmtp_assets.storage.receipts import Receipt

_SHOWN_SHAPES: Final = 10


def of_checkpoint(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A checkpoint: what the cast did, the largest tensors, shapes, and what was left out."""
    checkpoint = Checkpoint(folder, receipt)
    header = read_header(checkpoint.path)
    certificate = Certificate.from_json(checkpoint.read("certificate.json"))
    return {
        **_of_cast(cast_facts(certificate)),
        "largest": Table(
            [_tensor(one) for one in largest_tensors(checkpoint, header, certificate)]
        ),
        "shapes": Table(_shapes(header)),
        **_left_out(certificate),
        "parameters": header.parameters,
        "tensors": len(header.tensors),
        "cast_error": float(f"{cast_facts(certificate).error:.3g}"),
        "warnings": len(certificate.warnings),
        **_warned(certificate),
    }


def of_certificate(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A published certificate: what the cast did, and what was left out."""
    certificate = Certificate.from_json(Document(folder, receipt).read("certificate.json"))
    facts = cast_facts(certificate)
    return {
        **_of_cast(facts),
        **_left_out(certificate),
        "parameters": certificate.parameters,
        "tensors": facts.tensors,
        "cast_error": float(f"{facts.error:.3g}"),
        "warnings": len(certificate.warnings),
    }


def of_shards(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A sharded view: how many shards, and how large."""
    sizes = [one.size for name, one in receipt.files.items() if name.endswith(".safetensors")]
    limit = int(str(artifact.settings["shard_bytes"]))
    said = f"{len(sizes):,} of at most {size(limit)}, the largest {size(max(sizes, default=0))}"
    return {"sizes": said, **numbers(receipt, "shards")}


def cast_words(facts: CastFacts) -> str:
    """What the cast did to values: how many tensors it changed, the greatest error and where, and
    what became infinite or zero; what did not happen is said as well."""
    if not facts.cast:
        kept = f"no tensor was cast: all {facts.tensors:,} hold their source's values"
    elif facts.error:
        kept = (
            f"{facts.cast:,} of {facts.tensors:,} tensors were cast; the greatest error is "
            f"{facts.error:.3g}, in {facts.error_in}"
        )
    else:
        kept = f"{facts.cast:,} of {facts.tensors:,} tensors were cast, without any error"
    lost = facts.lost
    return (
        f"{kept}. {lost['overflow']:,} values became infinite, {lost['zeroed']:,} became zero; "
        f"{lost['nan']:,} NaN and {lost['inf']:,} infinite values at the source"
    )


def shape_text(shape: Sequence[int]) -> str:
    """E.g. "4,096 x 11,008"; "scalar" where there are no axes."""
    return " x ".join(f"{axis:,}" for axis in shape) or "scalar"


def _warned(certificate: Certificate) -> Facts:
    if not certificate.warnings:
        return {}
    return {"warned of": narrow("; ".join(certificate.warnings), 400)}


def _of_cast(facts: CastFacts) -> Facts:
    """What the conversion did to the values, as a picture and in words."""

    def by_dtype(sizes: Mapping[str, int]) -> str:
        if len(sizes) == 1:
            return next(iter(sizes))  # its size is in the picture
        return ", ".join(f"{dtype} {size(count)}" for dtype, count in sizes.items())

    legend = f"before: {by_dtype(facts.before)}; after: {by_dtype(facts.after)}"
    drawn = strips(
        "Bytes of tensors before and after the conversion",
        {"before": list(facts.before.values()), "after": list(facts.after.values())},
        legend,
    )
    return {
        "dtypes": Picture(drawn) if drawn else legend,
        "cast": narrow(cast_words(facts), 400),
    }


def _tensor(one: TensorFacts) -> Mapping[str, Cell]:
    """A tensor in one cell: names are as wide as the table."""
    said = [f"{shape_text(one.shape)} {one.dtype}", size(one.size)]
    if one.values is not None:
        said.append("values from {:.4g} to {:.4g}".format(*one.values))
    said.append(f"cast error {one.cast_error:.3g}")
    return {"tensor": f"{narrow(one.name, 120)}: {', '.join(said)}"}


def _shapes(header: Header) -> list[Mapping[str, Cell]]:
    """How many tensors have which shape, those with the most parameters first."""
    times: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    several = len(header.dtypes) > 1
    for info in header.tensors.values():
        shape = shape_text(info.shape) + (f" {info.dtype}" if several else "")
        times[shape] += 1
        parameters[shape] += info.elements
    most = parameters.most_common()
    rows: list[Mapping[str, Cell]] = [
        {"shape": shape, "tensors": times[shape], "parameters": f"{count:,}"}
        for shape, count in most[:_SHOWN_SHAPES]
    ]
    if rest := most[_SHOWN_SHAPES:]:
        rows.append(
            {
                "shape": f"{len(rest):,} others",
                "tensors": sum(times[shape] for shape, _ in rest),
                "parameters": f"{sum(count for _, count in rest):,}",
            }
        )
    return rows


def _left_out(certificate: Certificate) -> Facts:
    """What of the source is not in the checkpoint, by the reason."""
    reasons = Counter(entry.reason for entry in certificate.dropped)
    if not reasons:
        return {"left out": "nothing: every tensor of the source is here"}
    rows: list[Mapping[str, Cell]] = [
        {"tensors": times, "why": narrow(reason, 240, WORD_BESIDE)}
        for reason, times in reasons.most_common(SHOWN_FIELDS)
    ]
    return {"left out": Table(rows)}
