"""How proofs find what they are about: the handle of an artifact that exists, or StorageError."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.handles import Fetched, demand
from wmtp_assets.project import Project
from wmtp_assets.storage.receipts import Receipt


def place(project: Project, name: str) -> tuple[Path, Receipt]:
    """The folder and the receipt of an artifact that exists; raises StorageError otherwise."""
    receipt = demand(project.store, name)
    return project.store.path(name), receipt


def fetched(project: Project, name: str) -> Fetched:
    folder, receipt = place(project, name)
    return Fetched(folder, receipt, project.store.upstream / str(receipt.facts["folder"]))
