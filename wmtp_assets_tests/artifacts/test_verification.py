"""Within one run everything is verified once, and again where anything was touched since."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from wmtp_assets.artifacts import Project, verification
from wmtp_assets.artifacts import checks as checks_module
from wmtp_assets.artifacts.checks import checks_of, run_checks
from wmtp_assets.artifacts.checks.checkpoints import CheckpointSubject
from wmtp_assets.artifacts.checks.common import files_unchanged
from wmtp_assets.artifacts.checks.datasets import SplitSubject
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.artifacts.gate import evaluate, verdict_of_run
from wmtp_assets.artifacts.verification import findings_of_run, identity_of, verify_all
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.corpora import metadata_checks as corpora
from wmtp_assets.findings import Check, Finding, Outcome, is_computed
from wmtp_assets_tests.artifact_checks.breaking import flip

MODEL, RAW, SPLIT = "models/micro-ref", "models/ref-sheared-llama-2.7b_raw", "datasets/mbpp_test"


class Counted:
    """`run_checks`, counting by artifact how often it is called."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(
        self,
        project: Project,
        artifact: Artifact,
        seed: int | None = None,
        shared: Shared | None = None,
    ) -> list[Finding]:
        with self._lock:
            self.times[artifact.name] = self.times.get(artifact.name, 0) + 1
        return run_checks(project, artifact, seed, shared=shared)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counting = Counted()
    monkeypatch.setattr(verification, "run_checks", counting)
    return counting


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    return str(tmp_path)  # no other run has it


def flip_in_place(path: Path) -> None:
    """Flips a byte and leaves size, inode and time of modification as they were."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        (byte,) = file.read(1)
        file.seek(before.st_size // 2)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def own_file(project: Project) -> Path:
    return project.store.path(SPLIT) / "test.jsonl"


def upstream_file(project: Project) -> Path:
    (path,) = project.store.upstream.rglob("mbpp/**/test-*.parquet")
    return path


def input_of_input(project: Project) -> Path:
    return project.store.path("models/tokenizer") / "tokenizer.model"


def test_what_was_verified_in_a_run_is_not_verified_again(
    copied: Project, counted: Counted, run_id: str
) -> None:
    artifact = copied.artifacts[SPLIT]
    first = findings_of_run(copied, artifact, run_id)
    assert findings_of_run(copied, artifact, run_id) == first
    assert counted.times == {SPLIT: 1}
    findings_of_run(copied, artifact, f"{run_id}, another")
    assert counted.times == {SPLIT: 2}


@pytest.mark.parametrize("file", [own_file, upstream_file, input_of_input])
@pytest.mark.parametrize("change", [flip, flip_in_place])
def test_a_byte_flipped_between_check_and_gate_is_found(
    copied: Project,
    run_id: str,
    file: Callable[[Project], Path],
    change: Callable[[Path], None],
) -> None:
    """`run_id` names the very run in which the checks passed."""
    artifact = copied.artifacts[SPLIT]
    before = findings_of_run(copied, artifact, run_id)
    assert [finding.name for finding in before if not finding.passed] == []
    identity = identity_of(copied, artifact)
    change(file(copied))
    assert identity_of(copied, artifact) != identity
    verdict = verdict_of_run(copied, run_id)
    assert not verdict.open
    assert "sha256_verified" in {c.name for c in verdict.conditions if not c.met}


def test_times_ahead_of_this_clock_stand_for_nothing_and_are_not_waited_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file server whose clock is ahead, or after this one was set back."""

    def waited(seconds: float) -> NoReturn:
        raise AssertionError(f"waited {seconds} s")

    monkeypatch.setattr(time, "time_ns", lambda: 10**18)
    monkeypatch.setattr(time, "sleep", waited)
    assert identity_of(project, project.artifacts[SPLIT]) is None


def test_assets_lock_counts_and_another_repository_in_it_does_not(
    copied: Project, counted: Counted, run_id: str
) -> None:
    artifact = copied.artifacts[RAW]
    identity = identity_of(copied, artifact)
    record = json.loads(copied.lock.path.read_bytes())
    record["repos"]["models/facebook/multi-token-prediction"]["commit"] = "0" * 40
    copied.lock.path.write_text(json.dumps(record), encoding="utf-8")
    assert identity_of(copied, artifact) == identity
    record["repos"]["models/princeton-nlp/Sheared-LLaMA-2.7B"]["commit"] = "0" * 40
    copied.lock.path.write_text(json.dumps(record), encoding="utf-8")
    assert identity_of(copied, artifact) != identity


def test_what_does_not_exist_is_never_remembered(copied: Project, run_id: str) -> None:
    link = copied.store.versions.home(SPLIT) / "current"
    target = link.readlink()
    link.unlink()
    artifact = copied.artifacts[SPLIT]
    assert identity_of(copied, artifact) is None
    assert not findings_of_run(copied, artifact, run_id)[0].passed
    link.symlink_to(target)
    assert findings_of_run(copied, artifact, run_id)[0].passed


@pytest.mark.slow
def test_a_gate_of_its_own_reads_everything_though_a_run_has_just_verified_it(
    copied: Project, counted: Counted, run_id: str
) -> None:
    required = {a.name for a in copied.artifacts.values() if a.status == "required"}
    assert evaluate(copied, run_id).open
    assert evaluate(copied, run_id).open
    assert counted.times == dict.fromkeys(required, 1)
    assert evaluate(copied).open
    assert counted.times == dict.fromkeys(required, 2)
    assert verify(copied, deep=True).sound
    assert {counted.times[name] for name in required} == {3}


