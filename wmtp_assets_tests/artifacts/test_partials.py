"""What an interrupted fetch leaves: gc takes what no fetch will take up, and nothing else."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.unneeded_files import orphans
from wmtp_assets.artifacts.upstream_files import fetch_upstream
from wmtp_assets.cli import main
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.artifacts.editions import planted, small
from wmtp_assets_tests.storage.faults import FaultyDisk, Killed

GONE = RepoId("model", "org/dropped-from-the-catalog")


@pytest.fixture
def ours(memory: Path, project: Project) -> Project:
    return planted(project, small(project.catalog), memory / "storage")


def left_behind(project: Project) -> set[Path]:
    """Every file that a fetch left outside the repositories' own folders."""
    upstream = project.store.upstream
    return {path for path in upstream.glob(".*/**/*") if path.is_file()}


def killed_fetch(project: Project, repo: RepoId, source: Path, path: str, at: int) -> None:
    hub = open_hub(str(source))
    lock = Lock(project.storage / "assets.lock")
    with FaultyDisk(at), suppress(Killed):
        fetch(hub, repo, "main", [WantedFile(path)], project.store.upstream, lock, lambda _: None)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror of a repository that is in no catalog."""
    file = tmp_path / "mirror" / GONE.folder / "sub" / "weights.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(range(256)) * 200)
    return tmp_path / "mirror"


def test_a_partial_of_a_repository_that_is_no_longer_taken_goes(
    ours: Project, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = set()
    for at in range(1, 120):
        shutil.rmtree(ours.store.upstream / ".partial", ignore_errors=True)
        killed_fetch(ours, GONE, mirror, "sub/weights.bin", at)
        left = left_behind(ours)
        assert set(orphans(ours)) == left
        if {path.suffix for path in left} >= {".bytes", ".journal"}:
            break  # beside what kills between a file and its name left
    assert {path.suffix for path in left} >= {".bytes", ".journal"}
    monkeypatch.setattr("wmtp_assets.cli.versions.open_project", lambda: ours)
    assert main(["gc", "--dry-run"]) == 0
    assert left_behind(ours) == left
    assert main(["gc"]) == 0
    assert left_behind(ours) == set()


def test_a_partial_that_the_next_fetch_takes_up_stays(ours: Project) -> None:
    wanted = next(one for one in ours.upstream_files() if "humaneval" in one.repo.name)
    for path in (ours.store.upstream / wanted.repo.folder).rglob("*.parquet"):
        path.unlink()
    kept: set[Path] = set()
    for at in range(1, 120):
        shutil.rmtree(ours.store.upstream / ".partial", ignore_errors=True)
        with FaultyDisk(at), suppress(Killed):
            fetch_upstream(ours.hub(), wanted, ours.store.upstream, ours.lock, lambda _: None)
        kept = {path for path in left_behind(ours) if path.suffix == ".bytes"}
        if any(path.stat().st_size for path in kept):
            break
    assert kept
    assert list(orphans(ours)) == []
    ours.store.gc(keep=9, also=orphans(ours))
    assert kept <= left_behind(ours)
    fetch_upstream(ours.hub(), wanted, ours.store.upstream, ours.lock, lambda _: None)
    assert left_behind(ours) == set()


def test_files_are_recognized_by_name_within_a_repository_that_is_taken(ours: Project) -> None:
    from wmtp_assets.hub.fetch import stem_of

    repo = next(one for one in ours.upstream_files() if "humaneval" in one.repo.name)
    path = repo.files[0].path
    folder = ours.store.upstream / ".partial" / repo.repo.folder
    quarantine = ours.store.upstream / ".quarantine" / repo.repo.folder
    for place in (folder, quarantine):
        place.mkdir(parents=True)
    ours_now = [folder / f"{stem_of(path)}{suffix}" for suffix in (".bytes", ".journal")]
    ours_now.append(quarantine / stem_of(path))
    dropped = [
        folder / f"{stem_of('old/test.parquet')}{suffix}" for suffix in (".bytes", ".journal")
    ]
    dropped.append(quarantine / stem_of("old/test.parquet"))
    for file in (*ours_now, *dropped):
        file.write_bytes(b"1")
    assert set(orphans(ours)) == set(dropped)
    ours_now[0].unlink()  # published, and then the process died before the journal was removed
    assert set(orphans(ours)) == {*dropped, ours_now[1]}


def test_what_a_process_is_fetching_stays(ours: Project, mirror: Path) -> None:
    folder = ours.store.upstream / ".partial" / GONE.folder
    folder.mkdir(parents=True)
    journal = folder / "weights.bin-000000000000.journal"
    journal.write_bytes(b"{}\n")
    journal.with_suffix(".bytes").write_bytes(b"1")
    with journal.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert list(orphans(ours)) == []
    assert len(list(orphans(ours))) == 2
