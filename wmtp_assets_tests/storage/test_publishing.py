"""Sets: published as a whole or not at all, never over somebody else's files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wmtp_assets.storage import PublishedSet, StorageError, Store
from wmtp_assets_tests.storage.worlds import (
    MODEL,
    MOVED,
    PARAMS,
    ROWS,
    SET,
    make,
    materialize,
    orphans,
    seen,
)


def test_a_set_appears_at_the_contracts_paths(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    assert len(seen(tmp_path)) == len(SET.links)
    assert (tmp_path / "models_v2/mtp/configs/params.json").read_bytes() == b'"one"'
    assert store.unpublished(SET) == []
    publication = store.publication("mtp")
    assert publication is not None
    assert publication.members[MODEL].version == store.path(MODEL).name


def test_publishing_twice_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    first = store.publication("mtp")
    assert store.publish(SET) == first
    assert store.publications("mtp") == [first]


def test_a_set_with_a_missing_member_is_not_published(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, MODEL, {"model.safetensors": b"1", "SHA256SUMS": b"2"})
    assert store.publish(SET) is None
    assert seen(tmp_path) == {}


def test_a_set_whose_members_do_not_fit_together_is_not_published(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    old = seen(tmp_path)
    make(store, MODEL, {"model.safetensors": b"newer", "SHA256SUMS": b"2"}, code_version="2")
    assert store.publish(SET) is None  # params.json was derived from the older model
    assert seen(tmp_path) == old
    assert "made from another version" in store.unpublished(SET)[0].found


def test_a_set_with_a_damaged_member_is_not_published(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    make(store, ROWS, {"train.jsonl": b"two", "stats/train.json": b"2"}, code_version="2")
    (store.path(ROWS) / "train.jsonl").unlink()
    old = seen(tmp_path)
    assert store.publish(SET) is None
    assert seen(tmp_path) == old


def test_a_published_file_that_its_artifact_does_not_hold_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, MODEL, {"a": b"1"})
    wanted = PublishedSet("x", {"models_v2/x/b": (MODEL, "b")}, ["models_v2/x"])
    with pytest.raises(StorageError, match="does not hold"):
        store.publish(wanted)


@pytest.mark.parametrize(
    ("links", "mounts"),
    [
        ({"models_v2/x/a": (MODEL, "a")}, []),
        ({"models_v2/x/a": (MODEL, "a")}, ["models_v2", "models_v2/x"]),
        ({"../x/a": (MODEL, "a")}, ["../x"]),
        ({"/etc/passwd": (MODEL, "a")}, ["/etc/passwd"]),
        ({"versions/x": (MODEL, "a")}, ["versions"]),
        ({"models_v2/x": (MODEL, "../../secret")}, ["models_v2/x"]),
        ({"models_v2/x": ("../up", "a")}, ["models_v2/x"]),
    ],
)
def test_a_set_that_makes_no_sense_is_refused(
    links: dict[str, tuple[str, str]], mounts: list[str]
) -> None:
    with pytest.raises(StorageError):
        PublishedSet("x", links, mounts)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("models_v2/mtp", "folder"),
        ("models_v2/mtp", "file"),
        ("models_v2/mtp", "link"),
        ("datasets_v2/code/processed/train.jsonl", "folder"),
        ("datasets_v2/code/processed/train.jsonl", "file"),
        ("datasets_v2/code/processed/train.jsonl", "link"),
        ("datasets_v2/code", "file"),  # above a mount, where a folder is as it should be
        ("datasets_v2/code", "link"),
    ],
)
def test_what_is_not_ours_is_never_replaced(place: str, kind: str, tmp_path: Path) -> None:
    theirs = tmp_path / place
    theirs.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    if kind == "folder":
        theirs.mkdir()
        (theirs / "precious").write_bytes(b"theirs")
    elif kind == "file":
        theirs.write_bytes(b"theirs")
    else:
        theirs.symlink_to(tmp_path / "elsewhere")
    before = sorted(path for path in tmp_path.rglob("*") if "_v2" in str(path))
    with pytest.raises(StorageError, match=rf"(Something else|link).*{place}"):
        materialize(Store(tmp_path), "one")
    assert sorted(path for path in tmp_path.rglob("*") if "_v2" in str(path)) == before
    assert kind != "file" or theirs.read_bytes() == b"theirs"
    assert kind != "folder" or (theirs / "precious").read_bytes() == b"theirs"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_another_sets_path_is_not_taken_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    thief = PublishedSet("thief", {"models_v2/mtp": (MODEL, "SHA256SUMS")}, ["models_v2/mtp"])
    with pytest.raises(StorageError, match="Something else stands"):
        store.publish(thief)


def test_a_lost_or_turned_link_is_named_and_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    whole = seen(tmp_path)
    farm = (tmp_path / "published/mtp/current").resolve()
    (farm / "models_v2/mtp/configs/params.json").unlink()
    turned = farm / "models_v2/mtp/safetensors/SHA256SUMS"
    turned.unlink()
    turned.symlink_to("/etc/hostname")
    (tmp_path / "datasets_v2/code/processed/train.jsonl").unlink()
    assert {found.file.name for found in store.unpublished(SET)} == {
        "params.json",
        "SHA256SUMS",
        "train.jsonl",
    }
    assert store.publish(SET) is not None
    assert seen(tmp_path) == whole
    assert store.unpublished(SET) == []


def test_a_mount_that_moved_leaves_no_dead_link(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    assert store.publish(MOVED) is not None
    assert (tmp_path / "datasets_v2/code/statistics/train_stats.json").read_bytes() == b"one"
    assert not (tmp_path / "datasets_v2/code/stats/train_stats.json").is_symlink()


def test_rollback_goes_back_to_what_was_replaced_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    one, first = seen(tmp_path), store.publication("mtp")
    materialize(store, "two")
    two = seen(tmp_path)
    assert store.rollback("mtp") == first
    assert seen(tmp_path) == one
    assert store.unpublished(SET) == []  # the artifacts went back too
    with pytest.raises(StorageError, match="no such version"):
        store.rollback("mtp")
    store.rollback("mtp", store.publications("mtp")[0].version)
    assert seen(tmp_path) == two


def test_after_a_rollback_the_next_edition_knows_what_it_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "good")
    good = seen(tmp_path)
    materialize(store, "bad")
    store.rollback("mtp")
    materialize(store, "next")
    store.rollback("mtp")
    assert seen(tmp_path) == good


def test_a_version_whose_files_are_gone_is_not_gone_back_to(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    (store.path(PARAMS) / "params.json").unlink()
    materialize(store, "two")
    two = seen(tmp_path)
    with pytest.raises(StorageError, match=r"one of its files has changed.*params\.json"):
        store.rollback("mtp")
    assert seen(tmp_path) == two


def test_rollback_waits_for_nobody_who_is_making_a_member(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    materialize(store, "two")
    two = seen(tmp_path)
    with (
        store.stage(PARAMS),
        pytest.raises(StorageError, match=r"being made at this moment.*process"),
    ):
        store.rollback("mtp")
    assert seen(tmp_path) == two


def test_the_storage_can_be_moved_and_copied_as_a_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "here")
    materialize(store, "one")
    materialize(store, "two")
    two = seen(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "copy", symlinks=True)
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "here").rename(tmp_path / "far" / "away" / "there")
    for root in (tmp_path / "far" / "away" / "there", tmp_path / "copy"):
        moved = Store(root)
        assert seen(root) == two
        assert moved.unpublished(SET) == []
        moved.rollback("mtp")
        materialize(moved, "three")
        assert (root / "models_v2/mtp/configs/params.json").read_bytes() == b'"three"'
    assert str(tmp_path) not in "".join(
        path.read_text() for path in (tmp_path / "copy").rglob("*.json")
    )
    assert orphans(tmp_path) == []
