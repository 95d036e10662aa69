"""`wmtp pin`, `mirror` and `doctor` as a person calls them, against the loopback Hub."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.upstream_files import fetch_upstream
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.cli import main
from wmtp_assets.hub.lock import Lock
from wmtp_assets.sample import write_sample
from wmtp_assets_tests.hub.conftest import CANARY, QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.upstreams import EVALSET, TOKENIZER, files_of, serve, write_catalog
from wmtp_assets_tests.hub.world import Fault


class Mine:
    """A catalog of one's own in the environment, and the Hub that it names."""

    def __init__(self, folder: Path, loopback: LoopbackHub) -> None:
        self.folder, self.loopback, self.path = folder, loopback, folder / "mine.yaml"
        self.commits = serve(loopback.world, folder / "hub", gated=[TOKENIZER])
        loopback.world.tokens[CANARY].add(TOKENIZER)

    def write(self, revision: str | None = None, **words: object) -> Catalog:
        """The catalog, at `revision` of the model (its commit when None)."""
        revisions = self.commits | ({TOKENIZER: revision} if revision else {})
        return write_catalog(self.path, revisions, **words)

    def moves(self) -> str:
        """Upstream's main branch goes on to another commit, of another tokenizer."""
        files = files_of(self.folder / "hub", TOKENIZER) | {"tokenizer.model": b"another"}
        return self.loopback.world.commit("model", TOKENIZER, files, gated=True)

    @property
    def project(self) -> Project:
        return Project(load_catalog(self.path), self.folder / "storage")


@pytest.fixture
def mine(tmp_path: Path, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> Mine:
    write_sample(tmp_path / "hub")
    monkeypatch.setenv("WMTP_CATALOG", str(tmp_path / "mine.yaml"))
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "storage"))
    monkeypatch.delenv("WMTP_HUB", raising=False)
    return Mine(tmp_path, loopback)


# Pins.


