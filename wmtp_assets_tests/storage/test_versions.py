"""Artifacts: made as a whole, immutable, found again, and honest about damage."""

from __future__ import annotations

import errno
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.storage import Receipt, StorageError, Store, receipts
from wmtp_assets_tests.storage.worlds import MODEL, make, orphans

SAME: dict[str, Any] = {"inputs": {}, "code_version": "1", "entry_digest": "entry"}


def reusable(store: Store, code_version: str = "1") -> Receipt | None:
    return store.reusable(MODEL, inputs={}, code_version=code_version, entry_digest="entry")


def test_a_commit_is_found_again_with_what_it_was_made_of(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.current(MODEL) is None
    with store.stage(MODEL) as staging:
        (staging.path / "configs").mkdir()
        (staging.path / "configs" / "params.json").write_bytes(b"{}")
        made = staging.commit(
            inputs={"upstream/x": "ab"},
            code_version="3",
            entry_digest="cd",
            seconds=1.5,
            facts={"rows": 3, "of": ("a", "b")},
        )
    assert Store(tmp_path).current(MODEL) == made
    assert made.inputs == {"upstream/x": "ab"}
    assert made.facts == {"rows": 3, "of": ["a", "b"]}
    assert (made.code_version, made.entry_digest, made.seconds) == ("3", "cd", 1.5)
    assert made.files["configs/params.json"].size == 2
    assert store.path(MODEL) == tmp_path / "versions" / MODEL / made.version
    assert (store.path(MODEL) / "configs/params.json").read_bytes() == b"{}"


def test_the_same_bytes_are_the_same_version(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    assert make(one, MODEL, {"a": b"1", "b": b"2"}).version == (
        make(other, MODEL, {"b": b"2", "a": b"1"}).version
    )
    again = make(one, MODEL, {"a": b"1", "b": b"2"}, code_version="2")
    assert len(one.history(MODEL)) == 1
    assert one.current(MODEL) == again
    assert again.code_version == "2"


def test_digests_that_are_known_are_not_computed_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage(MODEL) as staging:
        (staging.path / "a").write_bytes(b"1")
        made = staging.commit(**SAME, seconds=0, digests={"a": "ab" * 32})
    assert made.files["a"].sha256 == "ab" * 32
    with store.stage(MODEL) as staging:
        (staging.path / "a").write_bytes(b"1")
        with pytest.raises(StorageError, match="was not written"):
            staging.commit(**SAME, seconds=0, digests={"b": "ab" * 32})


def test_an_artifact_is_reusable_only_if_nothing_it_was_made_of_changed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert reusable(store) is None
    made = make(store, MODEL, {"a": b"1"})
    assert reusable(store) == made
    assert reusable(store, code_version="2") is None
    assert store.reusable(MODEL, inputs={"x": "y"}, code_version="1", entry_digest="entry") is None
    assert store.reusable(MODEL, inputs={}, code_version="1", entry_digest="other") is None
    (store.path(MODEL) / "a").unlink()
    assert reusable(store) is None


def test_an_older_version_made_of_the_same_is_taken_instead_of_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = make(store, MODEL, {"a": b"1"}, code_version="1")
    make(store, MODEL, {"a": b"2"}, code_version="2")
    with store.stage(MODEL) as staging:
        assert staging.reuse(**SAME) == first
    assert store.current(MODEL) == first
    assert orphans(tmp_path) == []


def test_a_block_without_commit_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.stage(MODEL) as staging:
        (staging.path / "half").write_bytes(b"1")
    with pytest.raises(FileExistsError), store.stage(MODEL) as staging:
        staging.path.mkdir()
    assert store.current(MODEL) is None
    assert orphans(tmp_path) == []


def test_a_damaged_file_is_mended_by_making_it_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = make(store, MODEL, {"a": b"good", "b": b"good too"})
    (store.path(MODEL) / "a").write_bytes(b"evil")
    (store.path(MODEL) / "b").unlink()
    (store.path(MODEL) / "stray").write_bytes(b"?")
    found = {mismatch.file.name for mismatch in store.mismatches(MODEL, deep=True)}
    assert found == {"a", "b", "stray"}
    assert make(store, MODEL, {"a": b"good", "b": b"good too"}).version == made.version
    assert store.mismatches(MODEL, deep=True) == []


def test_two_hundred_flipped_bits_are_each_found_and_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, MODEL, {"model.safetensors": random.Random(0).randbytes(4000), "params": b"{}"})
    paths = [path for path in store.path(MODEL).iterdir() if path.is_file()]
    assert len(paths) == 3  # the receipt is one of them
    for seed in range(200):
        path = paths[seed % 3]
        whole = path.read_bytes()
        bit = random.Random(seed).randrange(len(whole) * 8)
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert [found.file for found in store.mismatches(MODEL, deep=True)] == [path], bit
        path.write_bytes(whole)
    assert store.mismatches(MODEL, deep=True) == []


def test_a_receipt_that_was_edited_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, MODEL, {"a": b"1"})
    path = store.path(MODEL) / "receipt.json"
    value = json.loads(path.read_bytes())
    value["code_version"] = "2"
    path.write_text(json.dumps(value, indent=2) + "\n")
    with pytest.raises(StorageError, match=r"damaged.*its own seal.*receipt\.json"):
        store.current(MODEL)
    assert reusable(store) is None


