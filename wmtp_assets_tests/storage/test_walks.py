"""Looking through folders that a second process changes meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wmtp_assets.artifacts.unneeded_files import orphans
from wmtp_assets.bucket.cache import Cache
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.execution.limits import held_in
from wmtp_assets.export.links import survey
from wmtp_assets.hub.files import RepoId
from wmtp_assets.hub.source import open_hub
from wmtp_assets.storage import Store, aside, claims, disk, walks
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.versions import Versions
from wmtp_assets_tests.storage.accounts import hand_over, unprivileged
from wmtp_assets_tests.storage.worlds import MODEL, SET, materialize

REPOSITORY = Path(__file__).parents[2]
NAMES = ("f.journal", "g.bytes", "h#1", "i.owner.1", ".tmp-0123456789ab")
ROUNDS = 200
"""How often a folder comes and goes while something looks through it."""


def remove(path: Path) -> None:
    """Has another process remove a folder."""
    subprocess.run(["rm", "-r", str(path)], check=True)


def test_what_is_gone_by_the_time_it_is_looked_at_is_left_out(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("b")
    walk = walks.walk(tmp_path)
    assert next(walk) == (tmp_path, ["a", "b", "c"], ["link"])
    remove(tmp_path / "b")
    assert [here.relative_to(tmp_path).as_posix() for here, _, _ in walk] == [
        *("a", "a/deep", "c", "c/deep")
    ]
    files = walks.files_below(tmp_path)
    assert next(files) == tmp_path / "link"
    assert next(files) == tmp_path / "a/deep/file"
    remove(tmp_path / "c")
    assert list(files) == []
    assert walks.status(tmp_path / "c/deep/file") is None
    assert walks.size_of(tmp_path / "c") == 0
    assert walks.size_of(tmp_path) == 1 + len("b")
    assert walks.entries(tmp_path / "c") == list(walks.files_below(tmp_path / "c")) == []
    assert walks.entries(tmp_path / "a/deep/file") == []


def test_what_may_not_be_looked_into_is_an_error_and_not_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "closed").mkdir(parents=True)
    (folder / "closed" / "file").write_bytes(b"1")
    (folder / "open").write_bytes(b"22")
    hand_over(folder)
    (folder / "closed").chmod(0)

    def refused() -> list[str]:
        found = []
        for look in (
            lambda: list(walks.files_below(folder)),
            lambda: walks.entries(folder / "closed"),
            lambda: walks.status(folder / "closed" / "file"),
            lambda: walks.size_of(folder),
        ):
            try:
                found.append(str(look()))  # type: ignore[no-untyped-call]
            except PermissionError as error:
                found.append(Path(error.filename).name)
        return found

    def tidied() -> list[Path]:
        return list(walks.files_below(folder, denied=True))

    try:
        assert unprivileged(refused) == ["closed", "closed", "file", "closed"]
        assert unprivileged(tidied) == [folder / "open"]
    finally:
        (folder / "closed").chmod(0o755)


# A second process that makes and removes what runs, fetches, pushes and readers make and remove.
COMING_AND_GOING = """
import os, shutil, sys
place, names = sys.argv[1], sys.argv[2:]
while True:
    os.makedirs(place, exist_ok=True)
    for name in names:
        if name == "older":
            os.symlink("nowhere", os.path.join(place, name))
        else:
            open(os.path.join(place, name), "w").close()
    for name in names:
        os.unlink(os.path.join(place, name))
    if names != ["older"]:
        os.rmdir(place)
        if not os.listdir(os.path.dirname(place)):
            os.rmdir(os.path.dirname(place))
    os.write(1, b".")
"""


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage and what may be beside it, with something in each folder."""
    root = tmp_path_factory.mktemp("busy")
    materialize(Store(root), "one")
    for kept in ("bucket/objects/kept", "mirror/models/org/name/kept", "scratch/kept"):
        (root / kept).parent.mkdir(parents=True, exist_ok=True)
        (root / kept).write_bytes(b"1" * 5000)
    return root