def test_a_branch_in_a_catalog_that_wants_commits_is_refused_before_anything_is_asked(
    mine: Mine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.write("main", commits_only=True)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for command in (["materialize", "models/tokenizer_raw"], ["mirror", str(tmp_path / "m")]):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"{TOKENIZER} is not pinned to a commit. Expected: 40 hex digits. Found: main" in (
            error
        )
        assert f"`wmtp pin {TOKENIZER} main` writes down the commit that main is now" in error
    assert mine.loopback.world.seen == []
    assert not (tmp_path / "m").exists()


def test_pin_writes_down_the_commit_that_a_branch_is_now_and_the_catalog_stays_at_it(
    mine: Mine, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write("main", commits_only=True)
    assert main(["pin", TOKENIZER, "main"]) == 0
    commit = mine.commits[TOKENIZER]
    assert f"revision of {TOKENIZER}: main -> {commit}" in capsys.readouterr().out
    mine.moves()
    assert load_catalog(mine.path).upstreams()["meta-llama-mtp"].revision == commit
    assert mine.path.read_text().startswith("# mine\n")


def test_a_branch_in_a_catalog_of_ones_own_is_resolved_once_and_written_down(mine: Mine) -> None:
    mine.write("main")
    project = mine.project
    (wanted,) = [one for one in project.upstream_files() if one.repo.name == TOKENIZER]
    first, _ = fetch_upstream(project.hub(), wanted, project.store.upstream, project.lock, print)
    assert first == mine.commits[TOKENIZER] == project.lock.commit(wanted.repo)
    mine.moves()
    again, files = fetch_upstream(
        project.hub(), wanted, project.store.upstream, project.lock, print
    )
    assert again == first
    assert [file.received for file in files] == [0, 0, 0]


def test_a_pin_can_be_moved_where_upstream_cannot_be_asked_and_that_is_said(
    mine: Mine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.write()
    monkeypatch.setenv("WMTP_HUB", str(mine.folder / "empty-mirror"))
    assert main(["pin", EVALSET, "c0ffee" * 6 + "beef"]) == 0
    said = capsys.readouterr()
    assert "revision of openai/openai_humaneval" in said.out
    assert "upstream was not asked for digests. The mirror has no dataset" in said.err
    assert load_catalog(mine.path).datasets["humaneval"].upstream.pinned
    # A branch has no commit without upstream.
    assert main(["pin", EVALSET, "main"]) == 2
    assert "The mirror has no dataset" in capsys.readouterr().err


def _with_digest(mine: Mine, path: str, digest: str) -> None:
    """Let the catalog name the SHA-256 of one of its files."""
    text = mine.path.read_text()
    assert f"path: {path}" in text or f"- {path}" in text or f": {path}" in text
    value = yaml.safe_load(text)
    files = value["models"]["meta-llama-mtp"]["files"]
    files["tokenizer"] = {"path": path, "sha256": digest}
    mine.path.write_text("# mine\n" + yaml.safe_dump(value, sort_keys=False))


def test_a_digest_that_upstream_hides_is_not_written_down_and_the_hint_works(
    mine: Mine, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write("main")
    _with_digest(mine, "tokenizer.model", "b" * 64)
    before = mine.path.read_bytes()
    mine.loopback.world.hides = True
    mine.loopback.world.tokens[CANARY].clear()
    assert main(["pin", TOKENIZER, "main"]) == 2
    error = capsys.readouterr().err
    assert "Upstream does not show the sha256 of " in error
    assert "ask for access" in error
    assert "*" * 64 not in error
    assert mine.path.read_bytes() == before
    mine.loopback.world.tokens[CANARY].add(TOKENIZER)  # the account was let in
    assert main(["pin", TOKENIZER, "main"]) == 0
    right = mine.loopback.world.files("model", TOKENIZER)["tokenizer.model"].sha256
    assert f"sha256 of tokenizer.model: {'b' * 64} -> {right}" in capsys.readouterr().out
    assert "*" not in mine.path.read_text()


@pytest.mark.parametrize("sha", ["d" * 40, "../../etc", "", "D" * 40, "d" * 64])
@pytest.mark.parametrize("command", ["pin", "pin main", "mirror"])
def test_a_server_with_another_commit_is_refused_by_pin_and_mirror(
    command: str, sha: str, mine: Mine, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("wmtp_assets.hub.source.Policy", lambda: QUICK)
    mine.write()
    before = mine.path.read_bytes()
    mine.loopback.world.sha = sha
    root = mine.folder / "mirror"
    called = {
        "pin": ["pin", TOKENIZER, mine.commits[TOKENIZER]],
        "pin main": ["pin", TOKENIZER, "main"],
        "mirror": ["mirror", str(root)],
    }[command]
    refused = sha == "d" * 40
    if command == "pin main" and refused:
        assert main(called) == 0, "a branch is whatever commit the server says"
        return
    if command == "pin" and not refused:
        assert main(called) == 0, "a commit is a commit where upstream cannot be understood"
        assert "not 40 hex digits" in capsys.readouterr().err
        return
    assert main(called) == 2
    error = capsys.readouterr().err
    assert ("another commit" if refused else "not 40 hex digits") in error
    assert mine.path.read_bytes() == before
    assert not list(root.rglob("*.pth"))
    mine.loopback.world.sha = None
    assert main(called) == 0


def test_a_pin_to_a_commit_that_the_hub_does_not_have_is_refused(
    mine: Mine, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write()
    before = mine.path.read_bytes()
    assert main(["pin", TOKENIZER, "d" * 40]) == 2
    assert "has no revision" in capsys.readouterr().err
    assert mine.path.read_bytes() == before


def test_a_pin_of_a_shipped_catalog_says_what_to_do_and_exits_2(
    mine: Mine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMTP_CATALOG", "full")
    assert main(["pin", TOKENIZER, "main"]) == 2
    error = capsys.readouterr().err
    assert "full.yaml catalog.yaml && export WMTP_CATALOG=catalog.yaml" in error
    assert mine.loopback.world.seen == []


# Mirrors.


def test_a_mirror_is_completed_after_a_break_verifies_with_stock_tools_and_is_fetched_from(
    mine: Mine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine.write()
    root = mine.folder / "mirror"
    mine.loopback.world.faults["7B_1T_4/consolidated.pth"] = Fault("403 bare")
    assert main(["mirror", str(root)]) == 2
    assert "blocked" in capsys.readouterr().err
    mine.loopback.world.faults.clear()
    mine.loopback.world.forget()
    assert main(["mirror", str(root)]) == 0
    said = capsys.readouterr().out
    assert "4 files are in" in said
    assert f"WMTP_HUB={root}" in said
    assert mine.loopback.world.bodies("tokenizer.model") == [], "what was there is kept"
    subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=root, check=True)

    # A machine without a network fetches from it, and gets the same bytes of the same commits.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    project = Project(load_catalog(mine.path), mine.folder / "storage", str(root))
    for wanted in project.upstream_files():
        fetch_upstream(project.hub(), wanted, project.store.upstream, project.lock, print)
    told = [
        {
            folder: (repo.commit, {path: file.sha256 for path, file in repo.files.items()})
            for folder, repo in lock.repos().items()
        }
        for lock in (project.lock, Lock(root / "assets.lock"))
    ]
    assert told[0] == told[1]
    assert {commit for commit, _ in told[0].values()} == set(mine.commits.values())


# The doctor.


def test_the_doctor_exits_0_when_all_is_well_and_tells_a_program_each_fact(
    mine: Mine, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write(commits_only=True)
    assert main(["doctor", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["sound"] is True
    names = {fact["name"] for fact in said["facts"]}
    assert names == {
        "python",
        "packages",
        "disk",
        "file_system",
        "memory",
        "sandbox",
        "token",
        "repository",
        "licence",
        "webhook",
    }
    assert main(["doctor"]) == 0
    page = capsys.readouterr().out
    assert f"ok  repository: {TOKENIZER}: open, 3 files" in page
    assert page.endswith("Ready for a full run.\n")
    assert not [seen for seen in mine.loopback.world.seen if seen.method == "GET" and seen.sent
                and not seen.path.startswith("api/")], "nothing is fetched"  # fmt: skip


def test_the_doctor_tells_a_branch_that_would_be_refused_and_the_commit_that_it_is(
    mine: Mine, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.write("main", commits_only=True)
    assert main(["doctor"]) == 1
    page = capsys.readouterr().out
    assert f"!!  pin: {TOKENIZER} is at main, which moves" in page
    assert f"wmtp pin {TOKENIZER} main" in page
    assert f"main is {mine.commits[TOKENIZER]} now" in page
    assert "\n1 problem stands in the way.\n" in page


@pytest.mark.slow
def test_the_doctor_on_full_without_a_network_says_so_once_and_soon(
    tmp_path: Path,
) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("WMTP_", "HF_"))
    }
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the slowest: accepts, says nothing
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        done = subprocess.run(
            [Path(sys.executable).with_name("wmtp"), "doctor"],
            env=environment
            | {
                "WMTP_CATALOG": "full",
                "WMTP_STORAGE": str(tmp_path),
                "HF_ENDPOINT": f"http://{address}",
                "HF_HOME": str(tmp_path / "nobody"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert time.monotonic() - began < 180  # the policy of a fetch waits for longer
    assert done.returncode == 1
    assert done.stdout.count("None of the 6 repositories was asked") == 1
    assert done.stdout.count("an answer from") == 1
    assert done.stdout.count(f"wmtp pin {TOKENIZER} main") == 1
    assert done.stderr == ""
