"""0 sound, 1 wrong with what is stored, 2 could not be attempted; never a traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.signing import signature_path
from wmtp_assets.cli import _parser, main
from wmtp_assets.hub import client_settings
from wmtp_assets.hub.files import LOCK_NAME
from wmtp_assets.orchestration.home import enter_home
from wmtp_assets.pages.report import LANGUAGES, file_name
from wmtp_assets.storage.aside import FOLDER
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.preflight import MARKS, OWN, require_storage
from wmtp_assets_tests.artifacts.editions import small
from wmtp_assets_tests.hub.authorities import make_authority
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.tiny import Tiny

SPLIT = "datasets/humaneval_test"
EVERY = [
    ("materialize",),
    ("verify",),
    ("gate",),
    ("list",),
    ("doctor",),
    ("mirror", "mirrored"),
    ("pin", "openai/openai_humaneval", "main"),
    ("history", "datasets/humaneval_test"),
    ("rollback", "datasets/humaneval_test"),
    ("gc", "--dry-run"),
    ("sign", "--key", "none.pem"),
    ("validate",),
    ("ui", "--port", "1"),
]


@pytest.fixture
def world(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    catalog = small(project.catalog, "optional")
    made = tiny.empty(tmp_path / "world", catalog, Path(str(project.hub_spec)))
    for name in tiny.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.folder)
    return made


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that exits 2 says: one line, and no traceback."""
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("wmtp: "), error
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("arguments", EVERY, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WMTP_CATALOG", "nowhere.yaml"),
        ("WMTP_CATALOG", "~nobody-of-that-name/my.yaml"),
        ("WMTP_STORAGE", "https://example.org/storage"),
    ],
)
def test_an_environment_that_is_wrong_is_one_line(
    world: Tiny,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    name: str,
    value: str,
) -> None:
    monkeypatch.setenv(name, value)
    refused(capsys, *arguments)


