"""Every publishing path, killed or failing at every one of its disk operations.

After each: the published tree equals the old or the new one as a whole; nothing that bears a
version's name is half a version; the same call again converges; `gc` leaves no orphan.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from wmtp_assets.storage import StorageError, Store
from wmtp_assets_tests.storage.faults import FaultyDisk, Killed
from wmtp_assets_tests.storage.worlds import (
    MODEL,
    MOVED,
    SET,
    halves,
    make,
    materialize,
    orphans,
    seen,
)


@dataclass(frozen=True)
class PublishingPath:
    """One way of changing what is published: the state before, and the change."""

    before: Callable[[Store], None]
    change: Callable[[Store], object]


def nothing(store: Store) -> None:
    store.root.mkdir(exist_ok=True)


def one_edition(store: Store) -> None:
    materialize(store, "one")


def two_editions(store: Store) -> None:
    materialize(store, "one")
    materialize(store, "two")


def three_editions_and_leftovers(store: Store) -> None:
    two_editions(store)
    materialize(store, "three")
    for folder in ("versions/models/mtp/.staging-0", "published/mtp/.staging-1"):
        (store.root / folder / "deep").mkdir(parents=True)
        (store.root / folder / "deep" / "file").write_bytes(b"left")
    (store.root / ".tmp-00000000000b").write_bytes(b"left")
    (store.root / "versions/models/mtp/.tmp-3").symlink_to("nowhere")


def damaged(store: Store) -> None:
    materialize(store, "one")
    (store.path(MODEL) / "model.safetensors").write_bytes(b"short")


PATHS = {
    "the first materialization": PublishingPath(nothing, lambda store: materialize(store, "one")),
    "a new edition": PublishingPath(one_edition, lambda store: materialize(store, "two")),
    "a moved mount": PublishingPath(one_edition, lambda store: store.publish(MOVED)),
    "a new edition and a moved mount": PublishingPath(
        one_edition, lambda store: materialize(store, "two", MOVED)
    ),
    "mending a damaged file": PublishingPath(damaged, lambda store: materialize(store, "one")),
    "the same bytes by newer code": PublishingPath(
        one_edition,
        lambda store: make(
            store,
            MODEL,
            {"model.safetensors": b"weights one", "SHA256SUMS": b"one"},
            code_version="2",
        ),
    ),
    "rollback": PublishingPath(
        two_editions, lambda store: store.rollback("mtp", first_version(store))
    ),
    "gc": PublishingPath(three_editions_and_leftovers, lambda store: store.gc(keep=1)),
}


def first_version(store: Store) -> str:
    return store.publications("mtp")[-1].version


@pytest.mark.parametrize("path", PATHS)
def test_a_kill_anywhere_leaves_the_old_tree_or_the_new_one(path: str, memory: Path) -> None:
    sweep(PATHS[path], memory, code=None)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_an_error_of_the_device_anywhere_leaves_the_old_tree_or_the_new_one(
    path: str, memory: Path
) -> None:
    sweep(PATHS[path], memory, code=errno.EIO)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_a_disk_that_gets_full_and_stays_full_leaves_the_old_tree_or_the_new_one(
    path: str, memory: Path
) -> None:
    sweep(PATHS[path], memory, code=errno.ENOSPC, for_good=True)


def sweep(path: PublishingPath, folder: Path, code: int | None, *, for_good: bool = False) -> None:
    """Runs `path.change` with a fault at its first operation, at its second, and so on."""
    template, world = folder / "template", folder / "world"
    with FaultyDisk():
        path.before(Store(template))
    old, broken = seen(template), halves(template)
    shutil.copytree(template, world, symlinks=True)
    with FaultyDisk() as counted:
        path.change(Store(world))
    new = seen(world)
    assert len(counted.log) == counted.count > 10

    for at, (operation, _) in enumerate(counted.log, 1):
        if operation == "fsync" and code is None:
            continue  # a kill before it is the same as a kill before what comes after it
        shutil.rmtree(world)
        shutil.copytree(template, world, symlinks=True)
        with FaultyDisk(at, code, for_good=for_good) as faulty:
            message = outcome(path, world)
        if code is not None and message:
            assert errno.errorcode[code] in message
        assert faulty.struck
        assert seen(world) in (old, new), f"a mix after operation {at}: {faulty.log[-3:]}"
        assert halves(world) <= broken, f"half a version after operation {at}: {faulty.log[-3:]}"
        with FaultyDisk():
            if at % 2:  # gc before the second try, or after it only
                Store(world).gc(keep=9)
                assert orphans(world) == [], f"after operation {at}: {faulty.log[-3:]}"
                assert seen(world) in (old, new)
            path.change(Store(world))
            assert seen(world) == new, f"no convergence after operation {at}: {faulty.log[-3:]}"
            Store(world).gc(keep=9)
        assert orphans(world) == []
        assert halves(world) == set()


def outcome(path: PublishingPath, world: Path) -> str:
    """Tries the change; the message of what came of it. Any other exception fails the test."""
    try:
        path.change(Store(world))
    except Killed:
        return ""
    except StorageError as error:
        return str(error)
    return ""


def test_nothing_is_published_before_it_is_on_the_device(tmp_path: Path) -> None:
    """The order of operations, read from the log: at the swap, every file and folder that the new
    tree needs was fsynced after its last change."""
    store = Store(tmp_path)
    with FaultyDisk() as faulty:
        materialize(store, "one")
    dirty: set[Path] = set()
    swaps = 0
    for name, arguments in faulty.log:
        if name == "fsync":
            dirty.discard(arguments[0])
        elif name == "write":
            dirty.add(arguments[0])
        elif name in ("mkdir", "create"):
            dirty |= {arguments[0], arguments[0].parent}
        elif name == "symlink":
            dirty.add(arguments[1].parent)
        elif name == "rename":
            source, target = arguments
            if target == store.root / "published/mtp/current":
                swaps += 1
                # The temporary link itself was just made here: its folder is synced after.
                unsafe = {path for path in dirty if ".locks" not in path.parts} - {target.parent}
                assert unsafe == set()
            moved = {path for path in dirty if path.is_relative_to(source)}
            dirty = (dirty - moved) | {target / path.relative_to(source) for path in moved}
            dirty.add(target.parent)
    assert swaps == 1
    files = {arguments[0] for name, arguments in faulty.log if name == "fsync"}
    assert {path.name for path in files} > {"model.safetensors", "SHA256SUMS", "train.jsonl"}


def test_the_sweep_would_see_a_mix(tmp_path: Path) -> None:
    """`seen` tells a half-published tree from a whole one."""
    store = Store(tmp_path)
    materialize(store, "one")
    whole = seen(tmp_path)
    assert len(whole) == len(SET.links)
    (tmp_path / "models_v2/mtp").unlink()
    assert seen(tmp_path) != whole
