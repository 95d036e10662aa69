"""gc takes what nobody needs, and nothing else."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from wmtp_assets.storage import StorageError, Store, atomic_write
from wmtp_assets_tests.storage.worlds import MODEL, PARAMS, SET, make, materialize, orphans, seen


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four editions, of which the last is published."""
    store = Store(tmp_path)
    for edition in ("one", "two", "three", "four"):
        materialize(store, edition)
    return store


def everything(store: Store) -> set[Path]:
    return {path for path in store.root.rglob("*") if ".locks" not in path.parts}


def test_versions_beyond_the_kept_number_go(store: Store) -> None:
    before = seen(store.root)
    done = store.gc(keep=2)
    assert len(store.publications("mtp")) == len(store.history(MODEL)) == 2
    assert done.size > 0
    assert {removal.path.parent.name for removal in done.removed} == {
        *("mtp", "mtp_params", "code_train")
    }
    assert seen(store.root) == before
    store.rollback("mtp")
    assert store.gc(keep=2).removed == []


def test_a_dry_run_names_the_same_and_removes_nothing(store: Store) -> None:
    before = everything(store)
    planned = store.gc(keep=1, dry_run=True)
    assert everything(store) == before
    done = store.gc(keep=1)
    assert planned == done
    assert not any(removal.path.exists() for removal in done.removed)


def test_what_is_published_stays_even_when_it_is_old(store: Store) -> None:
    old = store.publications("mtp")[-1]
    store.rollback("mtp", old.version)
    make(store, MODEL, {"model.safetensors": b"5", "SHA256SUMS": b"5"}, code_version="5")
    before = seen(store.root)
    store.gc(keep=1)
    assert store.publication("mtp") == old
    assert seen(store.root) == before
    assert len(store.history(MODEL)) == 2  # the published one, and the current one


def test_the_last_whole_version_stays_when_the_current_one_is_damaged(store: Store) -> None:
    (store.path(MODEL) / "model.safetensors").unlink()
    done = store.gc(keep=1)
    assert len(store.history(MODEL)) == 4
    assert "not whole" in done.held[MODEL]
    assert len(store.history(PARAMS)) == 1


def test_a_damaged_publication_keeps_every_version(store: Store) -> None:
    (store.root / "published/mtp/current/publication.json").write_bytes(b"{}")
    done = store.gc(keep=1)
    assert "damaged" in done.held["mtp"]
    assert len(store.history(MODEL)) == 4
    assert store.publish(SET) is not None
    store.gc(keep=1)
    assert len(store.history(MODEL)) == 1


def test_what_somebody_reads_stays(store: Store) -> None:
    with store.reading_set("mtp") as farm:
        materialize(store, "five")
        done = store.gc(keep=1)
        assert "reading" in done.held["mtp"]
        assert (farm / "models_v2/mtp/configs/params.json").read_bytes() == b'"four"'
    with store.reading(MODEL) as folder:
        materialize(store, "six")
        done = store.gc(keep=1)
        assert "reading" in done.held[MODEL]
        assert (folder / "model.safetensors").read_bytes() == b"weights five"
    store.gc(keep=1)
    assert len(store.history(MODEL)) == len(store.publications("mtp")) == 1


def test_what_somebody_makes_stays(store: Store) -> None:
    with store.stage(MODEL) as staging, atomic_write(store.root / "assets.lock") as lock:
        (staging.path / "half").write_bytes(b"1")
        lock.write(b"{}")
        done = store.gc(keep=1)
        assert "being made by process" in done.held[MODEL]
        assert (staging.path / "half").exists()
    assert (store.root / "assets.lock").read_bytes() == b"{}"


def test_leftovers_go_wherever_they_lie(store: Store) -> None:
    (store.upstream / "models" / "org").mkdir(parents=True)
    kept = store.upstream / "models" / "org" / "raw.bin"
    kept.write_bytes(b"raw")
    (store.upstream / "models" / "org" / ".tmp-00000000000a").write_bytes(b"left")
    (store.root / ".tmp-00000000000b").write_bytes(b"left")
    (store.root / "versions" / MODEL / ".trash-3").mkdir()
    (store.root / "versions" / MODEL / ".trash-3" / "old").write_bytes(b"left")
    done = store.gc(keep=9)
    assert len(done.removed) == 3
    assert orphans(store.root) == []
    assert kept.exists()


def test_folders_that_come_and_go_meanwhile_are_in_nobodys_way(store: Store) -> None:
    """As those of parts do, which whoever joins them removes."""
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            (store.root / "parts/rows/one/two").mkdir(parents=True)
            shutil.rmtree(store.root / "parts/rows")

    others = threading.Thread(target=come_and_go)
    others.start()
    try:
        for _ in range(20):
            assert store.gc(keep=9).removed == []
    finally:
        done.set()
        others.join()


def test_what_others_left_in_a_folder_that_is_shared_with_them_stays(store: Store) -> None:
    theirs = [store.root / ".tmp-draft.txt", store.root / ".tmp-0123456789abcdef"]
    for path in theirs:
        path.write_bytes(b"theirs")
    assert store.gc(keep=9).removed == []
    assert all(path.read_bytes() == b"theirs" for path in theirs)


def test_what_the_caller_knows_to_be_unneeded_goes_too(store: Store, tmp_path: Path) -> None:
    store.upstream.mkdir()
    raw = store.upstream / "raw.bin"
    raw.write_bytes(b"raw")
    done = store.gc(keep=9, also=[raw, store.upstream / "absent"])
    assert [removal.path for removal in done.removed] == [raw]
    assert not raw.exists()
    with pytest.raises(StorageError, match="outside the storage"):
        store.gc(keep=9, also=[tmp_path.parent / "theirs"])


def test_a_storage_outside_is_not_swept(
    store: Store, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (store.root / "versions").rename(outside / "versions")
    (store.root / "versions").symlink_to(outside / "versions")
    before = sorted(outside.rglob("*"))
    with pytest.raises(StorageError, match="leads out of it"):
        store.gc(keep=1)
    assert sorted(outside.rglob("*")) == before


def test_at_least_one_version_is_kept(store: Store) -> None:
    with pytest.raises(StorageError, match="at least"):
        store.gc(keep=0)


def test_what_was_set_aside_is_listed_and_stays(store: Store) -> None:
    current = store.current(MODEL)
    assert current is not None
    farm = store.published.home(SET.name) / str(store.publication(SET.name).version)  # type: ignore[union-attr]
    (farm / "mine.txt").write_bytes(b"mine")
    store.publish(SET)  # moves the file out of the way
    (store.root / "assets.lock.unreadable").write_bytes(b"theirs")
    for dry_run in (True, False):
        done = store.gc(keep=2, dry_run=dry_run)
        assert sorted(done.set_aside.values()) == [4, 6]
    assert [path.read_bytes() for path in store.root.rglob("mine.txt")] == [b"mine"]
    assert (store.root / "assets.lock.unreadable").is_file()
