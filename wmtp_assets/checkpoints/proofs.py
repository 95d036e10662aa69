"""Proves one checkpoint: what its file holds, against the catalog, its records and its source.

Everything is read from the file itself; nothing is taken from a document beside it but what that
document is checked for. `prove_header` is quick, `prove_contents` reads the whole file once,
`prove_samples` reads a few values of each tensor on both sides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wmtp_assets.checkpoints.casts import make_cast
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.layouts import Config, LayoutName, expected_shapes, optional_shapes
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.checkpoints.scan import Scan, scan_file
from wmtp_assets.checkpoints.tensors import Bytes, SourceTensor, pieces, read_exactly, read_piece
from wmtp_assets.checkpoints.verification import certificate_matches
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.storage.digests import read_sha256sums

_AGAIN = "Materialize the checkpoint again."
_SAMPLE = 1024  # elements, at the beginning, the middle and the end of each tensor


@dataclass(frozen=True)
class ExpectedCheckpoint:
    """What the catalog and the config say of a checkpoint. `max_bytes` is for micro models."""

    layout: LayoutName
    config: Config
    dtype: DType
    parameters: int
    tensors: int
    max_bytes: int | None = None


def prove_checkpoint(
    folder: Path,
    expected: ExpectedCheckpoint,
    certificate: Certificate | None = None,
    plan: Plan | None = None,
) -> list[Finding]:
    """All proofs of `folder`, which holds model.safetensors and SHA256SUMS.

    With `certificate` its digests are compared too; with `plan` (of the conversion or the slice
    that made it) a sample of every tensor is compared with the source.
    """
    try:
        header = read_header(folder / "model.safetensors")
    except (WmtpError, OSError) as error:
        return [readable(folder / "model.safetensors", error)]
    findings = [readable(header.path), *prove_header(header, expected)]
    findings += prove_contents(header, folder / "SHA256SUMS", certificate)
    if plan is not None:
        findings.append(prove_samples(header, plan))
    return findings


def readable(path: Path, error: Exception | None = None) -> Finding:
    """Whether the file's header describes its bytes exactly; `error` is why not."""
    return Finding(
        name="safetensors_readable",
        passed=error is None,
        expected="a header that describes every byte of the file",
        found="such a header" if error is None else str(error),
        where=str(path),
        mend="" if error is None else _AGAIN,
    )


def prove_header(header: Header, expected: ExpectedCheckpoint) -> list[Finding]:
    """Types, names, shapes, counts and size, from the header alone."""
    where = str(header.path)
    others = [f"{n}: {i.dtype}" for n, i in header.tensors.items() if i.dtype != expected.dtype]
    findings = [
        Finding(
            name="dtype_of_every_tensor",
            passed=not others,
            expected=str(expected.dtype),
            found=_some(others) if others else str(expected.dtype),
            where=where,
            mend=_AGAIN if others else "",
            details={str(dtype): count for dtype, count in header.dtypes.items()},
        ),
        _names_and_shapes(header, expected),
        Finding(
            name="tensor_count",
            passed=len(header.tensors) == expected.tensors,
            expected=expected.tensors,
            found=len(header.tensors),
            where=where,
            mend="Compare the catalog's expected.tensors with the model.",
        ),
        Finding(
            name="parameter_count",
            passed=header.parameters == expected.parameters,
            expected=expected.parameters,
            found=header.parameters,
            where=where,
            mend="Compare the catalog's expected.parameters with the model.",
        ),
    ]
    if expected.max_bytes is not None:
        findings.append(
            Finding(
                name="file_size_within_limit",
                passed=header.size <= expected.max_bytes,
                expected=f"at most {expected.max_bytes:,} bytes",
                found=f"{header.size:,} bytes",
                where=where,
                mend="Ask for fewer layers or a smaller width in the catalog.",
            )
        )
    return findings


def _names_and_shapes(header: Header, expected: ExpectedCheckpoint) -> Finding:
    found = {name: info.shape for name, info in header.tensors.items()}
    wrong: list[str] = []
    demanded = f"the tensors that the layout {expected.layout} and the config demand"
    try:
        wanted = expected_shapes(expected.layout, expected.config)
        demanded = f"the {len(wanted)} tensors that {expected.layout} and the config demand"
        optional = optional_shapes(expected.layout)
        wanted |= {name: optional[name] for name in optional.keys() & found.keys()}
        for name in sorted(wanted.keys() | found.keys()):
            if name not in found:
                wrong.append(f"{name} is missing")
            elif name not in wanted:
                wrong.append(f"{name} is too many")
            elif wanted[name] != found[name]:
                wrong.append(f"{name} is {list(found[name])}, not {list(wanted[name])}")
    except CheckpointError as error:
        wrong.append(str(error))
    return Finding(
        name="names_and_shapes",
        passed=not wrong,
        expected=demanded,
        found=_some(wrong) if wrong else "exactly those",
        where=str(header.path),
        mend=_AGAIN if wrong else "",
        details={"wrong": wrong[:100]},
    )


