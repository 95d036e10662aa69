"""Whether the next phase may start: recomputed from the files on disk, against the catalog.

No status in Dagster's database is read: forging, wiping or deleting it changes no answer.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of, published
from wmtp_assets.artifacts.recipes import code_versions
from wmtp_assets.artifacts.verification import verify_all, verify_all_of_run
from wmtp_assets.catalog import MicroModel
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.identity import Identity, identify
from wmtp_assets.findings import CheckResult, Finding
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.storage.disk import make_folders
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.receipts import record_bytes

# The conditions of the first phase's contract, by their names here: five that it requires and three
# that it recommends. The gate requires more.
FIRST_PHASE = frozenset(
    {
        "meta-llama-mtp_ready",
        "codecontests_ready",
        "metadata_files",
        "sha256_verified",
        "dtype_kept",
        "safetensors_round_trip",
        "tokenizer_shared",
        "metadata_structure",
    }
)


@dataclass(frozen=True)
class Condition:
    """One condition of the gate; one that is not `required` only warns.

    `title` is its name as people write it. `reasons` are the failed checks for which it is not met.
    `computed_from` names the checks that it was computed from, `results` counts what they found:
    one for each check of each artifact.
    """

    name: str
    title: str
    description: str
    required: bool
    reasons: tuple[CheckResult, ...] = ()
    computed_from: tuple[str, ...] = ()
    results: int = 0

    @property
    def met(self) -> bool:
        """Whether nothing stands against it."""
        return not self.reasons

    @property
    def of_first_phase(self) -> bool:
        """Whether the first phase's contract names it."""
        return self.name in FIRST_PHASE


# By whether they are required: of the first phase, and beyond it.
_HEADINGS = {
    True: ("first phase, required", "also required"),
    False: ("first phase, recommended", "also recommended"),
}


