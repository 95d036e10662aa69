"""Recomputes a certificate: the digests of the target, and the whole cast from the source.

Each check gives one `Finding`; what differs is named tensor by tensor in `found`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wmtp_assets.checkpoints.certificate import Certificate, DroppedCertificate, TensorCertificate
from wmtp_assets.checkpoints.convert import convert_to_nowhere
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.checkpoints.scan import Scan, scan_file
from wmtp_assets.findings import Finding

_CONVERT_AGAIN = "Materialize the checkpoint again; if it recurs, check the disk."


def verify_certificate(
    certificate: Certificate, target: Path, against: Plan | None = None
) -> list[Finding]:
    """Compare `target` with its certificate; with `against`, convert the source again in memory.

    `against` is the plan that made the target, from the same source. Both read everything once.
    A source that can no longer be converted at all is a failed finding, not an error.
    """
    try:
        header = read_header(target)
    except (CheckpointError, OSError) as error:
        return [_finding("certificate_matches_target", [str(error)], target, "")]
    findings = [certificate_matches(certificate, header, scan_file(header))]
    if against is not None:
        findings.append(_against_source(certificate, against))
    return findings


def certificate_matches(certificate: Certificate, header: Header, scan: Scan) -> Finding:
    """Whether every tensor of the scanned file is, in name, type, shape and bytes, as certified."""
    certified = {tensor.name: tensor for tensor in certificate.tensors}
    algorithm = certificate.digest_algorithm
    wrong: list[str] = []
    for name in certified.keys() | header.tensors.keys():
        tensor, info = certified.get(name), header.tensors.get(name)
        if tensor is None or info is None:
            wrong.append(f"{name}: {'not certified' if tensor is None else 'missing'}")
        elif (info.dtype, info.shape) != (tensor.dtype, tensor.shape):
            wrong.append(f"{name}: {info.dtype} {list(info.shape)}")
        elif scan.tensors[name] != tensor.digest:
            wrong.append(f"{name}: {algorithm} {scan.tensors[name][:12]}, not {tensor.digest[:12]}")
    if not wrong and scan.sha256 != certificate.target_sha256:
        wrong.append(f"the file: sha256 {scan.sha256[:12]}, not {certificate.target_sha256[:12]}")
    finding = _finding("certificate_matches_target", wrong, header.path, _CONVERT_AGAIN)
    if certificate.warnings:
        details = {**finding.details, "warnings": list(certificate.warnings)}
        finding = replace(finding, details=details)
    return finding


def _against_source(certificate: Certificate, plan: Plan) -> Finding:
    where = plan.tensors[0].source.file if plan.tensors else Path()
    hint = "Fetch the source again (`wmtp verify` names the file), then convert it again."
    try:
        again = convert_to_nowhere(plan, certificate.target_file)
    except CheckpointError as error:
        return _finding("certificate_matches_source", [str(error)], where, hint)
    wrong: list[str] = []
    made = {tensor.name: tensor for tensor in again.tensors}
    certified = {tensor.name: tensor for tensor in certificate.tensors}
    for name in sorted(made.keys() | certified.keys()):
        if name not in made or name not in certified:
            wrong.append(f"{name}: {'not certified' if name in made else 'not at the source'}")
        elif difference := _difference(certified[name], made[name]):
            wrong.append(f"{name}: {difference}")
    if not wrong and again.target_sha256 != certificate.target_sha256:
        wrong.append(
            f"the file: sha256 {again.target_sha256[:12]}, not {certificate.target_sha256[:12]}"
        )
    if set(again.dropped) != set(certificate.dropped):
        wrong += [
            f"{entry.name}: dropped differently"
            for entry in sorted(set(again.dropped) ^ set(certificate.dropped), key=_name)
        ]
    return _finding("certificate_matches_source", wrong, where, hint)


def _name(entry: DroppedCertificate) -> str:
    return entry.name


def _difference(certified: TensorCertificate, made: TensorCertificate) -> str:
    """What differs first between two certificates of one tensor, or nothing."""
    if certified.source_digest != made.source_digest:
        return f"its bytes at the source ({certified.source_name}) are no longer those certified"
    if certified.digest != made.digest:
        return "the cast of its source gives other bytes"
    for field in ("source_name", "source_file", "source_dtype", "dtype", "shape"):
        if getattr(certified, field) != getattr(made, field):
            return f"{field} is {getattr(made, field)}, not {getattr(certified, field)}"
    for field in ("nan", "inf", "overflow", "zeroed", "max_cast_error"):
        if getattr(certified, field) != getattr(made, field):
            return f"{field} is {getattr(made, field)}, not {getattr(certified, field)}"
    return ""


def _finding(name: str, wrong: list[str], where: Path, hint: str) -> Finding:
    shown = sorted(wrong)
    return Finding(
        name=name,
        passed=not wrong,
        expected="every tensor as certified",
        found="every tensor as certified"
        if not wrong
        else "; ".join(shown[:10]) + (f"; and {len(shown) - 10} more" if len(shown) > 10 else ""),
        where=str(where),
        hint=hint if wrong else "",
        details={"differing": shown[:100]},
    )
