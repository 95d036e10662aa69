"""Whether the next phase may start: recomputed from the files on disk, against the catalog.

No status in Dagster's database is read: forging, wiping or deleting it changes no answer.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published
from wmtp_assets.artifacts.recipes import code_versions
from wmtp_assets.artifacts.verification import verify_all, verify_all_of_run
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.identity import Identity, identify
from wmtp_assets.findings import CheckResult, Finding
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.storage.disk import make_folders
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.receipts import record_bytes


@dataclass(frozen=True)
class Condition:
    """One condition of the gate; one that is not `required` only warns.

    `reasons` are the failed checks for which it is not met.
    """

    name: str
    description: str
    required: bool
    reasons: tuple[CheckResult, ...] = ()

    @property
    def met(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons


@dataclass(frozen=True)
class Verdict:
    """The gate's answer, with every condition it looked at.

    `catalog` is the catalog by which it was reached, `code` the version of this package and of what
    it makes of each kind of artifact.
    """

    catalog: Identity
    conditions: tuple[Condition, ...]
    checks: int
    code: Mapping[str, str] = field(default_factory=code_versions)
    run_id: str | None = None
    evaluated_at: str = field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds")
    )

    @property
    def open(self) -> bool:
        """Whether every required condition is met."""
        return all(condition.met for condition in self.conditions if condition.required)

    def to_json(self) -> dict[str, object]:
        """The report."""
        return {
            "open": self.open,
            "catalog": self.catalog.name,
            "catalog_digest": self.catalog.digest,
            "catalog_shipped": self.catalog.shipped,
            "shipped_catalog_digest": self.catalog.shipped_digest,
            "code": dict(self.code),
            "evaluated_at": self.evaluated_at,
            "checks": self.checks,
            "run_id": self.run_id,
            "conditions": [
                {
                    "name": condition.name,
                    "description": condition.description,
                    "required": condition.required,
                    "reasons": [_to_json(reason) for reason in condition.reasons],
                    "met": condition.met,
                }
                for condition in self.conditions
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """A report, read back."""
        conditions = [
            Condition(
                condition["name"],
                condition["description"],
                condition["required"],
                tuple(_from_json(r, condition["required"]) for r in condition["reasons"]),
            )
            for condition in value["conditions"]
        ]
        return cls(
            Identity(value["catalog"], value["catalog_digest"], value["shipped_catalog_digest"]),
            tuple(conditions),
            value["checks"],
            value["code"],
            value["run_id"],
            value["evaluated_at"],
        )


# The report's names for what a failed check says; its readers rely on them.
_NAMES = {
    "artifact": "artifact",
    "question": "check",
    "expected": "expected",
    "found": "found",
    "file": "where",
    "hint": "hint",
}


def _to_json(reason: CheckResult) -> dict[str, str]:
    return {name: getattr(reason, field) for name, field in _NAMES.items()}


def _from_json(value: Mapping[str, str], blocking: bool) -> CheckResult:
    fields = {field: value[name] for name, field in _NAMES.items()}
    return CheckResult(**fields, passed=False, blocking=blocking)


def verdict_of_run(project: Project, run_id: str) -> Verdict:
    """The verdict that this very run has reached already, else a new one; the report holds it.

    A run asks more than once (the asset, its check, the command line). What its checks found is
    taken over only where it was found in this process and nothing has changed since (see
    `verification.py`). A report of another run is never taken for an answer.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        verdict = Verdict.from_json(json.loads(record_bytes(project.report)))
        if verdict.run_id == run_id:
            return verdict
    verdict = replace(evaluate(project, run_id), run_id=run_id)
    write_report(project, verdict)
    return verdict


def evaluate(project: Project, run_id: str | None = None) -> Verdict:
    """Verifies every required artifact and draws the conclusion.

    Without `run_id` every file is read whole; with it, only what was not verified in that run, in
    this process, since it was last changed.
    """
    required = [a for a in project.artifacts.values() if a.status == "required"]
    if run_id is None:
        findings = verify_all(project, required)
    else:
        findings = verify_all_of_run(project, required, run_id)
    return judge(project, findings, published(project))


