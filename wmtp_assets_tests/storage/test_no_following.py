"""Nothing is written through a link: not the last component of a path, not a folder on the way."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wmtp_assets.storage import StorageError, Store, atomic_write, disk, locks
from wmtp_assets_tests.storage.faults import FaultyDisk
from wmtp_assets_tests.storage.planting import as_it_is, kinds, places_of, planted
from wmtp_assets_tests.storage.worlds import MODEL, MOVED, ROWS, SET, materialize, seen

OPERATIONS: dict[str, Callable[[Path, Path], object]] = {
    "create": lambda folder, other: os.close(disk.create(folder / "new")),
    "open_or_create": lambda folder, other: os.close(disk.open_or_create(folder / "victim")),
    "open_unshared": lambda folder, other: os.close(disk.open_unshared(folder / "victim")),
    "rename to": lambda folder, other: disk.rename(other, folder / "victim"),
    "rename from": lambda folder, other: disk.rename(folder / "victim", other),
    "symlink": lambda folder, other: disk.symlink("x", folder / "new"),
    "hardlink to": lambda folder, other: disk.hardlink(other, folder / "new"),
    "hardlink from": lambda folder, other: disk.hardlink(folder / "victim", other.with_name("n")),
    "unlink": lambda folder, other: disk.unlink(folder / "victim"),
    "mkdir": lambda folder, other: disk.mkdir(folder / "new"),
    "rmdir": lambda folder, other: disk.rmdir(folder / "empty"),
    "chmod": lambda folder, other: disk.chmod(folder / "victim", 0o600),
    "sync": lambda folder, other: disk.sync(folder / "victim"),
    "make_folders": lambda folder, other: disk.make_folders(folder / "new" / "deep"),
    "point": lambda folder, other: disk.point(folder / "victim", "x", folder),
    "remove_tree": lambda folder, other: disk.remove_tree(folder / "empty"),
    "discard": lambda folder, other: disk.discard(folder / "empty"),
    "listing": lambda folder, other: disk.listing(folder),
}


def a_victim(tmp_path: Path) -> Path:
    victim = tmp_path / "outside"
    (victim / "empty").mkdir(parents=True)
    (victim / "victim").write_bytes(b"theirs")
    (victim / "victim").chmod(0o640)
    return victim


@pytest.mark.parametrize("depth", ["", "deep/down"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_operation_goes_through_a_folder_that_is_a_link(
    operation: str, depth: str, tmp_path: Path
) -> None:
    victim, storage = a_victim(tmp_path), tmp_path / "storage"
    storage.mkdir()
    (storage / "other").write_bytes(b"ours")
    (storage / "link").symlink_to(victim.parent if depth else victim)
    folder = storage / "link" / ("outside" if depth else "")
    before = as_it_is(victim)
    with pytest.raises(OSError, match="not followed") as refusal:
        OPERATIONS[operation](folder, storage / "other")
    assert refusal.value.errno == errno.ELOOP
    assert refusal.value.filename == str(storage / "link")
    assert as_it_is(victim) == before
    assert (storage / "other").read_bytes() == b"ours"


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe", "folder"])
@pytest.mark.parametrize("opening", [disk.open_or_create, disk.open_unshared])
def test_what_is_opened_for_writing_is_a_file(
    opening: Callable[[Path], int], kind: str, tmp_path: Path
) -> None:
    victim = a_victim(tmp_path)
    path = tmp_path / "lock"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(victim / ("victim" if kind == "link" else "nothing"))
    before = as_it_is(victim)
    with pytest.raises(OSError, match=str(path)):
        opening(path)
    assert as_it_is(victim) == before


def test_a_file_with_another_name_elsewhere_is_not_written(tmp_path: Path) -> None:
    victim = a_victim(tmp_path) / "victim"
    lock, part = tmp_path / "lock", tmp_path / "part"
    for path in (lock, part):
        path.hardlink_to(victim)
    with locks.exclusive(lock):
        pass
    descriptor = disk.open_unshared(part)
    disk.write(descriptor, b"ours")
    os.close(descriptor)
    assert victim.read_bytes() == b"theirs"
    assert part.read_bytes() == b"ours"


def test_a_path_that_climbs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"'\.\.'"):
        disk.mkdir(tmp_path / "x" / ".." / "y")
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_one_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    disk.make_folders(Path("a/b"))
    with atomic_write(Path("a/b/file")) as stream:
        stream.write(b"1")
    assert (tmp_path / "a/b/file").read_bytes() == b"1"


def test_folders_that_may_be_passed_but_not_listed_are_passed(tmp_path: Path) -> None:
    (tmp_path / "closed" / "inner").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o311)
    try:
        disk.mkdir(tmp_path / "closed" / "inner" / "new")
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert (tmp_path / "closed" / "inner" / "new").is_dir()


def test_a_folder_that_keeps_turning_into_a_link_leads_nowhere(tmp_path: Path) -> None:
    """Another process swaps a folder and a link all the time while trees are removed and made."""
    victim = a_victim(tmp_path)
    before = as_it_is(victim)
    home, away = tmp_path / "storage" / "folder", tmp_path / "storage" / "away"
    home.mkdir(parents=True)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            home.rename(away)
            home.symlink_to(victim)
            home.unlink()
            away.rename(home)
            time.sleep(0.001)

    swapping = threading.Thread(target=swap)
    swapping.start()
    refused = made = number = 0
    try:
        while (refused < 50 or made < 50) and number < 20_000:
            number += 1
            try:
                disk.mkdir(home / f"{number}")
                disk.mkdir(home / f"{number}" / "deep")
                os.close(disk.open_or_create(home / f"{number}" / "victim"))
                disk.remove_tree(home / f"{number}")
                made += 1
            except OSError:
                refused += 1
    finally:
        done.set()
        swapping.join()
    assert min(refused, made) > 0
    assert as_it_is(victim) == before


LOCKS = (
    ".locks/published.lock",
    f".locks/artifacts/{MODEL}.lock",
    f".locks/artifacts/{MODEL}.readers",
    f".locks/artifacts/{ROWS}.lock",
    ".locks/sets/mtp.readers",
)


@pytest.mark.parametrize("kind", ["file", "nothing"])
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_that_is_a_link_is_not_signed(lock: str, kind: str, tmp_path: Path) -> None:
    victim = a_victim(tmp_path) / ("victim" if kind == "file" else "nothing")
    store = Store(tmp_path / "storage")
    materialize(store, "one")
    materialize(store, "two")
    two = seen(store.root)
    place = store.root / lock
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(victim)
    before = as_it_is(victim.parent)
    actions: list[Callable[[], object]] = [
        lambda: store.gc(keep=9),
        lambda: store.rollback("mtp"),
        lambda: materialize(store, "three"),
        lambda: store.publish(SET),
    ]
    refusals = []
    for act in actions:
        try:
            act()
        except StorageError as error:
            refusals.append(str(error))
    assert refusals
    assert all("not followed" in said and f"`rm {place}`" in said for said in refusals)
    assert as_it_is(victim.parent) == before
    with store.reading_set("mtp"), store.reading(MODEL):
        assert len(seen(store.root)) == len(two)
    assert as_it_is(victim.parent) == before
    place.unlink()
    store.gc(keep=1)


EDITIONS: dict[str, tuple[tuple[str, ...], Callable[[Store], object]]] = {
    "the first materialization": ((), lambda store: materialize(store, "one")),
    "a new edition": (("one",), lambda store: materialize(store, "two")),
    "a moved mount": (("one",), lambda store: store.publish(MOVED)),
    "rollback": (("one", "two"), lambda store: store.rollback("mtp")),
    "gc": (("one", "two", "three"), lambda store: store.gc(keep=1)),
}


@pytest.mark.parametrize("operation", EDITIONS)
def test_a_link_at_any_place_that_is_written_to_leads_nowhere(operation: str, memory: Path) -> None:
    """Each place of each operation, with a link to a file, a folder, nothing, or the same again."""
    before, act = EDITIONS[operation]
    template, world = memory / "template", memory / "world"
    with FaultyDisk():
        template.mkdir()
        for edition in before:
            materialize(Store(template), edition)
    shutil.copytree(template, world, symlinks=True)
    places = places_of(world, lambda: act(Store(world)))
    assert len(places) > 5
    followed, refusals = [], []
    for place, kind in kinds(places):
        shutil.rmtree(world)
        shutil.copytree(template, world, symlinks=True)
        theirs = planted(world, place, kind)
        was = as_it_is(theirs)
        try:
            with FaultyDisk():
                act(Store(world))
        except StorageError as error:
            refusals.append(error)
        if as_it_is(theirs) != was:
            followed.append((str(place), kind))
        shutil.rmtree(theirs)
    assert followed == []
    assert refusals
    assert [error for error in refusals if not error.hint] == []