@pytest.mark.parametrize("arguments", [("materialize",), ("ui",), ("validate",)])
def test_a_home_that_cannot_be_is_one_line(
    world: Tiny,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    (world.folder / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(world.folder / "file"))
    assert "DAGSTER_HOME" in refused(capsys, *arguments)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_relative_certificates_are_found_from_dagsters_folder(
    name: str, world: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(world.folder / "ca")
    named = authority.certificate if name != "SSL_CERT_DIR" else authority.certificate.parent
    monkeypatch.setenv(name, os.path.relpath(named))
    assert main(["list"]) == 0
    enter_home(world.project)
    client_settings.tls()


@pytest.mark.parametrize(
    ("given", "kept"), [("here", "{0}/here"), ("/there", "/there"), ("~/x", "~/x"), ("", "")]
)
@pytest.mark.parametrize("name", ["HF_HOME", "HF_TOKEN_PATH", "HF_XET_CACHE", "XDG_CACHE_HOME"])
def test_paths_of_huggingface_hub_are_from_the_root_before_it_is_imported(
    name: str, given: str, kept: str, world: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, given)
    assert main(["list"]) == 0
    assert os.environ[name] == kept.format(world.folder)


@pytest.mark.parametrize("arguments", [("gate",), ("verify",)])
def test_what_was_never_made_is_wrong_and_not_refused(
    world: Tiny, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(list(arguments)) == 1
    assert "does not exist yet" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("gate",), ("gc",), ("report",), ("rollback", SPLIT)])
def test_nothing_is_written_into_a_folder_that_is_no_storage(
    world: Tiny,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    mine = world.folder / "mine" / "versions"
    mine.mkdir(parents=True)
    (mine.parent / "photo").write_text("x", encoding="utf-8")
    monkeypatch.setenv("WMTP_STORAGE", str(mine.parent))
    assert "this folder is not one" in refused(capsys, *arguments)
    assert sorted(path.name for path in mine.parent.iterdir()) == ["photo", "versions"]
    assert list(mine.iterdir()) == []


def test_everything_that_is_put_into_a_storage_makes_it_one(copied: Project) -> None:
    assert {path.name for path in copied.storage.iterdir()} <= OWN
    assert {file_name(language) for language in LANGUAGES} <= OWN
    assert {LOCK_NAME, FOLDER, signature_path(copied).name, copied.report.name} <= OWN
    tops = {path.split("/")[0] for one in copied.sets.values() for path in one.links}
    assert {*tops, LOCK_NAME, copied.report.name} <= MARKS <= OWN
    for mark in MARKS:
        folder = copied.storage.with_name(f"with {mark}")
        folder.mkdir()
        (folder / "photo").touch()
        with pytest.raises(StorageError):
            require_storage(folder, "The gate")
        (folder / mark).mkdir()
        require_storage(folder, "The gate")


@pytest.mark.parametrize("names", [(), (".gitkeep",), ("lost+found",), ("sample",)])
def test_an_empty_folder_may_become_a_storage(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    require_storage(tmp_path, "The gate")
    require_storage(tmp_path / "none", "The gate")


def test_a_storage_that_is_a_file_is_one_line(
    world: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "file").write_text("x", encoding="utf-8")
    monkeypatch.setenv("WMTP_STORAGE", str(world.folder / "file"))
    assert main(["materialize", "models/tokenizer_raw"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_cannot_fetch_could_not_be_attempted(
    world: Tiny,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    catalog = small(project.catalog, "optional").model_copy(update={"hub": "huggingface"})
    # Pinned: the commit of a branch or tag would be asked for before the run.
    text = tiny.catalog_text(catalog).replace("sample-4", "1d" * 20)
    world.catalog.write_text(text, encoding="utf-8")
    monkeypatch.delenv("WMTP_HUB")
    with socket.socket() as closed:  # nobody listens on a port that is bound only
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert main(["materialize", "models/tokenizer_raw"]) == 2
    said = capfd.readouterr()
    assert "FAILED: doctor" in said.out
    assert "Traceback" not in said.err
    assert said.err.count("Dependencies for step") == 0
    assert said.err.count("were not tried") == 1


def test_an_unexpected_error_is_one_line_and_says_how_to_see_more(
    world: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> Project:
        raise KeyError("surprise")

    monkeypatch.setattr("wmtp_assets.cli.versions.open_project", broken)
    assert "WMTP_DEBUG=1" in refused(capsys, "history", "x")
    monkeypatch.setenv("WMTP_DEBUG", "1")
    assert main(["history", "x"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_relative_paths_work_from_where_the_user_stands(world: Tiny) -> None:
    environment = world.environment(
        WMTP_CATALOG="catalog.yaml",
        WMTP_STORAGE="storage",
        WMTP_HUB=os.path.relpath(world.hub, world.folder),
        DAGSTER_HOME="home",
    )
    wmtp = Path(sys.executable).with_name("wmtp")
    command = [wmtp, "materialize", "group:humaneval"]
    done = subprocess.run(
        command, cwd=world.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (world.storage / "datasets_v2/humaneval/processed/test.jsonl").is_file()
    assert "BetaWarning" not in done.stderr


def test_port_0_is_one_that_is_free() -> None:
    assert 0 < _parser().parse_args(["ui", "--port", "0"]).port < 65536
    assert _parser().parse_args(["run", "--port", "3001"]).port == 3001


@pytest.mark.parametrize("port", ["-1", "65536", "http", ""])
def test_what_is_no_port_is_reported_to_who_serves_and_to_nobody_else(
    world: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["ui", f"--port={port}"])
    assert ended.value.code == 2
    monkeypatch.setenv("PORT", port or "-")
    assert main(["list"]) == 0
    with pytest.raises(SystemExit):
        main(["ui"])
    assert "expected a port, 0 to 65535" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_one_line(world: Tiny) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [Path(sys.executable).with_name("wmtp"), "list"],
            env=world.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == "wmtp: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_changes_no_status(closed: str, tmp_path: Path) -> None:
    """And no file that is opened later gets its number."""
    code = (
        "import os, sys; from wmtp_assets.cli import main, notify; "
        "run = notify._notify; "
        "notify._notify = lambda given: run(given) + 3 * (os.open('file', os.O_CREAT) < 3); "
        "sys.argv = ['wmtp', 'notify']; main()"
    )
    done = subprocess.run(
        ["/bin/bash", "-c", f'"$1" -c "$2" {closed}', "bash", sys.executable, code],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("WMTP_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
