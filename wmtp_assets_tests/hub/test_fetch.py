"""fetch on a good day: what it leaves, what it keeps, and whose word it takes."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path

import pytest

from wmtp_assets.hub.fetch import PinnedElsewhereError, fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import NoSuchFileError
from wmtp_assets.hub.source import open_hub
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub

REPO = RepoId("model", "org/name")
FILES = {"config.json": b'{"dim": 64}', "7B/weights.bin": random.Random(1).randbytes(200_000)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def take(into: Path, lock: Lock, *wanted: WantedFile, spec: str | None = None) -> list[int]:
    """Bytes that were asked of the source, per file."""
    hub = open_hub(spec, QUICK)
    return [done.received for done in fetch(hub, REPO, "main", wanted, into, lock, print)]


def test_files_land_where_a_directory_hub_has_them(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    commit = loopback.world.commit("model", "org/name", FILES)
    fetched = fetch(
        open_hub(None, QUICK), REPO, "main", [WantedFile(p) for p in FILES], into, lock, print
    )
    for done in fetched:
        data = FILES[done.path]
        assert (into / "models" / "org" / "name" / done.path).read_bytes() == data
        assert (done.size, done.sha256) == (len(data), sha256(data))
        assert (done.received, done.resumed_from, done.retries) == (len(data), 0, 0)
    assert lock.commit(REPO) == commit


def test_what_stands_there_is_verified_and_not_fetched_again(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    wanted = [WantedFile(path) for path in FILES]
    take(into, lock, *wanted)
    assert take(into, lock, *wanted) == [0, 0]
    weights = into / REPO.folder / "7B" / "weights.bin"
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])
    assert take(into, lock, *wanted) == [0, len(FILES["7B/weights.bin"])]
    assert weights.read_bytes() == FILES["7B/weights.bin"]


def test_what_was_fetched_is_a_hub_to_fetch_from(
    loopback: LoopbackHub, into: Path, lock: Lock, tmp_path: Path
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    wanted = [WantedFile(path, sha256=sha256(data)) for path, data in FILES.items()]
    take(into, lock, *wanted)
    again = tmp_path / "again"
    take(again, Lock(again / "assets.lock"), *wanted, spec=str(into))
    assert {p: (again / REPO.folder / p).read_bytes() for p in FILES} == FILES


def test_a_catalog_that_names_other_bytes_is_reported_before_any_is_fetched(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    with pytest.raises(PinnedElsewhereError, match="the catalog") as caught:
        take(into, lock, WantedFile("7B/weights.bin", sha256="0" * 64))
    assert "0" * 64 in str(caught.value)
    assert sha256(FILES["7B/weights.bin"]) in str(caught.value)
    with pytest.raises(PinnedElsewhereError, match="size"):
        take(into, lock, WantedFile("7B/weights.bin", size=7))
    assert not into.exists()


def test_the_lock_holds_a_commit_to_the_bytes_it_first_had(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    commit = loopback.world.commit("model", "org/name", FILES)
    lock.record(REPO, commit, "config.json", len(FILES["config.json"]), "0" * 64)
    with pytest.raises(Exception, match="digest, 2 times") as caught:
        take(into, lock, WantedFile("config.json"))
    assert "0" * 64 in str(caught.value)


def test_a_name_that_is_not_there_is_reported_with_its_neighbours(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    with pytest.raises(NoSuchFileError, match=r"7B/weights\.bin"):
        take(into, lock, WantedFile("7B/weight.bin"))


def test_a_disk_that_is_too_small_is_reported_before_any_byte(
    loopback: LoopbackHub, into: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=150_000))
    with pytest.raises(StorageError, match="needs more room"):
        take(into, lock, WantedFile("7B/weights.bin"))
    assert loopback.world.bodies("7B/weights.bin") == []


def test_a_folder_that_cannot_be_written_is_one_clear_error(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    into.parent.mkdir(parents=True)
    into.write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        take(into, lock, WantedFile("config.json"))


def test_a_renamed_repository_is_followed(loopback: LoopbackHub, into: Path, lock: Lock) -> None:
    loopback.world.commit("model", "neworg/newname", FILES)
    loopback.world.renamed["model", "org/name"] = "neworg/newname"
    take(into, lock, *[WantedFile(path) for path in FILES])
    assert {p: (into / REPO.folder / p).read_bytes() for p in FILES} == FILES


def test_the_endpoint_is_read_at_every_call(
    loopback: LoopbackHub, into: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = loopback.world.commit("model", "org/name", FILES)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    hub = open_hub(None, QUICK)
    monkeypatch.setenv("HF_ENDPOINT", loopback.endpoint)
    assert hub.head(REPO) == commit
