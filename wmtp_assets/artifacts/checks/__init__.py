"""Which questions are asked of each artifact, and who answers them from the files.

`questions.py` is the table, `prove` answers it. The answers come from the packages that know
(`checkpoints/checks.py`, `mtp/checks.py`, `corpora/checks.py`, ...). Checks in Dagster, `wmtp
verify` and the gate all call `prove`, and nothing here reads the database of Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.datasets import check_rows, check_schema
from wmtp_assets.artifacts.checks.derived import check_derived
from wmtp_assets.artifacts.checks.fetched import check_fetched, check_kept
from wmtp_assets.artifacts.checks.inputs import place
from wmtp_assets.artifacts.checks.models import (
    check_certificate,
    check_documents,
    check_model_checkpoint,
    check_shards,
    check_shared_tokenizer,
    expected_of,
)
from wmtp_assets.artifacts.checks.table import INPUTS, UNCHANGED, Check, checks_of
from wmtp_assets.artifacts.recipes import CODE_VERSIONS
from wmtp_assets.artifacts.released_weights import checkpoint_of
from wmtp_assets.artifacts.types import Checkpoint, Document, Split, demand
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.checkpoints.checks import check_header
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.corpora.checks import check_metadata
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Mismatch

__all__ = ["Check", "checks_of", "published", "quick", "run_checks"]


def run_checks(project: Project, artifact: Artifact, seed: int | None = None) -> list[Finding]:
    """Answers every question of `proofs_of` from the files, in that order.

    `seed` draws what is only sampled: None is a fresh one, which the findings report; the same
    number repeats a sample.

    Never raises: what cannot be read or makes no sense is a failed finding with the error's words.
    A question that its answerer left open (because an earlier one already failed) has failed too.
    """
    given: dict[str, Finding] = {}
    problem = ""
    try:
        demand(project.store, artifact.name)
        for finding in _answers(project, artifact, seed):
            given[finding.name] = finding
    except Exception as error:  # damaged bytes make any reader stumble, in ways of its own
        problem = _words(error)
    return [
        _with_command(
            artifact,
            replace(
                given.get(check.name) or _open(project, artifact, check, problem),
                blocking=check.blocking,
            ),
        )
        for check in checks_of(project, artifact)
    ]


def _with_command(artifact: Artifact, finding: Finding) -> Finding:
    """The finding; of one that blocks, the hint names the command that makes the artifact again."""
    if finding.passed or not finding.blocking or "wmtp " in finding.hint:
        return finding
    command = f"wmtp materialize {artifact.name} --force"
    hint = finding.hint.rstrip(". ")
    return replace(finding, hint=f"{hint}: `{command}`" if hint else command)


def quick(project: Project, artifact: Artifact) -> list[Finding]:
    """What can be told without reading contents: the receipt, sizes, inputs, and headers."""
    try:
        demand(project.store, artifact.name)
        findings = [_files_unchanged(project, artifact, deep=False)]
        findings.append(_inputs_current(project, artifact))
        if artifact.kind is Kind.RAW:
            findings.append(check_fetched(project, artifact, deep=False))
        if artifact.kind is Kind.CHECKPOINT:
            checkpoint = Checkpoint(*place(project, artifact.name))
            expected, _ = expected_of(project, artifact)
            findings += check_header(read_header(checkpoint.path), expected)
    except Exception as error:  # as in `prove`
        return [_open(project, artifact, UNCHANGED, _words(error))]
    return findings


def published(project: Project) -> list[Finding]:
    """Whether the contract's paths lead to the artifacts' current versions, for every set, and
    nothing else stands among them. Looks at names and inodes only.

    Something wrong that several sets share (a link in place of `models_v2/`) is one finding.
    """
    findings: list[Finding] = []
    named: set[str] = set()
    for name, wanted in project.sets.items():
        optional = name.startswith("models/") and project.artifacts[name].status == "optional"
        wrong = project.store.unpublished(wanted)
        with suppress(StorageError):  # a damaged record is among what is wrong
            if optional and project.store.publication(name) is None:
                continue
        for mismatch in wrong:
            if str(mismatch.file) in named:
                continue
            if not optional:
                named.add(str(mismatch.file))
            findings.append(_not_published(mismatch, name, blocking=not optional))
        if not wrong:
            findings.append(
                Finding(
                    "published",
                    passed=True,
                    expected="links to the current versions",
                    found="as expected",
                    where=name,
                    blocking=not optional,
                    details={"set": name},
                )
            )
    others = project.store.strangers(project.sets.values())
    for mismatch, blocking in (
        *((mismatch, True) for mismatch in others.inside),
        *((mismatch, False) for mismatch in others.beside),
    ):
        folder = str(mismatch.file.parent.relative_to(project.store.root))
        findings.append(_not_published(mismatch, folder, blocking=blocking))
    return findings


def _not_published(mismatch: Mismatch, name: str, *, blocking: bool) -> Finding:
    return Finding(
        "published",
        passed=False,
        expected=mismatch.expected,
        found=mismatch.found,
        where=str(mismatch.file),
        hint=mismatch.hint or f"wmtp materialize {name}",
        blocking=blocking,
        details={"set": name},
    )


def _words(error: Exception) -> str:
    known = isinstance(error, WmtpError | OSError)
    return str(error) if known else f"{type(error).__name__}: {error}"


def _open(project: Project, artifact: Artifact, check: Check, problem: str) -> Finding:
    found = problem or "could not be told: an earlier answer failed"
    return Finding(
        check.name,
        passed=False,
        expected=check.description,
        found=found,
        where=str(project.storage / next(iter(artifact.links), f"versions/{artifact.name}")),
        hint=f"wmtp materialize {artifact.name} --force",
    )


def _answers(project: Project, artifact: Artifact, seed: int | None) -> Iterable[Finding]:
    yield _files_unchanged(project, artifact)
    yield _inputs_current(project, artifact)
    match artifact.kind:
        case Kind.RAW:
            yield check_fetched(project, artifact)
            if checkpoint_of(project, artifact.name) is not None:
                yield check_kept(project, artifact)
        case Kind.CHECKPOINT:
            yield from check_model_checkpoint(project, artifact, seed)
        case Kind.TOKENIZER:
            yield check_derived(project, artifact)
            yield from check_shared_tokenizer(project, artifact)
        case Kind.SHARDS:
            yield check_shards(project, artifact)
        case Kind.CERTIFICATE:
            yield check_certificate(project, artifact)
        case Kind.CONFIG | Kind.ADAPTER | Kind.MODEL_METADATA:
            yield check_derived(project, artifact)
            yield from check_documents(project, artifact)
        case Kind.SPLIT | Kind.SMALL_SPLIT:
            yield from check_rows(project, artifact, seed)
        case Kind.SPLIT_METADATA | Kind.SMALL_METADATA:
            rows = Split(*place(project, artifact.inputs[0]))
            yield from check_metadata(Document(*place(project, artifact.name)).path, rows.jsonl)
        case Kind.SCHEMA:
            yield from check_schema(project, artifact)


def _files_unchanged(project: Project, artifact: Artifact, deep: bool = True) -> Finding:
    wrong = project.store.mismatches(artifact.name, deep=deep)
    receipt = demand(project.store, artifact.name)
    first = str(wrong[0].file) if wrong else str(project.store.path(artifact.name))
    return Finding(
        UNCHANGED.name,
        not wrong,
        f"{len(receipt.files)} files, {receipt.size} bytes, as their receipt says",
        "; ".join(f"{m.file.name}: {m.found}" for m in wrong) or "as expected",
        first,
        hint=f"wmtp materialize {artifact.name} --force" if wrong else "",
        details={"digest": receipt.digest, "made_at": receipt.made_at},
    )


def _inputs_current(project: Project, artifact: Artifact) -> Finding:
    receipt = demand(project.store, artifact.name)
    # What a raw artifact was fetched from is no artifact; `fetched_files` looks at its commit.
    now = {name: demand(project.store, name).digest for name in artifact.inputs}
    stale = sorted(name for name, digest in now.items() if receipt.inputs.get(name) != digest)
    wrong = [f"made from another version of {', '.join(stale)}"] if stale else []
    if receipt.entry_digest != artifact.settings_digest:
        wrong.append("made by other words of the catalog than it has now")
    code = CODE_VERSIONS[artifact.kind]
    if receipt.code_version != code:
        wrong.append(
            f"made by an earlier version of this package: made by version {receipt.code_version!r} "
            f"of the code, not {code!r}"
        )
    return Finding(
        INPUTS.name,
        not wrong,
        "the inputs' present digests, the catalog's present words, and this version of the code",
        "; ".join(wrong) or "as expected",
        str(project.store.path(artifact.name) / "receipt.json"),
        hint=f"wmtp materialize {artifact.name}" if wrong else "",
    )