@contextmanager
def coming_and_going(place: Path, names: Iterable[str]) -> Iterator[Callable[[], bool]]:
    """Has a second process make and remove a folder for the block, over and over; yields whether
    it has done so often enough."""
    command = [sys.executable, "-I", "-S", "-c", COMING_AND_GOING, str(place), *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    left = ROUNDS

    def done() -> bool:
        nonlocal left
        assert process.stdout is not None
        left -= len(os.read(process.stdout.fileno(), min(left, 10)))
        assert process.poll() is None, "it ended by itself"
        return left == 0

    try:
        yield done
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _orphans(root: Path) -> None:
    project = SimpleNamespace(store=Store(root), upstream_files=list)
    assert {path.name for path in orphans(cast("Any", project))} <= set(NAMES)


def _mirror(root: Path) -> None:
    found = open_hub(str(root / "mirror")).files(RepoId("model", "org/name"), "main")
    assert "kept" in {file.path for file in found}


def _scratch(root: Path) -> None:
    held, _ = held_in(root / "scratch", 1000)
    assert held >= 5000


def _unexpected(root: Path) -> None:
    found = Store(root).unexpected([SET])
    assert {one.file.name for one in (*found.inside, *found.beside)} <= {"older"}
    assert all("a link to" in one.found for one in (*found.inside, *found.beside))


LOOKS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "gc": ("upstream/models/org/other/sub", lambda root: Store(root).gc(dry_run=True)),
    "set aside": ("upstream/.partial/models/org", aside.contents),
    "abandoned claims": (".locks/more", lambda root: list(claims.abandoned(root / ".locks"))),
    "orphans": ("upstream/.partial/models/org/name", _orphans),
    "a mirror": ("mirror/models/org/name/sub", _mirror),
    "a bucket": (
        "bucket/objects/cd",
        lambda root: Bucket(f"file://{root}/bucket").leftovers(["objects"]),
    ),
    "a cache": ("cache/blocks/ab", lambda root: Cache(root / "cache", 10**9).shrink()),
    "links": ("versions/models/new", survey),
    "a sandbox": ("scratch/sub", _scratch),
    "unexpected files": ("models_v2", _unexpected),
    "files that are left over": (
        "datasets_v2/code/processed",
        lambda root: Store(root).left_over(["models_v2", "datasets_v2"]),
    ),
}


@pytest.mark.parametrize("name", LOOKS)
def test_no_look_fails_for_what_comes_and_goes(name: str, still: Path) -> None:
    place, look = LOOKS[name]
    names = ["older"] if (still / place).exists() else NAMES
    with coming_and_going(still / place, names) as done:
        while not done():
            look(still)


def test_two_processes_remove_one_folder(tmp_path: Path) -> None:
    for number in range(400):
        path = tmp_path / "folder" / str(number % 20) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    script = """
    import sys
    from pathlib import Path
    from wmtp_assets.storage import disk
    sys.stdin.readline()
    disk.remove_tree(Path(sys.argv[1]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "folder")]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=REPOSITORY) for _ in range(2)]
    for one in both:
        one.communicate(b"\n", timeout=120) if one is both[-1] else one.stdin.write(b"\n")  # type: ignore[union-attr]
        one.stdin.close()  # type: ignore[union-attr]
    assert [one.wait(timeout=120) for one in both] == [0, 0]
    assert not (tmp_path / "folder").exists()


FETCHING = """
import sys
from pathlib import Path
from wmtp_assets.hub.partial import Identity, Partial
with Partial.claim(Path(sys.argv[1]), lambda note: print("waiting", flush=True)) as partial:
    partial.begin(Identity("commit", None, 4, None))
    partial.write(0, memoryview(b"abcd"))
    partial.publish(Path(sys.argv[2]))
print("published", flush=True)
"""


def test_a_fetch_waits_while_gc_removes_what_another_left(tmp_path: Path) -> None:
    """Else it would write into files that are removed under its hands."""
    store = Store(tmp_path)
    stem = store.upstream / ".partial/models/org/name/file"
    disk.make_folders(stem.parent)
    stem.with_name(f"{stem.name}.journal").write_bytes(b"")
    target = store.upstream / "models/org/name/file"
    project = SimpleNamespace(store=store, upstream_files=list)
    found = orphans(cast("Any", project))
    journal = next(found)
    fetching = subprocess.Popen(
        [sys.executable, "-c", FETCHING, str(stem), str(target)],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        text=True,
    )
    assert fetching.stdout is not None
    assert fetching.stdout.readline() == "waiting\n"
    journal.unlink()
    assert list(found) == []
    assert fetching.stdout.read() == "published\n"
    assert fetching.wait(timeout=120) == 0
    assert target.read_bytes() == b"abcd"


def test_a_version_that_is_replaced_while_it_is_compared_is_no_mismatch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    old = store.path(MODEL)

    class Interrupted(Versions):
        """Between two looks at an artifact, others publish and collect."""

        done = False

        def receipt(self, artifact: str, version: str) -> Receipt:
            found = super().receipt(artifact, version)
            if not self.done:
                self.done = True
                materialize(store, "two")
                store.gc(keep=1)
            return found

    versions = Interrupted(store.root)
    assert versions.mismatches(MODEL, deep=True) == []
    assert versions.done
    assert not old.exists()
    # What is not there, while nothing else became current, is missing.
    (store.path(MODEL) / "model.safetensors").unlink()
    (wrong,) = store.mismatches(MODEL, deep=False)
    assert wrong.found == "nothing"


def test_gc_stops_where_it_cannot_know_what_is_published(tmp_path: Path) -> None:
    """A publication that it may not look at could need any version."""
    store = Store(tmp_path / "storage")
    for edition in ("one", "two", "three"):
        materialize(store, edition)
    hand_over(tmp_path)
    home = store.published.home("mtp")
    home.chmod(0)

    def collected() -> str:
        try:
            return str(store.gc(keep=1))
        except Exception as error:
            return str(error)

    try:
        said = unprivileged(collected)
    finally:
        home.chmod(0o755)
    assert "Permission denied" in said
    assert len(store.history(MODEL)) == 3