def judge(
    project: Project, findings: dict[str, list[Finding]], links: Iterable[Finding]
) -> Verdict:
    """The verdict that follows from the findings on the required artifacts and on the links."""
    links = list(links)
    required = [a for a in project.artifacts.values() if a.status == "required"]
    identity = identify(project.catalog)

    def condition(
        name: str,
        description: str,
        artifacts: Iterable[Artifact],
        about: Iterable[str] | None = None,
        is_required: bool = True,
    ) -> Condition:
        names = None if about is None else frozenset(about)
        reasons: dict[tuple[str, str], CheckResult] = {}
        for artifact in artifacts:
            for finding in findings[artifact.name]:
                counts = names is None or finding.name in names
                if counts and not finding.passed and finding.blocking is is_required:
                    # Of checks that failed for one reason ("does not exist yet") the first is
                    # enough.
                    reason = CheckResult.of(artifact.name, finding)
                    if not reason.hint:
                        again = f"wmtp materialize {artifact.name} --force"
                        reason = replace(reason, hint=again)
                    reasons.setdefault((artifact.name, reason.found), reason)
        return Condition(name, description, is_required, tuple(reasons.values()))

    conditions = [
        condition(
            f"{owner}_ready",
            f"every file of {owner} exists and passes its blocking checks",
            [a for a in required if a.owner == owner],
        )
        for owner in dict.fromkeys(a.owner for a in required)
    ]
    conditions += [
        condition(
            "metadata_files",
            "entry i of every metadata file describes line i of its JSONL",
            [a for a in required if a.is_row_metadata],
        ),
        condition(
            "sha256_verified",
            "every file has the SHA-256 that its receipt, and SHA256SUMS, say",
            required,
            about=("files_unchanged", "fetched_files", "sha256sums_recomputed"),
        ),
        condition(
            "dtype_kept",
            "every tensor has the dtype that the catalog states",
            [a for a in required if a.is_checkpoint],
            about=("dtype_of_every_tensor",),
        ),
        Condition(
            "published",
            "the contract's paths lead to what was verified",
            required=True,
            reasons=_reasons(finding for finding in links if finding.blocking),
        ),
        _catalog_shipped(identity),
    ]
    recommended = condition(
        "recommended",
        "warnings that do not close the gate",
        required,
        is_required=False,
    )
    beside = _reasons(finding for finding in links if not finding.blocking)
    conditions.append(replace(recommended, reasons=recommended.reasons + beside))
    return Verdict(identity, tuple(conditions), sum(len(found) for found in findings.values()))


def _catalog_shipped(identity: Identity) -> Condition:
    """A catalog of one's own is no fault, but whoever reads the verdict must know it."""
    expected = "a catalog that this package ships, unchanged"
    reason = CheckResult(
        "the catalog",
        "catalog_shipped",
        passed=identity.shipped,
        expected=f"digest {identity.shipped_digest}" if identity.shipped_digest else expected,
        found=str(identity),
        where=identity.name,
        hint="nothing needs to be done if this catalog is your own; else set WMTP_CATALOG to one "
        "that is shipped (full or sample).",
        blocking=False,
    )
    reasons = () if identity.shipped else (reason,)
    return Condition("catalog_shipped", expected, required=False, reasons=reasons)


def _reasons(links: Iterable[Finding]) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult.of(str(finding.details["set"]), finding)
        for finding in links
        if not finding.passed
    )


def write_report(project: Project, verdict: Verdict) -> None:
    """Puts the verdict in the gate's report, in one step. Raises StorageError."""
    with storage_errors("Writing the gate's report", project.report):
        make_folders(project.report.parent)  # a first run may have failed before it made any file
        write_json(project.store.writable(project.report), verdict.to_json())
