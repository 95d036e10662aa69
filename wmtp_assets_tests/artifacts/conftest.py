"""What the gatekeeping tests share: the small editions, in memory where the machine can."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifacts.editions import newer_hub


@pytest.fixture(scope="session")
def new_hub(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mirror that has the new edition."""
    return newer_hub(sample / "hub", tmp_path_factory.mktemp("newer") / "hub")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: a sweep copies its world for every point."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="wmtp-tests-", dir=shared))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def at_hand(memory: Path, sample: Path, project: Project) -> Project:
    """The whole sample's storage in memory, to break."""
    shutil.copytree(sample / "storage", memory / "storage", symlinks=True)
    return Project(project.catalog, memory / "storage", project.hub_spec)
