"""Where Dagster's history goes: whose it is, and whatever DAGSTER_HOME says."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.orchestration import home as module
from wmtp_assets.orchestration.home import HomeError, enter_home, home, open_instance

CHECKOUT = Path(__file__).parents[2]
OURS = Path(module.__file__).with_name("dagster.yaml")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(load_catalog("sample"), tmp_path / "storage")


def entered(project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.storage.parent)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    enter_home(project)


def test_a_relative_home_is_taken_from_where_the_user_stands(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home(project, {"DAGSTER_HOME": "mine"}) == tmp_path / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home(project, {"DAGSTER_HOME": "~/yours"}) == tmp_path / "yours"


@pytest.mark.parametrize("there", [False, True])
def test_an_absent_or_empty_home_is_set_up(tmp_path: Path, project: Project, there: bool) -> None:
    folder = tmp_path / "deep" / "home"
    if there:
        folder.mkdir(parents=True)
    assert home(project, {"DAGSTER_HOME": str(folder)}) == folder
    assert (folder / "dagster.yaml").read_bytes() == OURS.read_bytes()


def test_what_is_in_a_home_stays_as_it_is(tmp_path: Path, project: Project) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    assert home(project, {"DAGSTER_HOME": str(folder)}) == folder
    assert {path.name for path in folder.iterdir()} == {"dagster.yaml", ".dagster"}
    assert (folder / "dagster.yaml").read_text(encoding="utf-8").startswith("telemetry")
    (folder / "dagster.yaml").rename(folder / "another")
    assert home(project, {"DAGSTER_HOME": str(folder)}) == folder
    assert {path.name for path in folder.iterdir()} == {"another", ".dagster"}


@pytest.mark.parametrize("config", ["telemetry: {enabled: false}\n", None])
def test_a_home_with_only_a_dagster_yaml_or_none_keeps_a_history(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    if config:
        (tmp_path / "dagster.yaml").write_text(config, encoding="utf-8")
    entered(project, tmp_path, monkeypatch)
    with open_instance() as instance:
        assert list(instance.get_runs()) == []


@pytest.mark.parametrize("text", ["storage: [", "storage: {nonsense: 1}\n", "- a list\n"])
def test_a_dagster_yaml_that_is_none_is_one_error_that_names_the_home(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    entered(project, tmp_path, monkeypatch)
    with pytest.raises(HomeError, match=r"dagster\.yaml") as refused, open_instance():
        pass
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_home_that_is_a_file_is_one_error(tmp_path: Path, project: Project) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in ("file", "file/below"):
        with pytest.raises(HomeError, match="DAGSTER_HOME"):
            home(project, {"DAGSTER_HOME": str(tmp_path / path)})


def test_without_a_variable_each_storage_and_each_catalog_has_a_home_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", checkout)
    there = checkout / "wmtp_assets" / "orchestration" / "home.py"
    monkeypatch.setattr(module, "__file__", str(there))
    sample, full = load_catalog("sample"), load_catalog("full")
    projects = [
        Project(catalog, tmp_path / storage) for catalog in (sample, full) for storage in "ab"
    ]
    homes = [home(project, {}) for project in projects]
    assert len(set(homes)) == 4
    assert [home(project, {}) for project in projects] == homes
    assert {path.parent for path in homes} == {checkout / ".dagster" / "homes"}
    (checkout / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    for path in homes:  # one configuration for all
        assert (path / "dagster.yaml").read_bytes() == (checkout / "dagster.yaml").read_bytes()


def test_the_history_that_all_storages_shared_becomes_that_of_the_first(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(CHECKOUT / "dagster.yaml", checkout)
    monkeypatch.setattr(module, "__file__", str(checkout / "wmtp_assets/orchestration/home.py"))
    monkeypatch.setenv("DAGSTER_HOME", str(checkout))
    monkeypatch.chdir(checkout)
    with open_instance() as instance:
        instance.add_run(run_of_an_earlier_version())
    monkeypatch.delenv("DAGSTER_HOME")
    there = enter_home(project)
    assert there != checkout
    with open_instance() as instance:
        assert len(instance.get_runs()) == 1
    assert not (checkout / ".dagster" / "history").exists()
    second = Project(project.catalog, tmp_path / "another")
    assert not (home(second, {}) / ".dagster" / "history").exists()


def run_of_an_earlier_version() -> dg.DagsterRun:
    return dg.DagsterRun("materialize_all", status=dg.DagsterRunStatus.SUCCESS)


def test_a_home_of_an_earlier_version_gets_the_present_configuration(
    tmp_path: Path, project: Project
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    earlier = Path(__file__).with_name("dagster-of-an-earlier-version.yaml")
    shutil.copy(earlier, folder / "dagster.yaml")
    home(project, {"DAGSTER_HOME": str(folder)})
    assert (folder / "dagster.yaml").read_bytes() == OURS.read_bytes()


def test_a_home_of_another_storage_or_catalog_is_refused_and_the_remedy_works(
    tmp_path: Path, project: Project
) -> None:
    given = {"DAGSTER_HOME": str(tmp_path / "home")}
    home(project, given)
    others = [
        Project(project.catalog, tmp_path / "elsewhere"),
        Project(load_catalog("full"), project.storage),
    ]
    for other in others:
        with pytest.raises(HomeError, match="belongs to another storage or catalog") as refused:
            home(other, given)
        for words in (str(other.storage), str(project.storage), "catalog sample"):
            assert words in str(refused.value)
    home(project, given)
    remedy = str(refused.value).rpartition("`rm ")[2].partition("`")[0]
    subprocess.run(["rm", *shlex.split(remedy)], check=True)
    assert home(others[-1], given) == tmp_path / "home"


def test_a_home_and_its_storage_may_be_moved_together_or_apart(
    tmp_path: Path, project: Project
) -> None:
    (tmp_path / "world").mkdir()
    first = Project(project.catalog, tmp_path / "world" / "storage")
    home(first, {"DAGSTER_HOME": str(tmp_path / "world" / "home")})
    (tmp_path / "world").rename(tmp_path / "moved")
    second = Project(project.catalog, tmp_path / "moved" / "storage")
    home(second, {"DAGSTER_HOME": str(tmp_path / "moved" / "home")})
    (tmp_path / "moved" / "home").rename(tmp_path / "home")
    home(second, {"DAGSTER_HOME": str(tmp_path / "home")})
    record = json.loads((tmp_path / "home" / ".dagster" / "belongs-to.json").read_bytes())
    assert record["storage_from_home"] == "../moved/storage"


def open_at_once(folder: str, storage: str, begin: object) -> None:
    begin.wait()  # type: ignore[attr-defined]
    os.environ["DAGSTER_HOME"] = folder
    enter_home(Project(load_catalog("sample"), Path(storage)))
    with open_instance() as instance:
        assert instance.get_runs() == []


@pytest.mark.slow
def test_three_processes_may_open_a_new_home_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    where = (str(tmp_path / "home"), str(tmp_path / "storage"), context.Barrier(3))
    processes = [context.Process(target=open_at_once, args=where) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_a_home_that_two_processes_broke_is_named_and_the_remedy_works(
    tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "the home"
    entered(project, folder, monkeypatch)
    with open_instance():
        pass
    with sqlite3.connect(folder / ".dagster/history/history/runs.db") as database:
        database.execute("INSERT INTO alembic_version VALUES ('5771160a95ad')")
    database.close()
    with pytest.raises(HomeError, match="more than one head") as refused, open_instance():
        pass
    assert str(folder) in str(refused.value)
    remedy = str(refused.value).rpartition("`mv ")[2].partition("`")[0]
    subprocess.run(["mv", *shlex.split(remedy)], check=True)
    with open_instance() as instance:
        assert instance.get_runs() == []


def test_a_home_with_settings_for_the_page_alone_is_refused_and_the_remedy_works(
    tmp_path: Path, project: Project
) -> None:
    folder = tmp_path / "the home"
    folder.mkdir()
    (folder / ".env").write_text("WMTP_CATALOG=full\n", encoding="utf-8")
    with pytest.raises(HomeError, match=r"contains a \.env") as refused:
        home(project, {"DAGSTER_HOME": str(folder)})
    move, export = re.findall("`([^`]*)`", str(refused.value))
    subprocess.run(["/bin/sh", "-c", move], check=True)
    assert home(project, {"DAGSTER_HOME": str(folder)}) == folder
    said = subprocess.run(
        ["/bin/sh", "-c", f"{export}; env"], check=True, capture_output=True, text=True
    )
    assert "WMTP_CATALOG=full" in said.stdout.splitlines()


def test_the_checkout_and_the_package_ship_one_configuration() -> None:
    for path in (OURS, OURS.with_name("dagster.postgres.yaml")):
        assert (CHECKOUT / path.name).read_bytes() == path.read_bytes()


def test_the_configuration_for_postgres_differs_in_the_storage_alone() -> None:
    usual = yaml.safe_load(OURS.read_bytes())
    other = yaml.safe_load(OURS.with_name("dagster.postgres.yaml").read_bytes())
    del usual["storage"]
    (url,) = other.pop("storage")["postgres"].values()
    assert other == usual
    # Who asks, and with which password, is said by the environment.
    assert re.fullmatch(r"postgresql\+psycopg2:///\?[a-z_=&0-9]*", url)


def test_an_installed_package_keeps_its_history_with_the_user(tmp_path: Path) -> None:
    shutil.copytree(
        CHECKOUT / "wmtp_assets",
        tmp_path / "installed" / "wmtp_assets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    said = where_home_is(tmp_path / "installed", tmp_path)
    assert said.parent == tmp_path / "state" / "wmtp" / ".dagster" / "homes"
    assert (said / "dagster.yaml").read_bytes() == OURS.read_bytes()


def where_home_is(package: Path, folder: Path) -> Path:
    environment = {n: v for n, v in os.environ.items() if n not in ("DAGSTER_HOME", "PYTHONPATH")}
    code = (
        "from wmtp_assets.artifacts import Project\nfrom wmtp_assets.catalog import load_catalog\n"
        "from wmtp_assets.orchestration.home import home\nfrom pathlib import Path\n"
        "print(home(Project(load_catalog('sample'), Path('storage'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=package,
        env=environment | {"XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())
