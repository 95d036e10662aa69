"""Findings that fail while others publish are looked at again, and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import quick
from wmtp_assets.artifacts.checks.settling import settled
from wmtp_assets.artifacts.released_weights import record_of
from wmtp_assets.findings import Finding
from wmtp_assets.storage.store import Store

ROWS, SCHEMA = "datasets/humaneval_test", "datasets/humaneval_schema"
FAILED = Finding("files_unchanged", passed=False, expected="a file", found="nothing", where="")


def moved(store: Store, name: str, text: str = "other") -> None:
    """Another version of an artifact becomes current."""
    with store.stage(name) as staging:
        (staging.path / "file").write_text(text)
        staging.commit(inputs={}, code_version="1", entry_digest="", seconds=0)


@pytest.mark.parametrize("what", ["itself", "what it is made from", "a release", "nothing"])
def test_what_failed_is_looked_at_again_where_something_moved(what: str, copied: Project) -> None:
    artifact = copied.artifacts["datasets/humaneval_test_metadata"]
    raw = f"{ROWS}_raw"
    looks = 0

    def look() -> list[Finding]:
        nonlocal looks
        looks += 1
        if looks > 1:
            return [replace(FAILED, passed=True)]
        if what == "itself":
            moved(copied.store, artifact.name)
        elif what == "what it is made from":
            moved(copied.store, ROWS)
        elif what == "a release":
            record = record_of(copied, raw)
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_bytes(b"{}")
        return [FAILED]

    (found,) = settled(copied, artifact, look)
    assert found.passed is (what != "nothing")
    assert looks == (1 if what == "nothing" else 2)


def test_what_never_settles_is_told_as_it_was_found_last(copied: Project) -> None:
    artifact, looks = copied.artifacts[ROWS], 0

    def look() -> list[Finding]:
        nonlocal looks
        looks += 1
        moved(copied.store, ROWS, str(looks))
        return [replace(FAILED, found=looks)]

    (found,) = settled(copied, artifact, look)
    assert found == replace(FAILED, found=5)


def test_a_missing_file_stays_missing(copied: Project) -> None:
    receipt = copied.store.current(SCHEMA)
    assert receipt is not None
    (copied.store.path(SCHEMA) / next(iter(receipt.files))).unlink()
    assert [one.passed for one in quick(copied, copied.artifacts[SCHEMA])] == [False]