def met_of(conditions: Collection[Condition]) -> str:
    """How many of these are met, as "5 of 5"."""
    return f"{sum(one.met for one in conditions)} of {len(conditions)}"


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

    @property
    def required(self) -> tuple[Condition, ...]:
        """The conditions that open the gate together."""
        return tuple(condition for condition in self.conditions if condition.required)

    @property
    def score(self) -> str:
        """How many of the required conditions are met, as "11 of 11"."""
        return met_of(self.required)

    def groups(self) -> dict[str, list[Condition]]:
        """The conditions as they are shown, by heading: required ones before recommended ones, of
        each those of the first phase first."""
        found: dict[str, list[Condition]] = {
            heading: [] for pair in _HEADINGS.values() for heading in pair
        }
        for one in self.conditions:
            found[_HEADINGS[one.required][0 if one.of_first_phase else 1]].append(one)
        return {heading: conditions for heading, conditions in found.items() if conditions}

    def to_json(self) -> dict[str, object]:
        """The report."""
        return {
            "open": self.open,
            "catalog": self.catalog.name,
            "catalog_digest": self.catalog.digest,
            "catalog_shipped": self.catalog.shipped,
            "sample": self.catalog.sample,
            "shipped_catalog_digest": self.catalog.shipped_digest,
            "code": dict(self.code),
            "evaluated_at": self.evaluated_at,
            "checks": self.checks,
            "run_id": self.run_id,
            "conditions": [
                {
                    "name": condition.name,
                    "title": condition.title,
                    "description": condition.description,
                    "required": condition.required,
                    "first_phase": condition.of_first_phase,
                    "reasons": [_to_json(reason) for reason in condition.reasons],
                    "met": condition.met,
                    "computed_from": list(condition.computed_from),
                    "results": condition.results,
                }
                for condition in self.conditions
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """A report, read back. One of an earlier version says less of each condition."""
        conditions = [
            Condition(
                condition["name"],
                condition.get("title", condition["name"]),
                condition["description"],
                condition["required"],
                tuple(_from_json(r, condition["required"]) for r in condition["reasons"]),
                tuple(condition.get("computed_from", ())),
                condition.get("results", 0),
            )
            for condition in value["conditions"]
        ]
        return cls(
            Identity(
                value["catalog"],
                value["catalog_digest"],
                value["shipped_catalog_digest"],
                bool(value.get("sample")),  # earlier versions did not say
            ),
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
    required = required_artifacts(project)
    if run_id is None:
        findings = verify_all(project, required)
    else:
        findings = verify_all_of_run(project, required, run_id)
    return judge(project, findings, published(project))


def condition_of_run(project: Project, owner: str, run_id: str) -> Condition:
    """The condition that one model or dataset is ready. What the checks of its artifacts find is
    computed once per run, for this and for the whole verdict."""
    artifacts = [a for a in required_artifacts(project) if a.owner == owner]
    return _Judge(project, verify_all_of_run(project, artifacts, run_id)).ready(owner)


def required_artifacts(project: Project) -> list[Artifact]:
    """The artifacts that open the gate together."""
    return [a for a in project.artifacts.values() if a.status == "required"]


def owners_of(project: Project) -> list[str]:
    """The models and datasets with required artifacts, each of which has a condition of its own."""
    return list(dict.fromkeys(a.owner for a in required_artifacts(project)))


def judge(
    project: Project, findings: dict[str, list[Finding]], links: Iterable[Finding]
) -> Verdict:
    """The verdict that follows from the findings on the required artifacts and on the links."""
    links = list(links)
    identity = identify(project.catalog)
    judged = _Judge(project, findings)
    conditions = [
        *(judged.ready(owner) for owner in owners_of(project)),
        *judged.required(),
        Condition(
            "published",
            "published",
            "the contract's paths lead to what was verified",
            required=True,
            reasons=_reasons(finding for finding in links if finding.blocking),
            computed_from=("published",),
            results=sum(finding.blocking for finding in links),
        ),
        _catalog_shipped(identity),
        *judged.recommended(links),
    ]
    return Verdict(identity, tuple(conditions), sum(len(found) for found in findings.values()))


class _Judge:
    """Conditions, from the findings on artifacts by name."""

    def __init__(self, project: Project, findings: Mapping[str, list[Finding]]) -> None:
        self._project = project
        self._findings = findings

    def ready(self, owner: str) -> Condition:
        """That everything of one model or dataset is there and sound."""
        return self._condition(
            Condition(
                f"{owner}_ready",
                f"{owner} ready",
                f"every file of {owner} exists and passes its blocking checks",
                required=True,
            ),
            [a for a in required_artifacts(self._project) if a.owner == owner],
            lambda name, blocking: blocking,
        )

    def required(self) -> Iterator[Condition]:
        """What is required of several models and datasets."""
        artifacts = required_artifacts(self._project)
        checkpoints = [a for a in artifacts if a.is_checkpoint]
        yield self._condition(
            Condition(
                "metadata_files",
                "metadata files",
                "entry i of every metadata file describes line i of its JSONL",
                required=True,
            ),
            [a for a in artifacts if a.is_row_metadata],
            lambda name, blocking: blocking,
        )
        yield self._condition(
            Condition(
                "sha256_verified",
                "SHA-256 verified",
                "every file has the SHA-256 that its receipt, and SHA256SUMS, say",
                required=True,
            ),
            artifacts,
            _named("files_unchanged", "fetched_files", "sha256sums_recomputed"),
        )
        dtypes = sorted({_dtype_of(self._project, a.owner) for a in checkpoints})
        yield self._condition(
            Condition(
                "dtype_kept",
                f"dtype {' and '.join(dtypes)} kept" if dtypes else "dtype kept",
                "every tensor has the dtype that the catalog states",
                required=True,
            ),
            checkpoints,
            _named("dtype_of_every_tensor"),
        )

    def recommended(self, links: Iterable[Finding]) -> Iterator[Condition]:
        """What only warns; the last condition collects every warning that no other names."""
        artifacts = required_artifacts(self._project)
        named: set[str] = set()
        for condition, names in _RECOMMENDED:
            named.update(names)
            yield self._condition(condition, artifacts, _named(*names))
        others = self._condition(
            Condition(
                "recommended",
                "no other warning",
                "other warnings that do not close the gate",
                required=False,
            ),
            artifacts,
            lambda name, blocking: not blocking and name not in named,
        )
        beside = [finding for finding in links if not finding.blocking]
        yield replace(
            others,
            reasons=others.reasons + _reasons(beside),
            computed_from=(*others.computed_from, "published"),
            results=others.results + len(beside),
        )

    def _condition(
        self,
        condition: Condition,
        artifacts: Iterable[Artifact],
        counts: Callable[[str, bool], bool],
    ) -> Condition:
        """The condition, computed from those checks of `artifacts` that count, by their names and
        by whether they block."""
        reasons: dict[tuple[str, str], CheckResult] = {}
        names: dict[str, None] = {}
        results = 0
        for artifact in artifacts:
            checks = checks_of(self._project, artifact)
            names |= {one.name: None for one in checks if counts(one.name, one.blocking)}
            for finding in self._findings[artifact.name]:
                if not counts(finding.name, finding.blocking):
                    continue
                results += 1
                if finding.passed:
                    continue
                # Of checks that failed for one reason ("does not exist yet") the first is enough.
                reason = replace(
                    CheckResult.of(artifact.name, finding), blocking=condition.required
                )
                if not reason.hint:
                    reason = replace(reason, hint=f"wmtp materialize {artifact.name} --force")
                # One reason, too, where inputs are at fault: the hint names the input.
                wrong = re.match(r"wmtp materialize (\S+)", reason.hint)
                named = wrong[1] if wrong else artifact.name
                reasons.setdefault((named, reason.found), reason)
        return replace(
            condition,
            reasons=tuple(reasons.values()),
            computed_from=tuple(names),
            results=results,
        )


# What the first phase recommends, each with the checks that it is computed from.
_RECOMMENDED: tuple[tuple[Condition, tuple[str, ...]], ...] = (
    (
        Condition(
            "safetensors_round_trip",
            "safetensors save and load",
            "every tensor that the safetensors library loads, saves and loads again is the same",
            required=False,
        ),
        ("safetensors_round_trip",),
    ),
    (
        Condition(
            "tokenizer_shared",
            "tokenizer shared with the reference model",
            "the tokenizer upstream of every model that shares one, the reference model's too, is "
            "the shared file",
            required=False,
        ),
        ("tokenizer_shared", "tokenizer_file_shared"),
    ),
    (
        Condition(
            "metadata_structure",
            "metadata structure",
            "every metadata file has the fields, and the types, of its schema",
            required=False,
        ),
        ("metadata_structure",),
    ),
)


def _named(*names: str) -> Callable[[str, bool], bool]:
    return lambda name, blocking: name in names


def _dtype_of(project: Project, owner: str) -> str:
    """The dtype that the catalog states for a model; a slice has its base's."""
    model = project.catalog.models[owner]
    if isinstance(model, MicroModel):
        model = project.catalog.upstream_models()[model.slice_of]
    return model.dtype


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
    return Condition(
        "catalog_shipped",
        "catalog as shipped",
        expected,
        required=False,
        reasons=() if identity.shipped else (reason,),
        computed_from=("catalog_shipped",),
        results=1,
    )


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
