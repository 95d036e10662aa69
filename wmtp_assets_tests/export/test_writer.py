"""Exports of a small storage: what is written, resumed, refused and verified."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts.copied_folders import examine_copy
from wmtp_assets.artifacts.exporting import items_of
from wmtp_assets.export import Exported, ExportError, files, verify_export, write_export
from wmtp_assets.export.files import Method
from wmtp_assets.export.record import NAME, SUMS, Record
from wmtp_assets.export.target import LOCK
from wmtp_assets.storage import Store, disk, locks
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.storage.namespaces import in_a_mount_namespace
from wmtp_assets_tests.storage.worlds import MODEL, SET, materialize

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "storage")
    materialize(store, "one")
    return store


def export(store: Store, folder: Path, **more: Any) -> Exported:
    """Exports the one set of the small storage."""
    publication = store.publication("mtp")
    assert publication is not None
    items = items_of(store, publication)
    versions = {"mtp": publication.version}
    return write_export(items, versions, folder, storage=store.root, **more)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the volumes by its path, but for what the export says of itself."""
    own = {f"{volume}/{name}" for volume in ("models_v2", "datasets_v2") for name in (NAME, SUMS)}
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if name not in own and not name.startswith(LOCK)
    }


def published(store: Store) -> dict[str, bytes]:
    return {path: (store.root / path).read_bytes() for path in SET.links}


