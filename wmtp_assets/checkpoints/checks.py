"""Proves one checkpoint: what its file holds, against the catalog, its records and its source.

Everything is read from the file itself; nothing is taken from a document beside it but what that
document is checked for. `prove_header` is quick, `prove_contents` reads the whole file once;
what the source tells is in `source_comparison.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.checkpoints.certificate import Certificate, TensorCertificate
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.layouts import Config, LayoutName, expected_shapes, optional_shapes
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.checkpoints.scan import Scan, scan_file
from wmtp_assets.checkpoints.source_comparison import AGAIN, check_source, some
from wmtp_assets.checkpoints.verification import certificate_matches
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.storage.digests import read_sha256sums


@dataclass(frozen=True)
class ExpectedCheckpoint:
    """What the catalog and the config say of a checkpoint. `max_bytes` is for micro models.

    `waived` names tensors that may hold the infinities that the cast made of finite values;
    `inherited` names tensors of a slice that may hold the infinities of a waived tensor of its
    base. `source_dtypes` is the dtype that the source states by default, and those that it states
    for tensors by name or pattern (None: not asked, as for a slice).
    """

    layout: LayoutName
    config: Config
    dtype: DType
    parameters: int
    tensors: int
    max_bytes: int | None = None
    waived: frozenset[str] = frozenset()
    inherited: frozenset[str] = frozenset()
    source_dtypes: tuple[DType, Mapping[str, DType]] | None = None


def check_checkpoint(
    folder: Path,
    expected: ExpectedCheckpoint,
    certificate: Certificate | None = None,
    plan: Plan | None = None,
    seed: int | None = None,
) -> list[Finding]:
    """All proofs of `folder`, which holds model.safetensors and SHA256SUMS.

    With `certificate` its digests are compared too; with `plan` (of the conversion or the slice
    that made it) a sample of every tensor, drawn with `seed` (None: a fresh one), is compared with
    the source.
    """
    try:
        header = read_header(folder / "model.safetensors")
    except (WmtpError, OSError) as error:
        return [readable(folder / "model.safetensors", error)]
    findings = [readable(header.path), *check_header(header, expected)]
    scan = scan_file(header)
    findings += check_contents(header, folder / "SHA256SUMS", certificate, expected, scan)
    if plan is not None:
        findings += check_source(header, plan, certificate, scan, expected.source_dtypes, seed)
    return findings


def readable(path: Path, error: Exception | None = None) -> Finding:
    """Whether the file's header describes its bytes exactly; `error` is why not."""
    return Finding(
        name="safetensors_readable",
        passed=error is None,
        expected="a header that describes every byte of the file",
        found="such a header" if error is None else str(error),
        where=str(path),
        hint="" if error is None else AGAIN,
    )


def check_header(header: Header, expected: ExpectedCheckpoint) -> list[Finding]:
    """Types, names, shapes, counts and size, from the header alone."""
    where = str(header.path)
    others = [f"{n}: {i.dtype}" for n, i in header.tensors.items() if i.dtype != expected.dtype]
    findings = [
        Finding(
            name="dtype_of_every_tensor",
            passed=not others,
            expected=str(expected.dtype),
            found=some(others) if others else str(expected.dtype),
            where=where,
            hint=AGAIN if others else "",
            details={str(dtype): count for dtype, count in header.dtypes.items()},
        ),
        _names_and_shapes(header, expected),
        Finding(
            name="tensor_count",
            passed=len(header.tensors) == expected.tensors,
            expected=expected.tensors,
            found=len(header.tensors),
            where=where,
            hint="Compare the catalog's expected.tensors with the model.",
        ),
        Finding(
            name="parameter_count",
            passed=header.parameters == expected.parameters,
            expected=expected.parameters,
            found=header.parameters,
            where=where,
            hint="Compare the catalog's expected.parameters with the model.",
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
                hint="Ask for fewer layers or a smaller width in the catalog.",
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
        found=some(wrong) if wrong else "exactly those",
        where=str(header.path),
        hint=AGAIN if wrong else "",
        details={"wrong": wrong[:100]},
    )


def check_contents(
    header: Header,
    sums: Path,
    certificate: Certificate | None,
    expected: ExpectedCheckpoint,
    scan: Scan,
) -> list[Finding]:
    """What one pass over the file (`scan`) tells: SHA256SUMS recomputed, every value finite but
    for those waived, and the certificate's digests."""
    findings = [_sums(header, sums, scan), _finite(header, scan, certificate, expected)]
    if expected.waived | expected.inherited:
        findings.append(_waived(header, scan, expected))
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
        hint="" if recorded == scan.sha256 else AGAIN,
    )


def _finite(
    header: Header, scan: Scan, certificate: Certificate | None, expected: ExpectedCheckpoint
) -> Finding:
    certified = {t.name: t for t in certificate.tensors} if certificate is not None else {}
    bad = [
        f"{name}: {stats.nan} NaN, {stats.inf} infinite"
        for name, stats in scan.nonfinite.items()
        if stats.nan or stats.inf > _allowed(name, stats.inf, certified, expected)
    ]
    waived = expected.waived | expected.inherited
    asked = "no NaN and no infinity" + (f" but in {some(sorted(waived))}" if waived else "")
    return Finding(
        name="finite_values",
        passed=not bad,
        expected=asked,
        found=some(bad) if bad else asked,
        where=str(header.path),
        hint="Look at the same tensors at the source (the certificate counts them)." if bad else "",
    )


def _allowed(
    name: str,
    found: int,
    certified: Mapping[str, TensorCertificate],
    expected: ExpectedCheckpoint,
) -> int:
    """How many infinities a tensor may hold: of a waived one, those that the cast made."""
    if name in expected.inherited:
        return found
    if name not in expected.waived:
        return 0
    return certified[name].overflow if name in certified else found


def _waived(header: Header, scan: Scan, expected: ExpectedCheckpoint) -> Finding:
    """The warning that names what waive_overflow let through."""
    infinite = {
        name: stats.inf
        for name, stats in scan.nonfinite.items()
        if stats.inf and name in expected.waived | expected.inherited
    }
    found = some([f"{name}: {count:,} infinite" for name, count in infinite.items()])
    return Finding(
        name="overflow_waived",
        passed=not infinite,
        expected="no infinity, though the catalog waives them (waive_overflow)",
        found=f"{found}; logits, scores and gradients need not be finite"
        if infinite
        else "no infinity",
        where=str(header.path),
        blocking=False,
        hint="Nothing, if it is meant; else a wider dtype in the catalog." if infinite else "",
        details={"infinite": infinite},
    )
