"""State files of every unreadable kind: the next fetch sets them aside and gets the right bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.settings import Settings
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.cli import main
from wmtp_assets.errors import WmtpError
from wmtp_assets.hub import partial
from wmtp_assets.hub.fetch import fetch, stem_of
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.names import UnsafeNameError
from wmtp_assets.hub.source import open_hub
from wmtp_assets.sample import write_sample
from wmtp_assets.storage.aside import UNREADABLE
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import mutate_bytes
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.fetching import REPO
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.world import Fault
from wmtp_assets_tests.storage.accounts import hand_over, unprivileged

PATH = "sub/weights.bin"
RIGHT = random.Random(8).randbytes(90_000)
STEM = f"{REPO.folder}/{stem_of(PATH)}"


class Storage:
    """A storage in which `PATH` has arrived in part, and another file is recorded."""

    def __init__(self, root: Path, source: Path) -> None:
        self.root, self.source = root, source
        self.into = root / "upstream"
        self.lock = Lock(root / "assets.lock")
        self.journal = self.into / ".partial" / f"{STEM}.journal"
        self.bytes = self.into / ".partial" / f"{STEM}.bytes"
        self.quarantined = self.into / ".quarantine" / STEM
        self.log: list[str] = []

    def fetch(self) -> None:
        hub = open_hub(str(self.source), QUICK)
        fetch(hub, REPO, "main", [WantedFile(PATH)], self.into, self.lock, self.log.append)

    def check(self) -> None:
        """The file stands with the right bytes, and is recorded."""
        assert (self.into / REPO.folder / PATH).read_bytes() == RIGHT
        held = self.lock.file(REPO, PATH)
        assert held is not None
        assert held.sha256 == hashlib.sha256(RIGHT).hexdigest()
        left = [path for path in (self.into / ".partial").rglob("*") if not path.is_dir()]
        assert [path for path in left if UNREADABLE not in str(path)] == []


@pytest.fixture
def template(tmp_path: Path) -> Storage:
    source = tmp_path / "source"
    (source / REPO.folder / "sub").mkdir(parents=True)
    (source / REPO.folder / PATH).write_bytes(RIGHT)
    (source / REPO.folder / "other.txt").write_bytes(b"other")
    os.utime(source / REPO.folder / PATH, ns=(10**18, 10**18))
    storage = Storage(tmp_path / "template", source)
    fetch(
        open_hub(str(source), QUICK), REPO, "main", [WantedFile("other.txt")],
        storage.into, storage.lock, print,
    )  # fmt: skip
    with partial.Partial.claim(storage.journal.with_suffix(""), print) as arriving:
        etag = f"{len(RIGHT)}-{10**18}"
        arriving.begin(partial.Identity("directory", etag, len(RIGHT), None))
        arriving.write(0, memoryview(RIGHT[:30_000]))
        arriving.write(40_000, memoryview(RIGHT[40_000:50_000]))
        arriving.remember_validator(etag)
    storage.quarantined.parent.mkdir(parents=True)
    storage.quarantined.write_bytes(b"what arrived wrong once")
    return storage


def copy(template: Storage, to: Path) -> Storage:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(template.root, to, symlinks=True)
    return Storage(to, template.source)


def test_the_template_resumes(template: Storage) -> None:
    template.fetch()
    template.check()
    assert any("continues from 40,000" in line for line in template.log)


CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "torn in the middle of its last line": lambda data: data[:-5],
    "a torn line that another follows": lambda data: data[:-5] + b"\n" + data[-30:],
    "an etag that is cut off": lambda data: data + b'"abc\n',
    "an etag beyond ASCII": lambda data: data + b'"caf\xc3\xa9"\n"\\u00e9"\n',
    "an etag with a line break": lambda data: data + b'"a\\r\\nX: y"\n',
    "an etag that is no text": lambda data: data + b'"\\ud800"\n',
    "binary": lambda data: bytes(range(256)) * 40,
    "NULs, as after a power loss": lambda data: bytes(len(data)),
    "doubled": lambda data: data * 2,
    "without its first line": lambda data: data.partition(b"\n")[2],
    "a first line that is a list": lambda data: b"[]\n" + data,
    "nested without end": lambda data: b"[" * 100_000 + b"\n" + data,
    "a first line nested in an object": lambda data: b'{"commit":' * 50_000 + b"\n" + data,
    "of another version": lambda data: b'{"format": 9, "commit": "x"}\n' + data,
    "one line of two megabytes": lambda data: data + b"9" * (2 << 20) + b"\n",
    "numbers of 5,000 digits": lambda data: data + b"1" * 5000 + b" 1 " + b"0" * 16 + b"\n",
}


@pytest.mark.parametrize("which", ["journal", "bytes", "lock", "quarantined"])
@pytest.mark.parametrize("how", CONTENTS)
def test_unreadable_contents_do_not_stand_in_the_way(
    how: str, which: str, template: Storage
) -> None:
    path = template.lock.path if which == "lock" else getattr(template, which)
    path.write_bytes(CONTENTS[how](path.read_bytes()))
    template.fetch()
    template.check()
    again = len(template.log)
    template.fetch()
    template.check()
    assert template.log[again:] == [], "reported once"


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "a person's file").write_text("precious")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the address of a socket may have 107 bytes at most
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


KINDS: dict[str, Callable[[Path], None]] = {
    "folder": make_folder,
    "pipe": os.mkfifo,
    "socket": make_socket,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("which", ["journal", "bytes", "lock", "quarantined"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_of_thing_in_the_place_of_a_state_file_is_set_aside(
    kind: str, which: str, template: Storage
) -> None:
    path = template.lock.path if which == "lock" else getattr(template, which)
    path.unlink()
    KINDS[kind](path)
    if (which, kind) == ("quarantined", "link to itself"):
        with pytest.raises(UnsafeNameError, match="remove the link"):
            template.fetch()
        path.unlink()
    template.fetch()
    template.check()
    if which != "quarantined":
        aside = [p for p in template.root.rglob("*unreadable*") if not p.is_relative_to(path)]
        assert len(aside) == 1, "kept under a clear name"
        assert aside[0].name.startswith(path.name)
        assert sum("unreadable" in line for line in template.log) == 1, template.log
        if kind == "folder":
            assert (aside[0] / "a person's file").read_text() == "precious"


@pytest.mark.parametrize("folder", [".partial", ".quarantine", f".partial/{REPO.folder}"])
def test_a_file_in_the_place_of_a_state_folder_is_set_aside(folder: str, template: Storage) -> None:
    shutil.rmtree(template.into / folder)
    (template.into / folder).write_text("not a folder")
    template.fetch()
    template.check()
    (aside,) = template.root.rglob("*unreadable*")
    assert aside.read_text() == "not a folder"


@pytest.mark.parametrize("obstacle", [f"{REPO.folder}/{PATH}/", f"{REPO.folder}/sub"])
def test_what_stands_where_a_fetched_file_belongs_is_named_and_the_remedy_works(
    obstacle: str, template: Storage
) -> None:
    path = template.into / obstacle
    if obstacle.endswith("/"):
        (path / "inside").mkdir(parents=True)
    else:
        path.write_text("a file where a folder belongs")
    with pytest.raises(WmtpError, match="move it away") as caught:
        template.fetch()
    assert str(path) in str(caught.value)
    path.rename(template.root / "moved away")
    template.fetch()
    template.check()


@pytest.mark.parametrize("extra", [1, 5_000_000])
def test_bytes_beyond_the_files_end_are_not_published(extra: int, template: Storage) -> None:
    with template.bytes.open("r+b") as handle:
        handle.truncate(len(RIGHT) + extra)
    template.fetch()
    template.check()


def test_a_journal_that_names_the_same_bytes_a_million_times_is_read_at_once(
    template: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = template.journal.read_bytes().splitlines(keepends=True)
    block = next(line for line in lines if line.startswith(b"0 "))
    template.journal.write_bytes(b"".join(lines) + block * 100_000)
    counted = []
    real = partial.Partial._checksum

    def count(self: partial.Partial, start: int, length: int) -> bytes:
        counted.append(length)
        return real(self, start, length)

    monkeypatch.setattr(partial.Partial, "_checksum", count)
    template.fetch()
    template.check()
    assert sum(counted) <= len(RIGHT)


@pytest.mark.parametrize("which", ["journal", "bytes", "lock"])
def test_a_state_file_that_may_not_be_read_is_set_aside(which: str, template: Storage) -> None:
    copy(template, template.root.parent / "copy").fetch()  # and so everything is imported
    path = template.lock.path if which == "lock" else getattr(template, which)
    path.chmod(0)
    hand_over(template.root.parent)
    unprivileged(template.fetch)
    template.check()


@pytest.mark.fuzz
def test_random_mutations_of_every_state_file(template: Storage, tmp_path: Path) -> None:
    def attempt(rng: random.Random) -> None:
        storage = copy(template, tmp_path / "spoiled")
        for path in (
            storage.journal, storage.bytes, storage.lock.path, storage.quarantined
        ):  # fmt: skip
            if rng.random() < 0.5:
                path.write_bytes(mutate_bytes(rng, path.read_bytes(), most=8))
        storage.fetch()
        storage.check()

    assert fuzz(attempt, allowed=()).read


def test_an_etag_beyond_ascii_does_not_keep_a_file_from_being_resumed(
    loopback: LoopbackHub, tmp_path: Path
) -> None:
    loopback.world.commit("model", "org/name", {PATH: RIGHT})
    loopback.world.etag = '"caf\xe9"'
    into, lock = tmp_path / "upstream", Lock(tmp_path / "assets.lock")
    loopback.world.faults[PATH] = Fault("reset", times=2, at=40_000)
    (fetched,) = fetch(open_hub(None, QUICK), REPO, "main", [WantedFile(PATH)], into, lock, print)
    assert (fetched.retries, fetched.received) == (2, len(RIGHT))
    assert (into / REPO.folder / PATH).read_bytes() == RIGHT


def test_a_record_that_is_set_aside_keeps_what_can_be_recorded_anew(template: Storage) -> None:
    template.lock.path.write_text('{"format": 1, "repos": {"models/org/name": ')
    template.fetch()
    (aside,) = template.root.glob("assets.lock.unreadable*")
    assert aside.read_text().endswith('"models/org/name": ')
    assert json.loads(template.lock.path.read_text())["format"] == 1


@pytest.mark.slow
def test_an_unreadable_record_of_a_storage_is_written_anew_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.delenv("WMTP_HUB", raising=False)
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    record, name = tmp_path / "storage" / "assets.lock", "models/tokenizer_raw"
    assert main(["materialize", name]) == 0
    project = Project.from_settings(Settings.from_environment())
    assert stale_artifacts(project, {name}) == set()
    for spoil in (lambda: record.write_text("{"), record.unlink):
        spoil()
        assert stale_artifacts(project, {name}) == {name}
        assert main(["materialize", name]) == 0
        assert Lock(record).commit(RepoId("model", "facebook/multi-token-prediction"))
        assert stale_artifacts(project, {name}) == set()


@pytest.mark.slow
def test_a_mirror_file_that_was_only_touched_is_not_reported_as_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sample(tmp_path / "mirror")
    (tmp_path / "mirror" / "assets.lock").unlink()  # else its commit stands for the files
    for name, value in {
        "WMTP_STORAGE": tmp_path / "storage", "DAGSTER_HOME": tmp_path,
        "WMTP_HUB": tmp_path / "mirror", "WMTP_CATALOG": "sample",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))

    def made() -> list[str]:
        capsys.readouterr()
        assert main(["materialize", "models/tokenizer_raw", "--json"]) == 0
        made = json.loads(capsys.readouterr().out)["made"]
        return [name for name in made if name.startswith("models/")]

    file = tmp_path / "mirror" / "models/facebook/multi-token-prediction/tokenizer.model"
    assert made() == ["models/tokenizer_raw"]
    os.utime(file, ns=(10**18, 10**18))
    assert made() == []
    assert made() == []
    (tmp_path / "storage/upstream" / file.relative_to(tmp_path / "mirror")).unlink()
    assert made() == ["models/tokenizer_raw"], "it was missing, and was fetched again"
