"""What the tests of the frame share: the sample, materialized once, and copies of it to break.

The sample takes half a minute to make on two cores, so one storage is made for the whole session
(for both workers of xdist), and a test that changes something works on a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from wmtp_assets.artifacts import Project

DONE = "made.json"
HERE = Path(__file__).parent

# A busy machine makes any example slow, and a run of the same code tries the same examples.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")


def pytest_collection(session: pytest.Session) -> None:
    """Imports leave hardly any garbage: to look for it took a quarter of the time of collecting."""
    gc.disable()
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1 and [Path(one).resolve() for one in session.config.args] == [HERE]:
        import_all(int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) / workers)


def import_all(begin: float) -> None:
    """Imports every test module, from this part of them on and then from the first.

    pytest rewrites the asserts of what it imports, which takes seconds, and keeps the result in
    `__pycache__`. All workers would do so at the same time; if each begins elsewhere, it finds what
    the others rewrote.
    """
    sys.dont_write_bytecode = False
    paths = sorted(HERE.rglob("test_*.py"))
    first = int(len(paths) * begin)
    for path in (*paths[first:], *paths[:first]):
        parts = path.relative_to(HERE.parent).with_suffix("").parts
        # What cannot be imported is told when it is collected.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(parts))


def pytest_collection_finish() -> None:
    """Before the first test: what all of them have in common is worked out once."""
    if "dagster" in sys.modules:
        from wmtp_assets_tests.dagster_caches import install

        install()
    gc.collect()
    gc.freeze()  # modules and 6,000 tests stay: no collection need look at them again
    gc.enable()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """One folder for all workers of this session."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "sample-made-once"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def sample(shared_folder: Path) -> Path:
    """A folder with `hub/` (the sample), `storage/` (all of it made) and what Dagster said of it.

    Nobody writes here: `project` reads, `broken` is a copy.
    """
    from wmtp_assets_tests.worlds import made_anew  # seconds, which most tests need not pay

    with (shared_folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared_folder / DONE).exists():
            for leftover in ("hub", "storage"):
                shutil.rmtree(shared_folder / leftover, ignore_errors=True)
            said = made_anew(shared_folder)
            (shared_folder / DONE).write_text(json.dumps(said), encoding="utf-8")
    return shared_folder


@pytest.fixture(scope="session")
def project(sample: Path) -> Project:
    """The sample as it was made. Only for reading."""
    from wmtp_assets.artifacts import Project
    from wmtp_assets.catalog import load_catalog

    return Project(load_catalog("sample"), sample / "storage", str(sample / "hub"))


@pytest.fixture(scope="session")
def current_project(sample: Path, shared_folder: Path, project: Project) -> Project:
    """The sample for both generations of the contract, made in a copy. Only for reading.

    Without Dagster's engine and the checks, which take five times as long: test_further_formats.py
    runs both generations through them.
    """
    from wmtp_assets.artifacts import Project
    from wmtp_assets_tests.artifacts.workbench import Workbench
    from wmtp_assets_tests.worlds import both_generations

    folder = shared_folder / "both-generations"
    both = Project(both_generations(), folder / "storage", project.hub_spec)
    with (shared_folder / ".lock-both").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / DONE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(sample / "storage", folder / "storage", symlinks=True)
            Workbench(both).make(both.artifacts)
            (folder / DONE).touch()
    return both


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
def copied(sample: Path, tmp_path: Path, project: Project) -> Project:
    """A copy of the made storage, to break. Its source of bytes is the shared one."""
    from wmtp_assets.artifacts import Project

    shutil.copytree(sample / "storage", tmp_path / "storage", symlinks=True)
    return Project(project.catalog, tmp_path / "storage", project.hub_spec)


@pytest.fixture
def copied_current(current_project: Project, tmp_path: Path) -> Project:
    """A copy of the made storage of both generations, to break."""
    from wmtp_assets.artifacts import Project

    storage = tmp_path / "both-generations"
    shutil.copytree(current_project.storage, storage, symlinks=True)
    return Project(current_project.catalog, storage, current_project.hub_spec)