def test_what_is_started_in_the_background_is_what_the_check_waits_for(
    copied: Project, counted: Counted, run_id: str
) -> None:
    artifacts = [copied.artifacts[name] for name in (MODEL, SPLIT)]
    verification.start(copied, artifacts, run_id)
    verification.start(copied, artifacts, run_id)
    found = {one.name: findings_of_run(copied, one, run_id) for one in artifacts}
    assert all(finding.passed for findings in found.values() for finding in findings)
    assert counted.times == {MODEL: 1, SPLIT: 1}


def test_findings_in_parallel_are_those_one_after_the_other(project: Project) -> None:
    artifacts = [a for a in project.artifacts.values() if a.name.startswith("datasets/")]
    found = verify_all(project, artifacts, seed=3)
    assert list(found) == [artifact.name for artifact in artifacts]
    for artifact in artifacts:
        assert found[artifact.name] == run_checks(project, artifact, seed=3)


def of_lines(findings: dict[str, list[Finding]], name: str) -> list[bool]:
    """How the checks went that compare a metadata file with lines."""
    return [
        f.passed
        for f in findings[f"{name}_metadata"]
        if f.name.startswith("metadata_") and f.name != "metadata_structure"
    ]


def test_lines_are_read_once_for_a_split_and_for_its_metadata_file(
    copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def line_facts(jsonl: Path) -> Iterator[list[tuple[bool | None, int | None]]]:
        read.append(jsonl)
        yield from before(jsonl)

    before = corpora._line_facts
    monkeypatch.setattr(corpora, "_line_facts", line_facts)
    name = "datasets/codecontests_valid"
    both = [copied.artifacts[name], copied.artifacts[f"{name}_metadata"]]
    assert of_lines(verify_all(copied, both), name) == [True, True]
    assert read == []
    path = copied.store.path(both[1].name) / "valid_metadata.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"is_correct": true', b'"is_correct": null', 1))
    assert of_lines(verify_all(copied, both), name)[0] is False
    path.write_bytes(data)
    read.clear()
    assert of_lines(verify_all(copied, both[1:]), name) == [True, True]
    assert len(read) == 1


def test_what_was_read_of_lines_that_changed_since_is_not_used(copied: Project) -> None:
    name = "datasets/codecontests_valid"
    shared = Shared({name, f"{name}_metadata"})
    run_checks(copied, copied.artifacts[name], shared=shared)
    lines = copied.store.path(name) / "valid.jsonl"
    data = lines.read_bytes()
    lines.write_bytes(data.replace(b'"is_correct": true', b'"is_correct": false', 1))
    found = run_checks(copied, copied.artifacts[f"{name}_metadata"], shared=shared)
    assert of_lines({f"{name}_metadata": found}, name) == [False, False]


# What a check alone computes.


def test_a_check_alone_computes_what_it_needs(project: Project) -> None:
    artifact = project.artifacts[MODEL]
    subject = CheckpointSubject(project, artifact)
    checks = {one.name: one for one in checks_of(project, artifact)}
    assert checks["tensor_count"].of(subject).passed
    assert not is_computed(subject.stored, "scan")
    assert not is_computed(subject, "executed")
    assert checks["finite_values"].of(subject).passed
    assert is_computed(subject.stored, "scan")
    assert not is_computed(subject, "executed")
    assert not is_computed(subject.stored, "compared")


def test_the_digest_of_a_file_that_was_read_whole_is_used(project: Project) -> None:
    subject = CheckpointSubject(project, project.artifacts[MODEL])
    assert subject.digests() == {}
    assert files_unchanged.of(subject).passed
    assert not is_computed(subject, "stored")
    scanned = subject.stored.scan
    assert subject.digests() == {"model.safetensors": scanned.sha256}
    assert files_unchanged.of(subject).passed
    rows = SplitSubject(project, project.artifacts[SPLIT])
    assert rows.stored.scan.digest == rows.digests()["test.jsonl"]
    assert files_unchanged.of(rows).passed


def test_only_the_checks_that_are_asked_for_are_run(copied: Project) -> None:
    flip(copied.store.path(MODEL) / "model.safetensors", -1)
    artifact = copied.artifacts[MODEL]
    (count,) = run_checks(copied, artifact, only={"tensor_count"})
    assert (count.name, count.passed) == ("tensor_count", True)
    names = ["files_unchanged", "sha256sums_recomputed"]
    found = run_checks(copied, artifact, only=set(names))
    assert [(one.name, one.passed) for one in found] == [(name, False) for name in names]


def test_a_check_that_is_apart_runs_beside_the_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, begun = project.artifacts["datasets/mbpp_schema"], threading.Event()

    def waits(_: Subject) -> Outcome:
        return Outcome(begun.wait(240), "the other has begun", "", "")

    def begins(_: Subject) -> Outcome:
        begun.set()
        return Outcome(True, "", "", "")

    added = [Check("waits", "Waits.", waits), Check("begins", "Begins.", begins, apart=True)]
    monkeypatch.setitem(checks_module._ADDED, artifact.kind, added)
    found = run_checks(project, artifact, only={"waits", "begins"})
    assert [(one.name, one.passed) for one in found] == [("waits", True), ("begins", True)]


def test_severity_is_that_of_the_check(copied: Project) -> None:
    for artifact in copied.artifacts.values():
        blocking = {one.name: one.blocking for one in checks_of(copied, artifact)}
        (copied.store.versions.home(artifact.name) / "current").unlink()
        for finding in run_checks(copied, artifact):
            assert finding.blocking is blocking[finding.name]
            assert not finding.passed
