"""history, rollback, gc and verify as a person calls them, over two editions of one split."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts import verify as verifying
from wmtp_assets.cli import main
from wmtp_assets.storage.publications import RECORD
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.artifacts.editions import (
    CHECKPOINT,
    SPLIT,
    model_alone,
    newer,
    planted,
    seen,
    small,
)
from wmtp_assets_tests.artifacts.sweeping import ROWS, litter
from wmtp_assets_tests.artifacts.workbench import Workbench
from wmtp_assets_tests.storage.faults import FaultyDisk


def called(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the commands work on this project."""
    for module in ("runs", "versions"):
        monkeypatch.setattr(f"wmtp_assets.cli.{module}.open_project", lambda: project)


@pytest.fixture
def old(memory: Path, project: Project) -> Project:
    return planted(project, small(project.catalog, "optional"), memory / "storage")


@pytest.fixture
def two(old: Project, new_hub: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The new edition published over the old one."""
    now = Project(newer(old.catalog), old.storage, str(new_hub))
    with FaultyDisk():
        Workbench(now).make(ROWS)
    called(now, monkeypatch)
    return now


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_history_lists_both_editions_and_marks_the_current_one(
    two: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = two.store.publications(SPLIT)
    for asset in (SPLIT, f"{SPLIT}_metadata"):
        assert main(["history", asset, "--json"]) == 0
        listed = told(capsys)
        assert listed["set"] == SPLIT
        assert [(one["version"], one["current"]) for one in listed["versions"]] == [
            (new.version, True),
            (old.version, False),
        ]
    assert main(["history", SPLIT]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"* {new.version}")
    assert lines[2].startswith(f"  {old.version}")


def of_rows(project: Project) -> dict[str, bytes]:
    """What readers find but the card of the rows' folder, which is a set of its own."""
    card = ("README.md", "croissant.json")
    return {path: data for path, data in seen(project).items() if not path.endswith(card)}


def test_rollback_goes_back_and_forth_and_writes_no_bytes_of_the_files(
    old: Project, new_hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = of_rows(old)
    now = Project(newer(old.catalog), old.storage, str(new_hub))
    with FaultyDisk():
        Workbench(now).make(ROWS)
    called(now, monkeypatch)
    after, files = of_rows(now), stamps(now)
    new, first = now.store.publications(SPLIT)
    for arguments, expected, edition in (
        ([], first.version, before),
        ([new.version], new.version, after),
        ([first.version], first.version, before),
    ):
        with FaultyDisk() as counted:
            assert main(["rollback", SPLIT, *arguments]) == 0
        assert expected in capsys.readouterr().out
        assert of_rows(now) == edition
        record = now.store.published.home(SPLIT) / "current" / RECORD
        written = [
            len(data)
            for name, (path, *rest) in counted.log
            if name == "write" and ".locks" not in path.parts
            for data in rest
        ]
        assert sum(written) == record.stat().st_size, "the publication's record and nothing else"
    assert stamps(now) == files, "no file of a version was touched"


def stamps(project: Project) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in project.store.versions.folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["datasets/none"], "This asset is not published"),
        ([f"{SPLIT}_raw"], "This asset is not published"),
        ([SPLIT, "0123456789ab"], "no such version"),
        ([SPLIT, "../../etc"], "no such version"),
    ],
)
def test_a_rollback_to_nothing_is_one_line_and_exit_2(
    two: Project, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    now = seen(two)
    assert main(["rollback", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert seen(two) == now


def test_gc_removes_what_its_dry_run_names_and_no_more(
    two: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    litter(two)
    kept = two.storage / ".set-aside" / "mine"
    kept.mkdir(parents=True)
    (kept / "file").write_bytes(b"mine")
    now, files = seen(two), stamps(two)
    assert main(["gc", "--keep", "1", "--dry-run", "--json"]) == 0
    planned = told(capsys)
    assert stamps(two) == files
    assert main(["gc", "--keep", "1", "--json"]) == 0
    done = told(capsys)
    assert done["dry_run"] is False
    assert done["removed"] == planned["removed"]
    reasons = {one["reason"] for one in done["removed"]}
    assert reasons == {
        "left by a killed process",
        "not needed any more",
        "an older publication",
        "an older version",
    }
    assert not any(Path(one["path"]).exists() for one in done["removed"])
    assert seen(two) == now
    assert len(two.store.history(SPLIT)) == 1
    assert done["set_aside"] == {str(kept): 4}
    assert main(["gc", "--keep", "1"]) == 0
    *_, listed, last = capsys.readouterr().out.splitlines()
    assert listed.startswith(f"{kept}: ")
    assert last.startswith("0 removed")
    assert main(["gc", "--keep", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_verify_against_source_converts_again_and_names_a_value_that_differs(
    memory: Path,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ours = planted(project, model_alone(project.catalog), memory / "storage")
    called(ours, monkeypatch)
    assert main(["verify", "--against-source", "--json"]) == 0
    sound = told(capsys)
    assert main(["verify", "--json"]) == 0
    assert sound["checks"] > told(capsys)["checks"]
    (weights,) = (ours.store.upstream / "models").rglob("consolidated.pth")
    with weights.open("r+b") as file:
        file.seek(weights.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x40]))
    assert main(["verify"]) == 0, "a quick look reads no contents"
    capsys.readouterr()
    assert main(["verify", "--against-source", "--json"]) == 1
    (wrong,) = (one for one in told(capsys)["problems"] if one["artifact"] == CHECKPOINT)
    assert wrong["blocking"]
    assert "source" in wrong["check"]


def test_a_sample_of_a_seventh_reads_everything_once_in_seven_days(
    old: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called(old, monkeypatch)
    flip(old.store.path(SPLIT) / "test.jsonl")
    flip(old.store.path(f"{SPLIT}_metadata") / "test_metadata.json")
    begun = datetime.now(UTC)
    named: list[str] = []
    for day in range(7):

        class Calendar(datetime):
            today_is = begun + timedelta(days=day)

            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # UTC alone
                return cls.today_is

        monkeypatch.setattr(verifying, "datetime", Calendar)
        status = main(["verify", "--sample", "1/7", "--json"])
        problems = told(capsys)["problems"]
        unchanged = [p["artifact"] for p in problems if p["check"] == "files_unchanged"]
        assert status == (1 if problems else 0)
        named += unchanged
    assert sorted(named) == [SPLIT, f"{SPLIT}_metadata"]
