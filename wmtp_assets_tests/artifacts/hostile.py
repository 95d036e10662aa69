"""What somebody with write access may do to a storage: a function each, its first line says what.

`MISCHIEF` closes the gate, `HARMLESS` may leave it open: the bytes that readers see are right.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.storage.publications import RECORD
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets_tests.artifacts.editions import SPLIT

Trick = Callable[[Project], object]
ROWS = "test.jsonl"


def emptied(path: Path) -> Path:
    """The path, after removing what lies there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return path


def version(project: Project, name: str = SPLIT) -> Path:
    return project.store.path(name)


def fetched(project: Project) -> Path:
    (path,) = (project.store.upstream / "datasets").rglob("*.parquet")
    return path


def publication(project: Project) -> Path:
    return project.store.published.home(SPLIT) / "current" / RECORD


def pipe(path: Path) -> None:
    os.mkfifo(emptied(path))


def forged(project: Project, **other: object) -> None:
    """Writes a receipt that its own seal fits, with other words in it."""
    path = version(project) / "receipt.json"
    value = json.loads(path.read_bytes()) | other
    receipt = replace(Receipt.from_json(json.loads(path.read_bytes())), **other)  # type: ignore[arg-type]  # wrong on purpose
    try:
        path.write_bytes(receipt.to_bytes())
    except (TypeError, AttributeError):  # what cannot even be sealed is written as it is
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def two_artifacts_swapped(project: Project) -> None:
    """The folders of two artifacts under each other's name."""
    one, other = (project.store.versions.home(name) for name in (SPLIT, f"{SPLIT}_metadata"))
    between = one.with_name("between")
    one.rename(between)
    other.rename(one)
    between.rename(other)


def a_version_is_a_link(project: Project) -> None:
    """The version's folder lies outside; a link stands in its place."""
    folder = version(project)
    outside = project.storage.with_name("outside")
    shutil.move(folder, outside)
    folder.symlink_to(outside)


def bytes_without_end(project: Project) -> None:
    """A link to /dev/zero in place of a published file."""
    emptied(version(project) / ROWS).symlink_to("/dev/zero")


def a_version_that_may_not_be_listed(project: Project) -> None:
    """A file in place of the version's folder."""
    emptied(version(project)).write_bytes(b"no folder")


def another_lock(project: Project) -> None:
    """assets.lock with other digests."""
    value = json.loads(project.lock.path.read_bytes())
    for repo in value["repos"].values():
        for file in repo["files"].values():
            file["sha256"] = "0" * 64
    project.lock.path.write_text(json.dumps(value), encoding="utf-8")


def a_lock_of_another_commit(project: Project) -> None:
    """assets.lock of other commits."""
    value = json.loads(project.lock.path.read_bytes())
    for repo in value["repos"].values():
        repo["commit"] = "f" * 40
    project.lock.path.write_text(json.dumps(value), encoding="utf-8")


def a_listing_that_climbs(project: Project) -> None:
    """The list of what was fetched names a file outside, its receipt edited to match."""
    from wmtp_assets_tests.artifact_checks.breaking import recommit

    def climb(folder: Path) -> None:
        listing = json.loads((folder / "fetched.json").read_bytes())
        (record,) = listing["files"].values()
        listing["files"] = {"../../../../../outside": record}
        (folder / "fetched.json").write_text(json.dumps(listing), encoding="utf-8")

    recommit(project, f"{SPLIT}_raw", climb)


def a_name_that_is_no_text(project: Project) -> None:
    """A file in a version whose name is not UTF-8, and would clear the screen."""
    Path(os.fsdecode(os.fsencode(version(project)) + b"/\xff\x1b[2J.bin")).write_bytes(b"1")


def a_folder_whose_name_is_no_text(project: Project) -> None:
    """A home of leftovers that no artifact can have."""
    home = Path(os.fsdecode(os.fsencode(project.store.versions.folder) + b"/\xff\xfe"))
    (home / ".staging-1").mkdir(parents=True)


def current_goes_round(project: Project) -> None:
    """`current` is a link to itself."""
    emptied(project.store.versions.home(SPLIT) / "current").symlink_to("current")


