"""The checks of each artifact, and how they are run.

A check is one object (`findings.Check`): its name, description and severity, and the function that
computes it. The modules here define the checks of one area each and list them per kind of artifact;
`add_check` adds one from elsewhere. Dagster's checks, `wmtp verify` and the gate all call
`run_checks`, and nothing here reads the database of Dagster.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.common import EVERY, files_unchanged
from wmtp_assets.artifacts.checks.of_kind import checks_of_kind
from wmtp_assets.artifacts.checks.publication import published
from wmtp_assets.artifacts.checks.settling import settled
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.artifacts.requests import why_waiting
from wmtp_assets.artifacts.types import demand
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.errors import WmtpError, printable
from wmtp_assets.findings import Check, Finding, check
from wmtp_assets.storage.errors import refused

__all__ = [
    "Check",
    "Subject",
    "add_check",
    "check",
    "checks_of",
    "published",
    "quick",
    "run_checks",
]

ArtifactCheck = Check[Any]  # of the kind's own subject

_ADDED: dict[str, list[ArtifactCheck]] = {}


def add_check(one: ArtifactCheck, *kinds: str) -> None:
    """Adds a check to every artifact of these kinds; its function is given the kind's subject.

    To be called before Dagster's definitions are built. Raises ValueError for a name that a kind
    has already.
    """
    for kind in kinds:
        added = _ADDED.setdefault(kind, [])
        if one.name in {other.name for other in added}:
            raise ValueError(f"{kind} has a check named {one.name} already")
        added.append(one)


def checks_of(project: Project, artifact: Artifact) -> list[ArtifactCheck]:
    """The checks of an artifact, in the order in which their findings are listed."""
    own = checks_of_kind(artifact).listed(project, artifact)
    return [*EVERY, *own, *_ADDED.get(artifact.kind, ())]


def run_checks(
    project: Project,
    artifact: Artifact,
    seed: int | None = None,
    only: Collection[str] | None = None,
    shared: Shared | None = None,
) -> list[Finding]:
    """The finding of every check of `checks_of` (with `only`: of those names), in that order,
    computed from the files. All together read each byte once.

    `seed` draws what is only sampled: None is a fresh one, which the findings report; the same
    number repeats a sample. `shared` is that of artifacts that are verified together, so that what
    several of them need is read once. What fails while another version becomes current is looked
    at again.

    Never raises: what cannot be read or makes no sense is a failed finding with the error's text.
    """
    return settled(project, artifact, lambda: _run_checks(project, artifact, seed, only, shared))


def _run_checks(
    project: Project,
    artifact: Artifact,
    seed: int | None,
    only: Collection[str] | None,
    shared: Shared | None,
) -> list[Finding]:
    checks = [c for c in checks_of(project, artifact) if only is None or c.name in only]
    if waits := why_waiting(project, artifact):
        return [_waiting(project, artifact, one, waits) for one in checks]
    try:
        demand(project.store, artifact.name)
    except Exception as error:  # as in `_found`
        return [_failed(project, artifact, one, error, demanded=True) for one in checks]
    kind = checks_of_kind(artifact)

    def computed(some: Iterable[ArtifactCheck]) -> dict[str, Finding]:
        subject = kind.subject(project, artifact, seed, shared=shared)
        return {one.name: _found(subject, one) for one in some}

    apart = [one for one in checks if one.apart]
    together = [one for one in checks if not one.apart]
    # Last, the files that no other check has read whole are read for their digests.
    together.sort(key=lambda one: one is files_unchanged)
    with ThreadPoolExecutor(max(1, len(apart)), thread_name_prefix="apart") as pool:
        beside = [pool.submit(computed, [one]) for one in apart]
        found = computed(together)
        for future in beside:
            found |= future.result()
    return [found[one.name] for one in checks]


def quick(project: Project, artifact: Artifact) -> list[Finding]:
    """The findings that need no contents: receipt, sizes, inputs, and headers. Several that fail
    for one reason are one finding. As with `run_checks`, some are looked at again."""
    return settled(project, artifact, lambda: _quick(project, artifact))


def _quick(project: Project, artifact: Artifact) -> list[Finding]:
    if waits := why_waiting(project, artifact):
        return [_waiting(project, artifact, files_unchanged, waits)]
    try:
        demand(project.store, artifact.name)
    except Exception as error:  # as in `_found`
        return [_failed(project, artifact, files_unchanged, error, demanded=True)]
    subject = checks_of_kind(artifact).subject(project, artifact, deep=False)
    findings: dict[object, Finding] = {}
    for one in checks_of(project, artifact):
        if one.quick:
            finding = _found(subject, one)
            findings.setdefault(one.name if finding.passed else str(finding.found), finding)
    return list(findings.values())


def _waiting(project: Project, artifact: Artifact, one: ArtifactCheck, waits: str) -> Finding:
    """The finding of every check of what nobody has asked for: no fault, and how to ask."""
    return Finding(
        one.name,
        passed=True,
        expected=f"`wmtp materialize {artifact.name}` makes it",
        found=waits,
        where=str(project.storage / next(iter(artifact.links), f"versions/{artifact.name}")),
        blocking=one.blocking,
    )


def _found(subject: Subject, one: ArtifactCheck) -> Finding:
    project, artifact = subject.project, subject.artifact
    try:
        finding = one.of(subject)
    except Exception as error:  # damaged bytes make any reader stumble, in ways of its own
        return _failed(project, artifact, one, error)
    if finding.passed or not finding.blocking or "wmtp " in finding.hint:
        return finding
    # Of one that blocks, the hint names the command that makes the artifact again.
    return replace(finding, hint=_and_again(finding.hint, subject.again))


def _and_again(hint: str, again: str) -> str:
    """The hint, and the command that makes the artifact again."""
    hint = hint.rstrip(". ")
    joined = ": " if hint.endswith("again") else ", then "
    return f"{hint}{joined}`{again}`" if hint else again


def _failed(
    project: Project,
    artifact: Artifact,
    one: ArtifactCheck,
    error: Exception,
    demanded: bool = False,
) -> Finding:
    """The finding of a check that `error` stopped; where `demanded`, for every check: the artifact
    itself is not there."""
    if isinstance(error, OSError):
        error = refused(error)
    expected, found = one.description, f"{type(error).__name__}: {error}"
    where = str(project.storage / next(iter(artifact.links), f"versions/{artifact.name}"))
    hint = f"wmtp materialize {artifact.name} --force"
    if isinstance(error, WmtpError):
        # Each in its own place: a finding has one for all that an error says.
        found = printable(error.problem)
        if error.expected is not None:
            expected = printable(str(error.expected))
        if error.found is not None:
            found = f"{found.rstrip('.')}: {printable(str(error.found))}"
        if error.where not in (None, project.store.root):
            where = printable(str(error.where))
        if error.hint and (demanded or error.hint.startswith("wmtp ")):
            hint = error.hint  # of an input, it names the one to make again
        elif error.hint and hint not in error.hint:
            hint = _and_again(error.hint, hint)
    return Finding(
        one.name,
        passed=False,
        expected=expected,
        found=found,
        where=where,
        blocking=one.blocking,
        hint=hint,
    )