def prove_contents(
    header: Header, sums: Path, certificate: Certificate | None = None
) -> list[Finding]:
    """SHA256SUMS recomputed, every value finite, and the certificate's digests: one pass."""
    scan = scan_file(header)
    findings = [_sums(header, sums, scan), _finite(header, scan)]
    if certificate is not None:
        findings.append(certificate_matches(certificate, header, scan))
    return findings


def _sums(header: Header, sums: Path, scan: Scan) -> Finding:
    try:
        recorded = read_sha256sums(sums).get(header.path.name, "no line for it")
    except (WmtpError, OSError) as error:
        recorded = f"unreadable: {error}"
    return Finding(
        name="sha256sums_recomputed",
        passed=recorded == scan.sha256,
        expected=recorded,
        found=scan.sha256,
        where=f"{sums} for {header.path.name}",
        mend="" if recorded == scan.sha256 else _AGAIN,
    )


def _finite(header: Header, scan: Scan) -> Finding:
    bad = [f"{n}: {s.nan} NaN, {s.inf} infinite" for n, s in scan.nonfinite.items()]
    return Finding(
        name="finite_values",
        passed=not bad,
        expected="no NaN and no infinity",
        found=_some(bad) if bad else "no NaN and no infinity",
        where=str(header.path),
        mend="Look at the same tensors at the source (the certificate counts them)." if bad else "",
    )


def prove_samples(header: Header, plan: Plan) -> Finding:
    """Some values of every tensor, cast again from the source of `plan`, bit for bit."""
    wrong: list[str] = []
    for tensor in plan.tensors:
        try:
            if not _sample_is_equal(header, tensor):
                wrong.append(tensor.spec.name)
        except (WmtpError, OSError, EOFError) as error:
            wrong.append(f"{tensor.spec.name} ({error})")
    compared = f"{len(plan.tensors)} tensors, up to {3 * _SAMPLE:,} values of each"
    return Finding(
        name="sampled_values_equal_source",
        passed=not wrong,
        expected=f"{compared}, equal after the cast to {plan.dtype}",
        found=f"different: {_some(wrong)}" if wrong else compared,
        where=str(header.path),
        mend=_AGAIN if wrong else "",
        details={"different": wrong[:100]},
    )


def _sample_is_equal(header: Header, tensor: PlannedTensor) -> bool:
    name = tensor.spec.name
    if name not in header.tensors:
        return False
    target = header.source_tensor(name)
    if (target.shape, target.dtype) != (tensor.spec.shape, tensor.spec.dtype):
        return False
    cast = make_cast(tensor.source.dtype, tensor.spec.dtype)
    count = min(_SAMPLE, target.elements)
    for start in sorted({0, (target.elements - count) // 2, target.elements - count}):
        before = _elements(tensor.source, start, count)
        after = np.empty(count * target.dtype.itemsize, np.uint8)
        cast(before, after)
        if not np.array_equal(after, _elements(target, start, count)):
            return False
    return True


def _elements(tensor: SourceTensor, start: int, count: int) -> Bytes:
    """`count` elements of `tensor` from the `start`-th on, in row-major order."""
    itemsize = tensor.dtype.itemsize
    found = np.empty(count * itemsize, np.uint8)
    fd = os.open(tensor.file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if tensor.contiguous:
            read_exactly(fd, tensor.offset + start * itemsize, found)
            return found
        at = 0
        limit = _SAMPLE * itemsize
        for piece in pieces(tensor, limit):
            first, last = at, at + piece.nbytes
            at = last
            wanted_from, wanted_to = start * itemsize, (start + count) * itemsize
            if last <= wanted_from or first >= wanted_to:
                continue
            block = np.empty(piece.nbytes, np.uint8)
            read_piece(fd, piece, tensor.dtype, block)
            low, high = max(first, wanted_from), min(last, wanted_to)
            found[low - wanted_from : high - wanted_from] = block[low - first : high - first]
        return found
    finally:
        os.close(fd)


def _some(items: list[str]) -> str:
    more = f"; and {len(items) - 10} more" if len(items) > 10 else ""
    return "; ".join(items[:10]) + more
