"""What each check prints when it fails is executed, and the check passes: for every question that
is asked of an artifact whose own bytes are wrong under a receipt that fits."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.cli import main
from wmtp_assets_tests.artifact_checks import test_datasets, test_models
from wmtp_assets_tests.artifact_checks.breaking import Change, answers, flip, recommit
from wmtp_assets_tests.orchestration.tiny import VARIABLES
from wmtp_assets_tests.remedies.test_hints import COMMAND


@dataclass(frozen=True)
class Broken:
    artifact: str
    change: Change
    questions: tuple[str, ...]


def cases() -> Iterator[Broken]:
    for case in test_models.CASES.values():
        yield Broken(case.artifact, case.change, case.wrong)
    for artifact, change, question, _ in test_models.DOCUMENTS.values():
        yield Broken(artifact, change, (question,))
    for split in test_datasets.CASES.values():
        yield Broken(split.artifact, split.change, split.wrong)


def rounds() -> list[list[Broken]]:
    """Cases that show every question at least once, those of a round in different artifacts."""
    seen: set[str] = set()
    found: list[list[Broken]] = []
    for case in cases():
        if seen.issuperset(case.questions):
            continue
        seen.update(case.questions)
        for one in found:
            if all(other.artifact != case.artifact for other in one):
                one.append(case)
                break
        else:
            found.append([case])
    return found


ROUNDS = rounds()


def command_of(hint: str) -> str:
    (found, *_) = COMMAND.finditer(hint)
    return found.group(1) or found.group(2)


@pytest.fixture
def entered(copied: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WMTP_STORAGE", str(copied.storage))
    monkeypatch.setenv("WMTP_HUB", str(copied.hub_spec))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return copied


def settle(project: Project, broken: list[tuple[str, str]]) -> None:
    """Executes what the failed checks print, in the order of the artifacts; all pass then."""
    order = list(project.artifacts)
    commands: dict[str, None] = {}
    for artifact, question in sorted(broken, key=lambda one: order.index(one[0])):
        finding = answers(project, artifact)[question]
        assert not finding.passed, (artifact, question)
        commands[command_of(finding.hint)] = None
    for command in commands:  # 1 while another artifact of the round is still wrong
        assert main(shlex.split(command)[1:]) in (0, 1), command
    wrong = {
        (artifact, question): answers(project, artifact)[question].found
        for artifact, question in broken
        if not answers(project, artifact)[question].passed
    }
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_what_a_failed_check_prints_makes_it_pass(entered: Project, number: int) -> None:
    for case in ROUNDS[number]:
        recommit(entered, case.artifact, case.change)
    settle(entered, [(case.artifact, q) for case in ROUNDS[number] for q in case.questions])


@pytest.mark.slow
def test_what_is_printed_of_bytes_that_changed_makes_the_checks_pass(entered: Project) -> None:
    raw = "models/ref-sheared-llama-2.7b_raw"
    (shard,) = entered.store.upstream.rglob("pytorch_model-00002-of-00002.bin")
    flip(shard)
    flip(entered.store.path("models/tokenizer") / "tokenizer.model")
    flip(entered.store.path("models/starling-rm-7b") / "model.safetensors")
    settle(
        entered,
        [
            (raw, "fetched_files"),
            ("models/tokenizer", "files_unchanged"),
            ("models/starling-rm-7b", "files_unchanged"),
        ],
    )