def test_an_export_holds_regular_files_that_sha256sum_verifies(
    store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = export(store, out)
    assert contents(out) == published(store)
    assert not any(path.is_symlink() for path in out.rglob("*"))
    assert done.made.total() == len(SET.links)
    assert done.volumes == ("datasets_v2", "models_v2")
    for volume in done.volumes:
        subprocess.run(["sha256sum", "--strict", "-c", SUMS], cwd=out / volume, check=True)
    assert verify_export(out).sound
    inodes = {path.stat().st_ino for path in store.root.rglob("*") if path.is_file()}
    assert not inodes & {path.stat().st_ino for path in out.rglob("*")}, "no file is shared"


def test_a_second_export_reads_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(store, out)
    before = {path: path.stat() for path in out.rglob("*") if path.name != ".wmtp-export.lock"}
    done = export(store, out)
    assert done.made == Counter()
    assert done.kept == len(SET.links)
    after = {path: path.stat() for path in before}
    assert {p: s.st_mtime_ns for p, s in before.items()} == {
        p: s.st_mtime_ns for p, s in after.items()
    }


def test_what_is_damaged_or_gone_is_written_again_and_nothing_else(
    store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(store, out)
    weights = out / "models_v2/mtp/safetensors/model.safetensors"
    weights.write_bytes(b"weights 0ne")  # the size that it had
    (out / "datasets_v2/code/processed/train.jsonl").unlink()
    (out / "models_v2" / SUMS).unlink()
    assert weights.stat().st_size == len(published(store)[str(weights.relative_to(out))])
    assert set(verify_export(out).problems) == {"missing", "changed", "record"}
    done = export(store, out)
    assert done.made.total() == 2
    assert done.kept == len(SET.links) - 2
    assert contents(out) == published(store)
    assert verify_export(out).sound


def test_a_new_edition_takes_the_place_of_the_old_one(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(store, out)
    materialize(store, "two")
    done = export(store, out)
    assert contents(out) == published(store)
    assert b"two" in contents(out)["models_v2/mtp/safetensors/model.safetensors"]
    assert verify_export(out).sound
    assert done.made.total() == len(SET.links)


def test_files_that_an_edition_has_no_more_are_removed(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publication = store.publication("mtp")
    assert publication is not None
    items = items_of(store, publication)
    versions = {"mtp": publication.version}
    write_export(items, versions, out, storage=store.root)
    fewer = [item for item in items if "stats" not in item.path]
    done = write_export(fewer, {"mtp": "0" * 12}, out, storage=store.root)
    assert done.removed == 1
    assert not (out / "datasets_v2/code/stats").exists()
    assert verify_export(out).sound


def test_another_selection_is_added(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publication = store.publication("mtp")
    assert publication is not None
    items = items_of(store, publication)
    for name, part in (("a", "models_v2"), ("b", "datasets_v2")):
        mine = [item._replace(set=name) for item in items if item.volume == part]
        write_export(mine, {name: publication.version}, out, storage=store.root)
    assert contents(out) == published(store)
    assert verify_export(out).sets == {"a": publication.version, "b": publication.version}


def test_a_source_that_is_not_what_its_receipt_says_is_named_and_not_exported(
    store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    path = store.path(MODEL) / "model.safetensors"
    right = path.read_bytes()
    path.write_bytes(right[:-1] + b"X")
    done = export(store, out)
    (wrong,) = done.wrong.values()
    assert wrong.file == path
    assert wrong.hint == f"`wmtp materialize {MODEL} --force`"
    assert not (out / "models_v2/mtp/safetensors/model.safetensors").exists()
    found = verify_export(out)
    assert set(found.problems) == {"unfinished"}
    path.write_bytes(right)
    assert export(store, out).made.total() == 1
    assert verify_export(out).sound


def test_files_with_several_names_are_written_once(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publication = store.publication("mtp")
    assert publication is not None
    items = items_of(store, publication)
    (weights,) = (item for item in items if item.path.endswith("model.safetensors"))
    again = weights._replace(path="models_v2/mtp/hf/model.safetensors")
    versions = {"mtp": publication.version}
    done = write_export([*items, again], versions, out, storage=store.root)
    assert done.names == 1
    assert (out / again.path).samefile(out / weights.path)
    assert verify_export(out).sound
    (out / weights.path).unlink()
    done = write_export([*items, again], versions, out, storage=store.root)
    assert (done.made.total(), done.names) == (0, 1)
    assert (out / again.path).samefile(out / weights.path)


def test_hard_links_to_the_storage_are_made_only_where_they_are_asked_for(
    store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = export(store, out, link=True)
    assert done.made == {Method.LINK: len(SET.links)}
    assert done.bytes == 0
    for path in SET.links:
        assert (out / path).samefile(store.root / path)
    assert verify_export(out).sound


def test_where_no_name_can_be_shared_files_are_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, path: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(disk, "hardlink", refuse)
    done = export(store, tmp_path / "out", link=True)
    assert set(done.made) <= {Method.COPY, Method.REFLINK}
    assert contents(tmp_path / "out") == published(store)


def test_where_files_can_be_cloned_they_are(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(source: int, descriptor: int) -> None:
        os.pwrite(descriptor, os.pread(source, 1 << 20, 0), 0)

    monkeypatch.setattr(disk, "clone", clone)
    done = export(store, tmp_path / "out")
    assert done.made == {Method.REFLINK: len(SET.links)}
    assert contents(tmp_path / "out") == published(store)


def stranger(out: Path, store: Store) -> Path:
    out.mkdir()
    (out / "thesis.tex").write_bytes(b"mine")
    return out


def in_the_volume(out: Path, store: Store) -> Path:
    export(store, out)
    (out / "models_v2/mtp/generation_config.json").write_bytes(b"{}")
    return out


def a_file(out: Path, store: Store) -> Path:
    out.write_bytes(b"mine")
    return out


def a_volume_of_others(out: Path, store: Store) -> Path:
    (out / "models_v2").mkdir(parents=True)
    (out / "models_v2" / "mine").write_bytes(b"mine")
    return out


def a_volume(out: Path, store: Store) -> Path:
    export(store, out)
    return out / "models_v2"


REFUSED: dict[str, tuple[Callable[[Path, Store], Path], str]] = {
    "a folder of other files": (stranger, "thesis.tex"),
    "a volume of other files": (a_volume_of_others, "models_v2"),
    "other files in a volume": (in_the_volume, "generation_config.json"),
    "a file": (a_file, "a file"),
    "one volume": (a_volume, "one volume"),
    "the storage": (lambda out, store: store.root, "not written into a storage"),
    "below another storage": (
        lambda out, store: Path(shutil.copytree(store.root, out, symlinks=True)) / "new" / "one",
        "not written into a storage",
    ),
    "below the storage": (lambda out, store: store.root / "new", "not written into a storage"),
    "another storage": (
        lambda out, store: Path(shutil.copytree(store.root, out, symlinks=True)),
        "not written into a storage",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_of_something_else_is_refused_and_left_as_it_is(
    case: str, store: Store, tmp_path: Path
) -> None:
    prepare, words = REFUSED[case]
    folder = prepare(tmp_path / "out", store)
    before = stamps(tmp_path)
    with pytest.raises((ExportError, StorageError), match=words):
        export(store, folder)
    assert stamps(tmp_path) == before


def stamps(folder: Path) -> dict[Path, int]:
    """Every file and link, but for the lock, with the time of its last change."""
    return {
        path: path.lstat().st_mtime_ns
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and not path.name.startswith(LOCK)
    }


def test_an_empty_volume_that_is_mounted_already_is_used(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out/models_v2/lost+found").mkdir(parents=True)
    export(store, tmp_path / "out")
    assert verify_export(tmp_path / "out").sound


def test_who_was_stopped_for_so_long_that_another_exports_writes_nothing_more(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export(store, out)
    before = contents(out)
    materialize(store, "two")
    original = files._copied

    def stopped(*arguments: Any) -> Any:
        (out / f"{LOCK}.owner").unlink(missing_ok=True)  # as by one that waited for an hour
        return original(*arguments)

    monkeypatch.setattr(files, "_copied", stopped)
    with pytest.raises(StorageError, match="another one took over its lock"):
        export(store, out)
    assert contents(out) == before
    assert not (out / "models_v2" / SUMS).exists()


def test_an_export_without_link_has_no_file_in_common_with_the_storage(
    store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(store, out, link=True)
    assert export(store, out, link=True).kept == len(SET.links)
    done = export(store, out)
    assert done.made.total() == len(SET.links)
    assert contents(out) == published(store)
    for path in SET.links:
        assert not (out / path).samefile(store.root / path)
    assert verify_export(out).sound
    assert export(store, out).kept == len(SET.links)


def test_volumes_that_hold_different_editions_of_a_set_are_named(
    store: Store, tmp_path: Path
) -> None:
    """As when one of them was copied again, and the other was not."""
    old, new = tmp_path / "old", tmp_path / "new"
    export(store, old)
    materialize(store, "two")
    export(store, new)
    shutil.rmtree(old / "models_v2")
    (new / "models_v2").rename(old / "models_v2")
    found = verify_export(old)
    assert set(found.problems) == {"editions"}
    assert "`wmtp export" in found.text()
    for volume in ("models_v2", "datasets_v2"):
        assert verify_export(old / volume).sound
    export(store, old)
    assert verify_export(old).sound


@pytest.mark.parametrize("name", [SUMS, NAME])
def test_what_a_volume_says_of_itself_is_a_regular_file(
    name: str, store: Store, tmp_path: Path
) -> None:
    """A link would be left behind by a copy, and a pipe would be waited for."""
    out = tmp_path / "out"
    export(store, out)
    path = out / "models_v2" / name
    path.rename(tmp_path / name)
    path.symlink_to(tmp_path / name)
    assert set(verify_export(out).problems) == {"record"}
    path.unlink()
    os.mkfifo(path)
    assert not verify_export(out).sound
    if name == SUMS:
        export(store, out)
        assert verify_export(out).sound


def test_two_exports_to_one_folder_do_not_run_at_once(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (
        locks.exclusive(out / ".wmtp-export.lock"),
        pytest.raises(ExportError, match="Another process is exporting"),
    ):
        export(store, out)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda out: (out / "models_v2/mtp/configs/params.json").unlink(), "missing"),
        (lambda out: (out / "models_v2/mtp/configs/params.json").write_bytes(b'"0ne"'), "changed"),
        (lambda out: (out / "models_v2/mtp/configs/params.json").write_bytes(b""), "changed"),
        (lambda out: (out / "models_v2/mtp/extra").write_bytes(b""), "extra"),
        (lambda out: (out / "models_v2/mtp/extra").symlink_to("nowhere"), "extra"),
        (lambda out: (out / "models_v2" / SUMS).unlink(), "record"),
        (lambda out: (out / "models_v2" / SUMS).write_bytes(b""), "record"),
        (lambda out: (out / "models_v2" / NAME).write_bytes(b"{}"), "record"),
        (lambda out: (out / "models_v2" / NAME).unlink(), "missing"),
        (lambda out: shutil.rmtree(out / "models_v2"), "missing"),
    ],
)
def test_what_is_not_as_it_was_written_is_named(
    change: Callable[[Path], None], kind: str, store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export(store, out)
    change(out)
    found = verify_export(out)
    assert set(found.problems) == {kind}
    assert str(found.problems[kind][0].file) in found.text()
    assert "NOT SOUND" in found.text()


def test_a_file_that_became_a_link_is_no_file(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(store, out)
    path = out / "models_v2/mtp/configs/params.json"
    path.rename(tmp_path / "params.json")
    path.symlink_to(tmp_path / "params.json")
    assert set(verify_export(out).problems) == {"changed"}


def test_names_in_a_copy_add_neither_lines_nor_commands(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(store, out)
    odd = out / "models_v2" / "a\n5 files: sound\x1b[2J"
    odd.write_bytes(b"")
    assert len(verify_export(out).text().splitlines()) == 2
    odd.unlink()
    odd.symlink_to("../versions/x; reboot/0123456789ab/a")
    (out / "b").symlink_to("../versions/models/mtp/0123456789ab/a")
    (fact,) = examine_copy(None, out)
    assert "\n" not in fact.found
    assert "reboot/0123456789ab" in fact.found
    assert "reboot" not in fact.hint
    assert "-export models/mtp`" in fact.hint
    assert "  " not in fact.hint


def test_each_volume_is_verified_by_itself_under_any_name(store: Store, tmp_path: Path) -> None:
    export(store, tmp_path / "out")
    for volume in ("models_v2", "datasets_v2"):
        (tmp_path / "out" / volume).rename(tmp_path / f"mounted-{volume}")
        assert verify_export(tmp_path / f"mounted-{volume}").sound


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises(ExportError, match="no export in this folder"):
        verify_export(tmp_path)


def exported_by_one_that_dies(store: Store, out: Path, moment: int) -> int:
    """The status of a process that exports, and kills itself before its operation `moment`."""
    child = os.fork()
    if child == 0:
        count = 0

        def dying(original: Callable[..., Any]) -> Callable[..., Any]:
            def operation(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original(*arguments)

            return operation

        for name in ("create", "write", "fsync", "rename", "unlink", "mkdir", "hardlink"):
            setattr(disk, name, dying(getattr(disk, name)))
        with suppress(BaseException):
            export(store, out)
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_kill_9_leaves_no_half_file_and_the_same_call_completes_it(memory: Path) -> None:
    store = Store(memory / "storage")
    materialize(store, "one")
    wanted = published(store)
    whole, moment = memory / "whole", 1
    export(store, whole)
    while True:
        out = memory / f"out-{moment}"
        status = exported_by_one_that_dies(store, out, moment)
        there = contents(out) if out.exists() else {}
        half = {path: data for path, data in there.items() if data != wanted.get(path)}
        assert all(disk.is_temporary(Path(path).name) for path in half)
        again = export(store, out)
        assert again.kept == len(there) - len(half)
        assert contents(out) == wanted
        assert verify_export(out).sound
        assert (out / "models_v2" / NAME).read_bytes() == (whole / "models_v2" / NAME).read_bytes()
        if status == 0:
            break
        assert status == -signal.SIGKILL
        moment += 2
    assert moment > 30


def test_an_interrupted_export_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export(store, out)
    materialize(store, "two")
    before = contents(out)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    original = Record.write

    def announced(record: Record, folder: Path) -> None:
        original(record, folder)
        if folder.name == "models_v2":
            monkeypatch.setattr(disk, "write", full)

    monkeypatch.setattr(Record, "write", announced)
    with pytest.raises(StorageError, match="EIO"):
        export(store, out)
    monkeypatch.undo()
    assert contents(out) == before, "nothing was replaced yet"
    found = verify_export(out)
    assert not found.sound
    assert "`wmtp export" in found.problems["unfinished"][0].hint
    assert not (out / "models_v2" / SUMS).exists()
    export(store, out)
    assert contents(out) == published(store)
    assert verify_export(out).sound


def test_what_is_published_and_collected_meanwhile_changes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    wanted = published(store)
    with store.reading_set("mtp"):
        publication = store.publication("mtp")
        assert publication is not None
        items = items_of(store, publication)
        for edition in ("two", "three", "four"):
            materialize(store, edition)
        store.gc(keep=1)
        write_export(items, {"mtp": publication.version}, out, storage=store.root)
    assert contents(out) == wanted
    store.gc(keep=1)
    with pytest.raises(StorageError):
        write_export(items, {"mtp": publication.version}, tmp_path / "late", storage=store.root)


def test_a_disk_that_is_too_small_is_refused_before_a_file_is_written(tmp_path: Path) -> None:
    said = in_a_mount_namespace(
        """
        import sys
        from pathlib import Path
        from wmtp_assets.storage import Store, StorageError
        from wmtp_assets_tests.export.test_writer import export
        from wmtp_assets_tests.storage.worlds import MODEL, PARAMS, SET, make, materialize
        store = Store(Path(sys.argv[2]) / "storage")
        materialize(store, "one")
        make(store, MODEL, {"model.safetensors": bytes(3 << 20), "SHA256SUMS": b""}, {"n": "2"})
        make(store, PARAMS, {"params.json": b"{}"}, {MODEL: store.current(MODEL).digest})
        assert store.publish(SET) is not None
        try:
            export(store, Path(sys.argv[1]) / "out")
        except StorageError as error:
            print(error)
        print(sorted(p.name for p in Path(sys.argv[1]).rglob("*") if p.is_file()))
        """.replace("\n        ", "\n"),
        _made(tmp_path / "small"),
        "size=1m",
        str(tmp_path),
    ).stdout.splitlines()
    assert "An export needs more room than the disk has" in said[0]
    assert said[1] == "['.wmtp-export.lock']"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_large_file_is_copied_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(150 << 20)
    script = """
    import resource, sys
    from pathlib import Path
    from wmtp_assets.export.files import place
    folder = Path(sys.argv[1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    how = place(folder / "large", folder / "copy", folder, sys.argv[2], link=False,
                read=lambda count: None)
    print(how, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    digest = sha256_file(tmp_path / "large")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), tmp_path, digest],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    how, kilobytes = done.stdout.split()
    assert how in ("copy", "reflink")
    assert int(kilobytes) < 20_000
    assert sha256_file(tmp_path / "copy") == digest
