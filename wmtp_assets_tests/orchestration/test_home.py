"""Where Dagster's history goes, whatever DAGSTER_HOME says and wherever the package lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.orchestration import home as module
from wmtp_assets.orchestration.home import HomeError, enter_home, home, open_instance

CHECKOUT = Path(__file__).parents[2]
OURS = Path(module.__file__).with_name("dagster.yaml")


def test_a_relative_home_is_taken_from_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert home({"DAGSTER_HOME": "mine"}) == tmp_path / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home({"DAGSTER_HOME": "~/yours"}) == tmp_path / "yours"


@pytest.mark.parametrize("there", [False, True])
def test_an_absent_or_empty_home_is_set_up(tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "deep" / "home"
    if there:
        folder.mkdir(parents=True)
    assert home({"DAGSTER_HOME": str(folder)}) == folder
    assert (folder / "dagster.yaml").read_bytes() == OURS.read_bytes()


def test_what_is_in_a_home_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    assert home({"DAGSTER_HOME": str(tmp_path)}) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["dagster.yaml"]
    (tmp_path / "dagster.yaml").rename(tmp_path / "another")
    assert home({"DAGSTER_HOME": str(tmp_path)}) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["another"]


@pytest.mark.parametrize("config", ["telemetry: {enabled: false}\n", None])
def test_a_home_with_only_a_dagster_yaml_or_none_keeps_a_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    if config:
        (tmp_path / "dagster.yaml").write_text(config, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    enter_home()
    with open_instance() as instance:
        assert list(instance.get_runs()) == []


@pytest.mark.parametrize("text", ["storage: [", "storage: {nonsense: 1}\n", "- a list\n"])
def test_a_dagster_yaml_that_is_none_is_one_error_that_names_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "dagster.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    enter_home()
    with pytest.raises(HomeError, match=r"dagster\.yaml") as refused, open_instance():
        pass
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_home_that_is_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in ("file", "file/below"):
        with pytest.raises(HomeError, match="DAGSTER_HOME"):
            home({"DAGSTER_HOME": str(tmp_path / path)})


def test_without_a_variable_the_checkout_is_the_home() -> None:
    assert home({}) == CHECKOUT
    assert (CHECKOUT / "dagster.yaml").read_bytes() == OURS.read_bytes()


def test_an_installed_package_keeps_its_history_with_the_user(tmp_path: Path) -> None:
    shutil.copytree(
        CHECKOUT / "wmtp_assets",
        tmp_path / "installed" / "wmtp_assets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    said = where_home_is(tmp_path / "installed", tmp_path)
    assert said == str(tmp_path / "state" / "wmtp")
    assert (tmp_path / "state" / "wmtp" / "dagster.yaml").read_bytes() == OURS.read_bytes()


def where_home_is(package: Path, folder: Path) -> str:
    environment = {n: v for n, v in os.environ.items() if n not in ("DAGSTER_HOME", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, "-c", "from wmtp_assets.orchestration.home import home; print(home())"],
        cwd=package,
        env=environment | {"XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
