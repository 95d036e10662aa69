"""What changed since the version before: told from the receipts in the storage, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts.changes import FIRST, GONE, changes
from wmtp_assets.storage import Receipt, Store

ROWS, RAW = "datasets/code_train", "datasets/code_train_raw"
SAME: dict[str, Any] = {"inputs": {}, "code_version": "3", "entry_digest": "entry"}


def made(store: Store, name: str, files: dict[str, bytes], **changed: Any) -> Receipt:
    with store.stage(name) as staging:
        for file, data in files.items():
            (staging.path / file).write_bytes(data)
        return staging.commit(**{**SAME, "seconds": 0.5, **changed})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_the_first_version_is_said_to_be_the_first(store: Store) -> None:
    assert changes(store, made(store, ROWS, {"rows": b"1"})) == FIRST


def test_counts_files_settings_and_code_are_named(store: Store) -> None:
    first = made(store, ROWS, {"rows": b"1", "old": b""}, facts={"rows": 381, "correct": 188})
    second = made(
        store,
        ROWS,
        {"rows": b"2", "new": b""},
        facts={"rows": 1_393, "correct": 180},
        code_version="4",
        entry_digest="other",
    )
    said = changes(store, second)
    assert said.startswith(f"since version {first.version} of {first.made_at[:10]}: ")
    assert "1,012 more rows (381 to 1,393); 8 fewer correct (188 to 180)" in said
    assert "its settings in the catalog were changed" in said
    assert "made by version 4 of the code, before by version 3" in said
    one, two = first.files["rows"].sha256[:12], second.files["rows"].sha256[:12]
    assert f"new: new; no longer old; rows {one} to {two}" in said


def test_what_it_was_made_from_is_named_by_its_commits(store: Store) -> None:
    raws = [
        made(store, RAW, {"fetched.json": n.encode()}, facts={"revision": n * 40}) for n in "ab"
    ]
    assert f"commit {'a' * 12} to {'b' * 12}" in changes(store, raws[1])
    rows = [
        made(store, ROWS, {"rows": n.encode()}, inputs={RAW: raw.digest})
        for n, raw in zip("12", raws, strict=True)
    ]
    told = changes(store, rows[1])
    assert f"made from another {RAW} (commit {'a' * 12} to {'b' * 12})" in told
    unknown = made(store, ROWS, {"rows": b"3"}, inputs={RAW: "0" * 64, "models/tokenizer": "1"})
    told = changes(store, unknown)
    assert f"made from another {RAW} ({raws[1].version} to {'0' * 12})" in told
    assert "made from models/tokenizer as well" in told


def test_an_earlier_version_that_is_current_again_says_so(store: Store) -> None:
    first = made(store, ROWS, {"rows": b"1"})
    second = made(store, ROWS, {"rows": b"2"})
    said = f"an earlier version is current again; {second.version} was made after it"
    assert changes(store, first) == said


def test_a_version_whose_predecessors_were_removed_is_not_called_the_first(store: Store) -> None:
    for number in range(3):
        last = made(store, ROWS, {"rows": str(number).encode()})
    store.gc(keep=1)
    assert changes(store, last) == GONE


def test_many_files_are_counted_not_listed(store: Store) -> None:
    for content in (b"1", b"2"):
        last = made(store, ROWS, {f"shard-{number}": content for number in range(40)})
    assert changes(store, last).endswith("; and 37 more files")
    assert len(changes(store, last)) < 400
