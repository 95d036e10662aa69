"""A checkpoint against its source: values drawn at random, and what its certificate says.

Headers are read on both sides, a sample of every tensor (`sampling.py`), and of a tensor that is
all zeros its source. Nothing is written. The checks that call this are in `checks.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from wmtp_assets.checkpoints.casts import has_values
from wmtp_assets.checkpoints.certificate import Certificate, TensorCertificate
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, unlike_stated
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.sampling import Comparison, is_whole
from wmtp_assets.checkpoints.scan import Scan
from wmtp_assets.checkpoints.tensors import SourceTensor, read_blocks
from wmtp_assets.findings import Outcome

AGAIN = "Materialize the checkpoint again."


def samples_equal(header: Header, plan: Plan, compared: Comparison) -> Outcome:
    """Whether the values that were compared are equal bit for bit."""
    wrong = compared.different
    sampled = not all(map(is_whole, plan.tensors))
    drawn = f" (drawn with seed {compared.seed})" if sampled else ""
    said = (
        f"{compared.tensors} tensors, {len(compared.whole)} of them whole, {compared.values:,} "
        "values in all"
    )
    return Outcome(
        passed=not wrong,
        expected=f"the source's values in every tensor, after the cast to {plan.dtype}",
        found=f"different: {some(wrong)}{drawn}" if wrong else said,
        where=str(header.path),
        hint=AGAIN if wrong else "",
        details={"different": wrong[:100], "seed": compared.seed},
    )


def values_survive(
    header: Header, plan: Plan, scan: Scan, certificate: Certificate | None
) -> Outcome:
    """Whether every tensor that has values at the source still has some."""
    emptied = [
        tensor.spec.name
        for tensor in plan.tensors
        if tensor.spec.name in scan.all_zero and _has_values(tensor.source)
    ]
    tensors = certificate.tensors if certificate is not None else ()
    zeroed = {tensor.name: tensor.zeroed for tensor in tensors if tensor.zeroed}
    return Outcome(
        passed=not emptied,
        expected="no tensor all zeros that has other values at the source",
        found=f"all zeros: {some(emptied)}"
        if emptied
        else f"{sum(zeroed.values()):,} values became zero, in {len(zeroed)} tensors with others",
        where=str(header.path),
        hint="Keep a wider dtype in the catalog, and materialize again." if emptied else "",
        details={"became_zero": dict(sorted(zeroed.items(), key=lambda item: -item[1])[:100])},
    )


def _has_values(tensor: SourceTensor) -> bool:
    return tensor.dtype.is_float and any(
        has_values(block, tensor.dtype) for block in read_blocks(tensor)
    )


def describes_source(
    header: Header, plan: Plan, certificate: Certificate, compared: Comparison
) -> Outcome:
    """Whether the certificate says of the source what the source is; of tensors that were compared
    whole also the digest there and what the cast did to their values."""
    wrong = [
        f"{what} is {stated}, not {found}"
        for what, stated, found in _stated(plan, certificate, header)
        if stated != found
    ]
    certified = {tensor.name: tensor for tensor in certificate.tensors}
    for tensor in plan.tensors:
        if stated := certified.get(tensor.spec.name):
            wrong += _unlike_certified(tensor, stated, compared)
        else:
            wrong.append(f"{tensor.spec.name} is not certified")
    return Outcome(
        passed=not wrong,
        expected="names, files, dtypes, sizes and reasons as the source and the catalog give them",
        found=some(wrong) if wrong else "exactly those",
        where=str(header.path.with_name("certificate.json")),
        hint=AGAIN if wrong else "",
        details={"wrong": wrong[:100]},
    )


def _stated(
    plan: Plan, certificate: Certificate, header: Header
) -> list[tuple[str, object, object]]:
    """What the certificate says of the whole conversion, beside what the plan says."""
    files = {tensor.source.file for tensor in plan.tensors}
    dropped, left_out = set(certificate.dropped), set(plan.dropped)
    return [
        ("layout", certificate.layout, plan.layout),
        ("dtype", str(certificate.dtype), str(plan.dtype)),
        ("target_file", certificate.target_file, header.path.name),
        ("target_size", certificate.target_size, plan.target_size),
        ("parameters", certificate.parameters, plan.parameters),
        ("warnings", certificate.warnings, plan.warnings),
        (
            "source_files",
            dict(certificate.source_files),
            {path.name: path.stat().st_size for path in files},
        ),
        (
            "dropped",
            sorted(str(entry) for entry in dropped - left_out),
            sorted(str(entry) for entry in left_out - dropped),
        ),
    ]


def _unlike_certified(
    tensor: PlannedTensor, stated: TensorCertificate, compared: Comparison
) -> list[str]:
    """What a tensor's certificate says otherwise than its plan, and its values."""
    source, spec = tensor.source, tensor.spec
    found: dict[str, object] = {
        "dtype": spec.dtype,
        "shape": spec.shape,
        "source_name": source.name,
        "source_file": source.file.name,
        "source_dtype": source.dtype,
    }
    if whole := compared.whole.get(spec.name):
        stats = whole.stats
        found |= {
            "source_digest": whole.source_digest,
            "nan": stats.nan,
            "inf": stats.inf,
            "overflow": stats.overflow,
            "zeroed": stats.zeroed,
            "max_cast_error": stats.error,
        }
    elif source.dtype is spec.dtype:
        found["source_digest"] = stated.digest
    return [
        f"{field} of {spec.name} is {getattr(stated, field)}, not {value}"
        for field, value in found.items()
        if getattr(stated, field) != value
    ]


def source_dtypes_stated(plan: Plan, dtype: DType, others: Mapping[str, DType]) -> Outcome:
    """Whether the source has the dtype that is stated, but for the `others` by name or pattern."""
    wrong = unlike_stated([tensor.source for tensor in plan.tensors], dtype, others)
    where: Collection[Path] = {tensor.source.file for tensor in plan.tensors}
    return Outcome(
        passed=not wrong,
        expected=f"{dtype}" + "".join(f", {name}: {other}" for name, other in others.items()),
        found=some(wrong) if wrong else "every converted tensor is so",
        where=", ".join(sorted(map(str, where))),
        hint="Correct source_dtype (or source_dtype_of) in the catalog, and materialize again."
        if wrong
        else "",
        details={"wrong": wrong[:100]},
    )


def some(items: list[str]) -> str:
    """The first ten of many items, and how many more there are."""
    more = f"; and {len(items) - 10} more" if len(items) > 10 else ""
    return "; ".join(items[:10]) + more