def test_a_receipt_in_another_artifacts_folder_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, MODEL, {"a": b"1"})
    make(store, "models/other", {"a": b"1"})
    stolen = (store.path("models/other") / "receipt.json").read_bytes()
    (store.path(MODEL) / "receipt.json").write_bytes(stolen)
    with pytest.raises(StorageError, match="folder of another artifact"):
        store.current(MODEL)


def test_history_does_not_depend_on_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    first = make(store, MODEL, {"a": b"1"})
    monkeypatch.setattr(receipts, "now", lambda: "2025-01-01T00:00:00+00:00")  # set back a year
    second = make(store, MODEL, {"a": b"2"}, code_version="2")
    assert second.made_at < first.made_at
    assert store.history(MODEL) == [second, first]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_modes_follow_the_umask_whatever_the_maker_set(umask: int, tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = os.umask(umask)
    try:
        with store.stage(MODEL) as staging:
            (staging.path / "deep").mkdir(mode=0o700)
            for name in ("deep/secret", "open"):
                (staging.path / name).write_bytes(b"1")
                (staging.path / name).chmod(0o600 if name == "deep/secret" else 0o777)
            staging.commit(**SAME, seconds=0)
    finally:
        os.umask(before)
    for path in store.path(MODEL).rglob("*"):
        wanted = (0o777 if path.is_dir() else 0o666) & ~umask
        assert path.stat().st_mode & 0o777 == wanted, path


def test_links_and_devices_are_not_artifacts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    outside = tmp_path / "outside"
    outside.write_bytes(b"1")
    with store.stage(MODEL) as staging:
        (staging.path / "link").symlink_to(outside)
        with pytest.raises(StorageError, match=r"plain files only.*a link.*/link"):
            staging.commit(**SAME, seconds=0)
    with store.stage(MODEL) as staging:
        os.mkfifo(staging.path / "pipe")
        with pytest.raises(StorageError, match="a device, pipe or socket"):
            staging.commit(**SAME, seconds=0)


@pytest.mark.parametrize("name", ["a\nb", "back\\slash", "c:x", "\udcff", "deep/\x7f"])
def test_a_file_whose_name_no_receipt_may_hold_is_refused(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    kept = make(store, MODEL, {"a": b"1"})
    with store.stage(MODEL) as staging:
        (staging.path / name).parent.mkdir(exist_ok=True)
        (staging.path / name).write_bytes(b"2")
        with pytest.raises(StorageError, match="A path in the storage is not usable"):
            staging.commit(**SAME, seconds=0)
    assert store.current(MODEL) == kept


def test_an_artifact_without_files_or_with_its_own_receipt_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in (None, "receipt.json"):
        with store.stage(MODEL) as staging:
            if name:
                (staging.path / name).write_bytes(b"{}")
            with pytest.raises(StorageError, match=r"none called receipt\.json"):
                staging.commit(**SAME, seconds=0)


@pytest.mark.parametrize(
    "name", ["", "/", "../up", "a//b", "a/../b", "current", "a/current", ".hidden", "0123456789ab"]
)
def test_a_name_that_would_collide_or_climb_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="not usable"):
        Store(tmp_path).current(name)


@pytest.mark.parametrize("linked", ["versions", "versions/models", f"versions/{MODEL}", ".locks"])
def test_a_link_that_leads_out_of_the_storage_is_not_written_through(
    linked: str, tmp_path: Path
) -> None:
    root, outside = tmp_path / "storage", tmp_path / "outside"
    outside.mkdir()
    (root / linked).parent.mkdir(parents=True)
    (root / linked).symlink_to(outside)
    with pytest.raises(StorageError, match="leads out of it") as making:
        make(Store(root), MODEL, {"a": b"1"})
    with pytest.raises(StorageError, match="leads out of it") as writing:
        Store(root).writable(root / linked / "file")
    for refused in (making, writing):  # by the same cause as where `disk` meets the link
        assert isinstance(refused.value.__cause__, OSError)
        assert refused.value.__cause__.errno == errno.ELOOP
    assert list(outside.iterdir()) == []


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "storage").symlink_to("disk")
    store = Store(tmp_path / "storage")
    make(store, MODEL, {"a": b"1"})
    assert (tmp_path / "disk" / "versions" / MODEL / "current" / "a").read_bytes() == b"1"


def test_what_was_never_made_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"wmtp materialize {MODEL}"):
        Store(tmp_path).path(MODEL)


def test_current_as_a_folder_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, MODEL, {"a": b"1"})
    current = tmp_path / "versions" / MODEL / "current"
    current.unlink()
    current.mkdir()
    with pytest.raises(StorageError, match=r"not the link.*cp -a"):
        store.current(MODEL)
    assert [found.file for found in store.mismatches(MODEL, deep=False)] == [current]


def test_a_name_that_is_too_long_is_said_to_be_that(tmp_path: Path) -> None:
    store = Store(tmp_path / ("x" * 256))
    for call in (lambda: store.current("a"), lambda: store.publication("a")):
        with pytest.raises(StorageError, match="ENAMETOOLONG") as refused:
            call()
        assert "shorter path" in str(refused.value.hint)
    with pytest.raises(StorageError, match="ENAMETOOLONG") as refused, store.stage("a"):
        pass
    assert "shorter path" in str(refused.value.hint)
