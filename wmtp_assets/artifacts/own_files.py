"""The files that a person takes for an artifact's own, with their sizes."""

from __future__ import annotations

from collections.abc import Mapping

from wmtp_assets.artifacts.types import fetched
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import UNREADABLE, FileRecord, Receipt
from wmtp_assets.storage.store import Store


def own_files(store: Store, artifact: Artifact, receipt: Receipt) -> Mapping[str, FileRecord]:
    """The receipt's files; of a raw artifact those that were fetched, which its own file lists."""
    if not artifact.is_fetched:
        return receipt.files
    try:
        return {
            name: FileRecord(int(str(one["size"])), str(one["sha256"]))
            for name, one in fetched(store, artifact.name).files().items()
        }
    except (StorageError, *UNREADABLE):  # damaged: a check says so
        return receipt.files


def size_of(store: Store, artifact: Artifact, receipt: Receipt) -> int:
    """Bytes of `own_files` together."""
    return sum(one.size for one in own_files(store, artifact, receipt).values())
