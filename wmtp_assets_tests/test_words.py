"""What commands and messages say to someone who uses this for the first time."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import pytest

from wmtp_assets import interrupts
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import quick
from wmtp_assets.artifacts.project import open_project_hub
from wmtp_assets.artifacts.requirements import examine
from wmtp_assets.artifacts.verify import Report
from wmtp_assets.catalog.identity import Identity
from wmtp_assets.cli import _parser, main
from wmtp_assets.corpora.checks import _classes
from wmtp_assets.definitions import build_defs
from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.files import RepoId
from wmtp_assets.hub.refusals import NoSuchRepoError
from wmtp_assets.hub.retry import Policy
from wmtp_assets.hub.source import open_hub
from wmtp_assets.orchestration.run import SelectionError, _selected
from wmtp_assets.storage.errors import StorageError

SPLIT = "datasets/humaneval_test"


@pytest.fixture(scope="module")
def found(project: Project) -> dict[str, str]:
    """What the doctor says of each repository."""
    facts = [fact for fact in examine(project) if fact.name == "repository"]
    return {fact.found.partition(":")[0]: fact.found for fact in facts}


def test_the_doctor_counts_the_files_that_patterns_match(
    project: Project, found: dict[str, str]
) -> None:
    said = found["datasets/deepmind/code_contests"]
    files = {
        file.path: file.count
        for one in project.upstream_files()
        for file in one.files
        if one.repo.name == "deepmind/code_contests"
    }
    assert any("*" in path for path in files)
    assert f"open, {sum(files.values())} file" in said
    assert " 0 bytes" not in said


def test_the_doctor_counts_one_file_and_does_not_call_a_mirror_a_commit(
    found: dict[str, str],
) -> None:
    assert not re.search(r"\b1 files", "\n".join(found.values()))
    assert "is directory now" not in "\n".join(found.values())


def test_the_doctor_finds_a_pattern_that_matches_nothing(project: Project, tmp_path: Path) -> None:
    for one in project.upstream_files():
        folder = tmp_path / one.repo.folder
        folder.mkdir(parents=True)
        for file in one.files:
            if "*" not in file.path:
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                (folder / file.path).write_bytes(b"x")
    problems = [
        fact
        for fact in examine(replace(project, hub_spec=str(tmp_path)))
        if fact.name == "repository" and fact.state == "problem"
    ]
    patterns = [
        one.repo for one in project.upstream_files() if any("*" in file.path for file in one.files)
    ]
    assert len(problems) == len(patterns) > 0
    assert all("matching" in f"{fact.found} {fact.expected}" for fact in problems)


def test_a_group_is_selected_by_the_catalogs_own_name(project: Project) -> None:
    defs = build_defs(project.catalog, project.hub_spec, project.storage)
    ours = _selected(defs, "group:micro_mtp")
    assert ours
    assert _selected(defs, "group:micro-mtp") == ours
    assert _selected(defs, 'group:"micro-mtp" or group:mbpp') > ours
    with pytest.raises(SelectionError) as refused:
        _selected(defs, "group:none")
    assert {"micro_mtp", "humaneval", "hub"} <= set(re.findall(r"\w+", str(refused.value.hint)))


def test_verify_says_what_it_did() -> None:
    said = [
        Report(deep, 3, 9, (), against, sample).text()
        for deep, against, sample in (
            (False, False, None),
            (True, False, None),
            (False, True, None),
            (False, False, 7),
        )
    ]
    assert len(set(said)) == 4
    plain, deep, against, sampled = said
    assert "--deep reads all" in plain
    assert "every byte was read" in deep
    assert "made again from its source" in against
    assert "--deep" not in against
    assert "1/7" in sampled


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["list"], "the same command starts over"),
        (["sample", "mirror"], "the same command continues where this one ended"),
    ],
)
def test_an_interrupted_command_says_whether_it_continues(
    project: Project,
    command: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 0
    assert words in interrupts.words("SIGINT")


def commands() -> dict[str, argparse.ArgumentParser]:
    (subparsers,) = (one for one in _parser()._actions if isinstance(one.choices, dict))
    assert isinstance(subparsers.choices, dict)
    return subparsers.choices


def test_help_names_the_environment_and_the_exit_statuses() -> None:
    told = _parser().format_help()
    for name in ("PORT", "HF_TOKEN", "DAGSTER_HOME", "WMTP_STORAGE"):
        assert re.search(rf"\b{name}\b", told), name
    for status in ("0", "1", "2", "129, 130, 143"):
        assert re.search(rf"^\s+{status}\b", told, re.MULTILINE), status


def test_every_option_has_a_help_text() -> None:
    without = [
        f"{name} {action.option_strings}"
        for name, command in commands().items()
        for action in command._actions
        if action.option_strings and not action.help
    ]
    assert without == []


def test_a_mirror_that_lacks_a_repository_names_where_the_mirror_came_from(tmp_path: Path) -> None:
    repo = RepoId("dataset", "org/name")
    (tmp_path / "given").mkdir()
    with pytest.raises(NoSuchRepoError, match=r"env -u WMTP_HUB wmtp mirror"):
        open_hub(str(tmp_path / "given"), Policy()).head(repo)
    with pytest.raises(NoSuchRepoError, match=r"`hub: sample`") as refused:
        open_project_hub(None, tmp_path / "sample").head(repo)
    assert "env -u" not in str(refused.value)


def test_a_copied_catalog_is_told_to_change_its_name() -> None:
    said = str(Identity("sample", "a" * 64, "b" * 64))
    assert "change `name:` in your copy" in said


def test_an_error_without_its_hint_says_problem_expected_and_found() -> None:
    error = WmtpError("A is B", expected="C", found="D", where="E", hint="F")
    assert error.what() == "A is B. Expected: C. Found: D."
    assert str(error) == "A is B. Expected: C. Found: D. Where: E. What to do: F"


def test_what_does_not_exist_is_said_once(project: Project, tmp_path: Path) -> None:
    empty = replace(project, storage=tmp_path)
    (finding,) = quick(empty, empty.artifacts[SPLIT])
    assert finding.found == f"{SPLIT} does not exist yet"
    assert finding.hint == f"wmtp materialize {SPLIT}"


def test_list_shows_group_inputs_and_paths(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WMTP_CATALOG", raising=False)
    assert main(["list"]) == 0
    (stanza,) = re.findall(rf"^{SPLIT}  .*\n(?: +.*\n)+", capsys.readouterr().out, re.MULTILINE)
    lines = stanza.splitlines()
    assert lines[0].endswith("(group humaneval)")
    assert f"    made from {', '.join(project.artifacts[SPLIT].inputs)}" in lines
    assert "    datasets_v2/humaneval/processed/test.jsonl" in lines


def test_a_rollback_of_the_only_version_says_so(project: Project) -> None:
    with pytest.raises(StorageError, match="There is only one version") as refused:
        project.store.rollback(SPLIT)
    assert "Expected" not in str(refused.value)


def test_a_split_without_classes_is_told_in_words() -> None:
    assert _classes({"not boolean": 3}) == "3 rows with an is_correct that is no boolean"
    assert _classes({"absent": 11}) == "11 rows without is_correct"
    assert _classes({"correct": 1, "incorrect": 2}) == (
        "1 rows with is_correct true, 2 rows with is_correct false"
    )