def published_goes_round(project: Project) -> None:
    """The contract's path is a link to itself."""
    emptied(project.storage / f"datasets_v2/humaneval/processed/{ROWS}").symlink_to(ROWS)


def the_storage_goes_round(project: Project) -> None:
    """The storage is a link to itself."""
    emptied(project.storage).symlink_to(project.storage.name)


def a_publication_of_elsewhere(project: Project) -> None:
    """The record of a publication names versions by a path."""
    value = json.loads(publication(project).read_bytes())
    for member in value["members"].values():
        member["version"] = "../../../.."
    publication(project).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


MISCHIEF: dict[str, Trick] = {
    "two artifacts swapped": two_artifacts_swapped,
    "a version is a link": a_version_is_a_link,
    "a version is a file": a_version_that_may_not_be_listed,
    "a pipe for a published file": lambda p: pipe(version(p) / ROWS),
    "a pipe for a receipt": lambda p: pipe(version(p) / "receipt.json"),
    "a pipe for a publication": lambda p: pipe(publication(p)),
    "a pipe for a fetched file": lambda p: pipe(fetched(p)),
    "a pipe for assets.lock": lambda p: pipe(p.lock.path),
    "a device for a published file": bytes_without_end,
    "a folder for a published file": lambda p: emptied(version(p) / ROWS).mkdir(),
    "a folder for a receipt": lambda p: emptied(version(p) / "receipt.json").mkdir(),
    "a folder for a publication": lambda p: emptied(publication(p)).mkdir(),
    "a file for current": lambda p: emptied(version(p).with_name("current")).write_text("x"),
    "a file that nobody knows": lambda p: (version(p) / "extra").write_bytes(b"1"),
    "a name that is no text": a_name_that_is_no_text,
    "current goes round": current_goes_round,
    "the published path goes round": published_goes_round,
    "the storage goes round": the_storage_goes_round,
    "the storage is a file": lambda p: emptied(p.storage).write_bytes(b"no folder"),
    "the storage is empty": lambda p: emptied(p.storage).mkdir(),
    "no storage": lambda p: emptied(p.storage),
    "no versions": lambda p: emptied(p.storage / "versions").write_bytes(b"no folder"),
    "no assets.lock": lambda p: emptied(p.lock.path),
    "assets.lock of another kind": lambda p: p.lock.path.write_text("[]"),
    "assets.lock without end of nesting": lambda p: p.lock.path.write_text("[" * 200_000),
    "assets.lock with other digests": another_lock,
    "assets.lock of another commit": a_lock_of_another_commit,
    "a listing that climbs": a_listing_that_climbs,
    "a publication of elsewhere": a_publication_of_elsewhere,
    "a receipt without end of nesting": lambda p: (version(p) / "receipt.json").write_text(
        "[" * 200_000
    ),
    "a receipt of 16 GB": lambda p: os.truncate(version(p) / "receipt.json", 1 << 34),
    "a receipt that is no text": lambda p: (version(p) / "receipt.json").write_bytes(b"\xff\xfe"),
    "a receipt that climbs": lambda p: forged(p, files={"../../../../outside": (1, "0" * 64)}),
    "a receipt of no files": lambda p: forged(p, files={}),
    "inputs that are a list": lambda p: forged(p, inputs=[1]),
    "facts that are a number": lambda p: forged(p, facts=3),
    "a sequence that is a text": lambda p: forged(p, sequence="9"),
    "another artifact's name": lambda p: forged(p, artifact="datasets/mbpp_test"),
}
HARMLESS: dict[str, Trick] = {
    "a hard link outside": lambda p: p.storage.with_name("hard").hardlink_to(version(p) / ROWS),
    "a pipe for the report": lambda p: pipe(p.report),
    "a folder whose name is no text": a_folder_whose_name_is_no_text,
    "a file for the locks": lambda p: emptied(p.storage / ".locks").write_bytes(b"no folder"),
    "versions of another catalog": lambda p: (
        p.store.versions.folder / "models" / "theirs" / "0123456789ab"
    ).mkdir(parents=True),
}
