"""A storage that somebody tampered with: the gate stays closed, and every command answers in words,
in time, without a traceback."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import verdict_of_run
from wmtp_assets.artifacts.staleness import suspects_of_last_report
from wmtp_assets.cli import main
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.artifacts.editions import SPLIT, planted, small
from wmtp_assets_tests.artifacts.hostile import HARMLESS, MISCHIEF, a_version_is_a_link
from wmtp_assets_tests.artifacts.workbench import Workbench
from wmtp_assets_tests.storage.namespaces import in_a_mount_namespace

ASKED = (
    ["gate"],
    ["gate", "--json"],
    ["verify"],
    ["verify", "--deep"],
    ["history", SPLIT],
    ["gc", "--dry-run"],
    ["list"],
)


@pytest.fixture
def ours(memory: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = planted(project, small(project.catalog, "optional"), memory / "storage")
    for module in ("runs", "versions"):
        monkeypatch.setattr(f"wmtp_assets.cli.{module}.open_project", lambda: made)
    return made


@pytest.fixture
def in_time() -> Iterator[None]:
    """Ends what hangs: nothing here takes more than two seconds."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("this hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("trick", [*MISCHIEF, *HARMLESS])
def test_a_tampered_storage_is_answered_in_words_and_opens_no_gate(
    trick: str, ours: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (MISCHIEF | HARMLESS)[trick](ours)
    for asked in ASKED:
        status = main(asked)
        said = capsys.readouterr()
        assert "\x1b" not in said.out + said.err
        assert said.err.count("\n") <= 1, said.err
        if asked[0] == "gate":
            assert status in ((1, 2) if trick in MISCHIEF else (0, 1)), (trick, said.out)
            assert status != 1 or "hint" in said.out
        if asked[0] == "verify" and trick in MISCHIEF:
            assert status in (1, 2), (trick, asked, said.out)
        assert status != 2 or said.err.startswith("wmtp: ")


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_what_is_no_file_in_place_of_the_report_holds_nothing_up(
    ours: Project, make: Callable[[Path], None]
) -> None:
    ours.report.unlink(missing_ok=True)
    make(ours.report)
    assert suspects_of_last_report(ours) == set()
    if ours.report.is_dir():
        with pytest.raises(StorageError, match="phase2_readiness"):
            verdict_of_run(ours, "a run")
    else:
        assert verdict_of_run(ours, "a run").run_id == "a run"
        assert ours.report.is_file()


def test_a_version_that_leads_outside_is_not_written_through(ours: Project) -> None:
    """Making the same bytes again makes a version of its own; the link is set aside."""
    before = sorted(path.name for path in ours.store.path(SPLIT).iterdir())
    a_version_is_a_link(ours)
    outside = ours.storage.with_name("outside")
    (outside / "test.jsonl").write_bytes(b"theirs")
    Workbench(ours).make([SPLIT])
    assert not ours.store.path(SPLIT).is_symlink()
    assert ours.store.mismatches(SPLIT, deep=True) == []
    assert outside in {p.resolve() for p in (ours.storage / ".set-aside").rglob("*")}
    assert (outside / "test.jsonl").read_bytes() == b"theirs"
    assert sorted(path.name for path in outside.iterdir()) == before


def test_a_publication_that_leads_outside_is_not_written_through(ours: Project) -> None:
    home = ours.store.published.home(SPLIT)
    farm = (home / "current").resolve()
    outside = ours.storage.with_name("farm")
    shutil.move(farm, outside)
    farm.symlink_to(outside)
    (outside / "publication.json").write_bytes(b"theirs")
    ours.store.publish(ours.sets[SPLIT])
    assert ours.store.unpublished(ours.sets[SPLIT]) == []
    assert not farm.is_symlink()
    assert outside in {p.resolve() for p in (ours.storage / ".set-aside").rglob("*")}
    assert (outside / "publication.json").read_bytes() == b"theirs"


READ_ONLY = """
import subprocess, sys
from pathlib import Path
import wmtp_assets.cli.runs
from wmtp_assets.catalog import load_catalog
from wmtp_assets.cli import main
from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifacts.editions import planted, small
made = Project(load_catalog("sample"), Path(sys.argv[2]), sys.argv[3])
ours = planted(made, small(made.catalog, "optional"), Path(sys.argv[1]) / "storage")
wmtp_assets.cli.runs.open_project = lambda: ours
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
print("status", main(["gate"]), main(["verify"]), main(["materialize"]))
"""


def test_on_a_disk_that_is_read_only_the_gate_answers_and_a_run_is_refused_at_once(
    project: Project, tmp_path: Path
) -> None:
    run = in_a_mount_namespace(
        READ_ONLY, tmp_path, "size=64m", str(project.storage), str(project.hub_spec)
    )
    assert "The gate is OPEN" in run.stdout
    assert run.stdout.splitlines()[-1] == "status 0 0 2"
    report, refusal = run.stderr.splitlines()
    assert report.startswith("wmtp: Writing")
    assert "EROFS" in report
    for words in ("read-only", str(tmp_path / "storage"), "WMTP_STORAGE", "`wmtp verify`"):
        assert words in refusal
