"""What the tests of artifacts share: the newer edition, and the whole sample in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifacts.editions import newer_hub


@pytest.fixture(scope="session")
def new_hub(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mirror that has the new edition."""
    return newer_hub(sample / "hub", tmp_path_factory.mktemp("newer") / "hub")


@pytest.fixture
def at_hand(memory: Path, sample: Path, project: Project) -> Project:
    """The whole sample's storage in memory, to break."""
    shutil.copytree(sample / "storage", memory / "storage", symlinks=True)
    return Project(project.catalog, memory / "storage", project.hub_spec)
