"""The checks of what was fetched: the right files of the right commit, and all of them."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import locked
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject, by
from wmtp_assets.artifacts.released_weights import checkpoint_of, released
from wmtp_assets.artifacts.types import LISTING, Fetched, fetched
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, listing_from
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Check, Outcome, check
from wmtp_assets.hub.files import UNPINNED, is_fixed
from wmtp_assets.storage import as_read, aside
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.digests import sha256_files
from wmtp_assets.storage.receipts import Mismatch


def source_input(there_is: Fetched, artifact: Artifact) -> dict[str, str]:
    """The one input of a raw artifact: its repository, and the commit that its files are of.

    For a mirror without a record of its commit, what its receipt says stands.
    """
    name = f"hub/{UpstreamFiles.of(artifact).repo}"
    if there_is.revision != UNPINNED:
        return {name: there_is.revision}
    return {name: there_is.receipt.inputs.get(name, "a mirror's files")}


def checks(project: Project, artifact: Artifact) -> list[Check[Subject]]:
    """The checks of a raw artifact, beside those of every artifact."""
    weights = checkpoint_of(project, artifact.name) is not None
    return [fetched_files, weights_kept] if weights else [fetched_files]


@check(
    "Every fetched file has the SHA-256 that was recorded on arrival and the one in "
    "the catalog, and is of the pinned commit.",
    quick=True,
)
def fetched_files(subject: Subject) -> Outcome:
    """Whether every fetched file is the one that catalog, assets.lock and its record name. A
    subject that is not `deep` compares the records with each other, and no file is read."""
    project, artifact = subject.project, subject.artifact
    there_is = fetched(project.store, artifact.name)
    listing = there_is.files()
    wanted = UpstreamFiles.of(artifact)
    pinned = {file.path: file.sha256 for file in wanted.files if file.sha256}
    wrong = _unlike_selection(wanted, there_is.receipt.facts["folder"], list(listing))
    # A mirror without a record of its commit cannot say; the digests decide alone.
    if is_fixed(wanted.revision) and there_is.revision not in (wanted.revision, UNPINNED):
        wrong.append(f"fetched at {there_is.revision}, but catalog: {wanted.revision}")
    records = {path: (record["size"], record["sha256"]) for path, record in listing.items()}
    written = (there_is.folder / LISTING).read_bytes() == json_bytes(listing_from(records))
    if not written or not all(type(size) is int for size, _ in records.values()):
        wrong.append(f"{LISTING}: not as a fetch writes it")
    paths = there_is.paths()
    gone = released(project, artifact.name)
    wrong += [
        f"{path}: {problem}"
        for path, problem in there_is.lost().items()
        if gone is None or path not in gone.files
    ]
    links = _links(project, paths.values())
    wrong += [f"{link.file.relative_to(project.storage)}: {link.found}" for link in links]
    record_of = locked(project, wanted.repo)
    if record_of is not None and record_of.commit != there_is.revision:
        wrong.append(f"fetched at {there_is.revision}, but assets.lock: {record_of.commit}")
    sums = digests_of(there_is, subject.shared) if subject.deep else {}
    for path, record in listing.items():
        found = sums.get(paths[path], str(record["sha256"]))  # unread: the record against the pin
        known = record_of.files.get(path) if record_of else None
        for source, recorded in (
            ("on arrival", record["sha256"]),
            ("catalog", pinned.get(path)),
            ("assets.lock", known.sha256 if known else "no record"),
        ):
            if recorded is not None and found != recorded:
                wrong.append(f"{path}: {found}, but {source}: {recorded}")
    return Outcome(
        not wrong,
        f"{len(listing)} files with their recorded SHA-256",
        "; ".join(wrong) or "as expected",
        str(there_is.upstream),
        hint=(links[0].hint if links else subject.again) if wrong else "",
        details={"revision": there_is.revision},
    )


def digests_of(raw: Fetched, shared: Shared) -> dict[Path, str]:
    """SHA-256 of the fetched files that are there, read once in a verification of several
    artifacts."""
    there = [at for at in raw.paths().values() if at.is_file()]
    # Kept: what is made from them is compared with samples of them.
    found: dict[Path, str] = shared.once(
        _read_of(raw, there), lambda: sha256_files(there, keep=True)
    )
    return found


def _read_of(raw: Fetched, files: Iterable[Path]) -> Hashable:
    """The key of what is read of fetched files: the same only while no file was touched."""
    found = ((path, path.stat()) for path in files)
    return (
        "fetched",
        raw.name,
        *((str(p), s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for p, s in found),
    )


def _links(project: Project, paths: Iterable[Path]) -> list[Mismatch]:
    """Links in place of fetched files, or of folders on the way: what they lead to is not the
    storage's own, and is changed by whoever owns it."""
    files = list(paths)
    found = as_read.relocated(project.store.root, files)
    for path in files:
        if os.path.islink(path):  # noqa: PTH114  (never raises)
            hint = f"`rm {aside.quoted(path)}`, then `wmtp materialize` fetches the file."
            found.append(Mismatch(path, "a file", as_read.described(path), hint))
    return found


@check(
    "The fetched weights that the checkpoint was made from are still here (`wmtp gc "
    "--raw` removes them).",
    blocking=False,
)
def weights_kept(subject: Subject) -> Outcome:
    """Whether the weights that a checkpoint was converted from are still here."""
    project, artifact = subject.project, subject.artifact
    expected = "every weight can be compared with its source again"
    there_is, gone = fetched(project.store, artifact.name), released(project, artifact.name)
    missing = sorted(there_is.lost().keys() & gone.files.keys()) if gone is not None else []
    if gone is None or not missing:
        return Outcome(True, expected, "as expected", str(there_is.upstream))
    return Outcome(
        False,
        expected,
        f"released at {gone.at}, when every value had been compared: {', '.join(missing)}",
        str(there_is.upstream),
        hint="nothing needs to be done; to fetch them again: "
        f"`wmtp materialize {artifact.name} --force`",
    )


def _unlike_selection(wanted: UpstreamFiles, folder: object, paths: list[str]) -> list[str]:
    """How the list of what was fetched differs from what the catalog takes, and from the order in
    which it is read: a file left out, an unexpected one, two in each other's place."""
    wrong = [f"fetched to {folder}"] if folder != wanted.repo.folder else []
    known: set[str] = set()
    for file in wanted.files:
        found = {path for path in paths if fnmatchcase(path, file.path)}
        if len(found) != file.count:
            wrong.append(f"{len(found)} files for {file.path}, but catalog: {file.count}")
        known |= found
    wrong += [f"{path}: not in the catalog" for path in paths if path not in known]
    if paths != sorted(paths):
        wrong.append("listed in another order than upstream's")
    return wrong


FETCHED = KindChecks(Subject, checks, by(fetched_files))
