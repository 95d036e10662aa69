"""The sample: a small directory mirror, written by this package, the same bytes on every machine.

It holds the catalog's three fetched models and three datasets at small size, with upstream's file
layout and upstream's irregularities, so that the whole platform runs without a Hub account. Only
the parquet files' bytes may differ, with pyarrow's version. torch is never needed.

Not here: the catalog of the sample (`catalog/sample.yaml`), and what tests alone need.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from wmtp_assets.hub.files import LOCK_NAME
from wmtp_assets.sample.datasets import write_code_contests
from wmtp_assets.sample.evalsets import write_evalsets
from wmtp_assets.sample.files import write_new
from wmtp_assets.sample.models import write_models
from wmtp_assets.sample.tokenizer import tokenizer_model
from wmtp_assets.storage import claims, disk, locks
from wmtp_assets.storage.receipts import record_bytes

FORMAT_VERSION = 4
"""Raise it when any byte of the sample changes: revisions and completeness follow from it."""

_WRITTEN_AT = "2026-01-01T00:00:00Z"
"""What the lock says of every file's time: the same on every machine, like the files."""
_WRITING = ".writing"


def sample_revision() -> str:
    """What stands in for the commit of every repository of the sample, and cannot be one."""
    return f"sample-{FORMAT_VERSION}"


def write_sample(root: Path) -> None:
    """Write the hub at `root`, in some 2 seconds; nothing is done where it is complete already.

    What stood at `root/models`, `root/datasets` and the lock is replaced, other files there stay.
    The lock is written last, so that what a killed writer left does not count as a sample; of
    several writers the first does the work and the others wait for it. Writes through no link.
    """
    disk.make_folders(root)
    folder = disk.open_existing(root)
    try:
        locks.lock_open(folder, root)
        claim = claims.acquire(root / LOCK_NAME)
        try:
            if not sample_is_complete(root):
                _replace(root)
        finally:
            claim.release()
    finally:
        os.close(folder)


def _replace(root: Path) -> None:
    # Beside the target, on the same file system, so that moving into place is a rename.
    new = disk.fresh(root, _WRITING)
    for name in disk.listing(root):
        if name in (LOCK_NAME, "models", "datasets") or name.startswith(_WRITING):
            disk.remove_tree(root / name)
    disk.mkdir(new)
    tokenizer = tokenizer_model()
    write_models(new, tokenizer)
    write_code_contests(new, tokenizer)
    write_evalsets(new)
    text = json.dumps({"format": 1, "repos": _locked(new)}, indent=2) + "\n"
    write_new(new / LOCK_NAME, text.encode())
    for name in ("models", "datasets", LOCK_NAME):
        disk.rename(new / name, root / name)
    disk.rmdir(new)


def sample_is_complete(root: Path) -> bool:
    """Whether `root` holds this version's sample: its lock, and every file with its bytes."""
    try:
        repos = json.loads(record_bytes(root / LOCK_NAME))["repos"]
        return bool(repos) and all(
            locked["commit"] == sample_revision()
            and all(
                hashlib.sha256(record_bytes(root / repo / path)).hexdigest() == file["sha256"]
                for path, file in locked["files"].items()
            )
            for repo, locked in repos.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _locked(root: Path) -> dict[str, object]:
    repos: dict[str, object] = {}
    for folder in sorted(root.glob("*/*/*")):
        repo = folder.relative_to(root).as_posix()
        files = {}
        for path in sorted(file for file in folder.rglob("*") if file.is_file()):
            data = path.read_bytes()
            files[path.relative_to(folder).as_posix()] = {
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "fetched_at": _WRITTEN_AT,
            }
        repos[repo] = {"commit": sample_revision(), "files": files}
    return repos
