"""Fetched weights that `wmtp gc --raw` has removed, after their conversion was verified.

27 GB of float32 are of no use to a reader of float16. A record of their release stands in for them
as long as the checkpoint is the one that was verified then, and would not be made differently now.
Otherwise the weights count as missing, and are fetched again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.recipes import Recipe
from wmtp_assets.artifacts.types import demand, fetched
from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.storage.digests import digest_of
from wmtp_assets.storage.disk import make_folders
from wmtp_assets.storage.errors import StorageError, storage_errors
from wmtp_assets.storage.receipts import UNREADABLE, now, record_bytes

FOLDER = ".released"


@dataclass(frozen=True)
class Released:
    """What was released of one repository: SHA-256 by path, and when.

    `checkpoint` is the digest of the artifact whose every value was then compared with them.
    """

    files: dict[str, str]
    checkpoint: str
    at: str


def release(project: Project, name: str, paths: list[str], checkpoint: str) -> None:
    """Records that these files of a raw artifact may go: `checkpoint` was verified to hold them.

    `checkpoint` is the digest of the artifact converted from them. Raises StorageError.
    """
    listing = fetched(project.store, name).files()
    value: dict[str, object] = {
        "files": {path: listing[path]["sha256"] for path in paths},
        "checkpoint": checkpoint,
        "at": now(),
    }
    record = project.store.writable(record_of(project, name))
    with storage_errors("Recording what is released", record):
        make_folders(record.parent)
    write_json(record, {**value, "seal": digest_of(value)})


def released(project: Project, name: str) -> Released | None:
    """What was released of a raw artifact; None where nothing was, or where it counts no more."""
    record, checkpoint = record_of(project, name), checkpoint_of(project, name)
    if checkpoint is None or not record.is_file():
        return None
    try:
        value = json.loads(record_bytes(record))
        seal = value.pop("seal")
        gone = Released(dict(value["files"]), str(value["checkpoint"]), str(value["at"]))
        inputs = {one: demand(project.store, one).digest for one in checkpoint.inputs}
        made = Recipe.of(checkpoint, inputs).made(project.store, checkpoint.name)
        listing = fetched(project.store, name).files()
        same = all(listing[path]["sha256"] == digest for path, digest in gone.files.items())
    except (StorageError, *UNREADABLE):
        return None
    verified = made is not None and made.digest == gone.checkpoint
    return gone if verified and same and seal == digest_of(value) else None


def must_return(project: Project, name: str) -> bool:
    """Whether files of a raw artifact that exists are missing although they were not released."""
    try:
        lost = fetched(project.store, name).lost()
    except (StorageError, *UNREADABLE):
        return True
    if not lost:
        return not _recorded(project, name)
    gone = released(project, name)
    return not lost.keys() <= (gone.files.keys() if gone else set())


def _recorded(project: Project, name: str) -> bool:
    """Whether assets.lock records each file of a raw artifact; fetching it again records them."""
    locked = project.lock.known(UpstreamFiles.of(project.artifacts[name]).repo)
    return locked is not None and locked.files.keys() >= fetched(project.store, name).files().keys()


def checkpoint_of(project: Project, raw: str) -> Artifact | None:
    """The checkpoint that is converted from a raw artifact, if weights are in it."""
    for artifact in project.artifacts.values():
        if artifact.is_checkpoint and artifact.inputs[0] == raw:  # a tokenizer's files follow
            return artifact
    return None


def record_of(project: Project, name: str) -> Path:
    """Where it is recorded that weights of a raw artifact were released."""
    return project.store.upstream / FOLDER / f"{name}.json"
