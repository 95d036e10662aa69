"""How results are stored and handed on: one typed IO manager for each sort of artifact.

An asset returns the receipt of what it committed (staged, synced, renamed). Its IO manager takes
that as a claim: it looks at the files, publishes the sets that they complete (each in one step) and
shows size, digest and place. Loading gives a light handle, and only when the artifact exists and
has the files and sizes that its receipt says.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.staleness import unfit_members
from wmtp_assets.artifacts.types import (
    Checkpoint,
    Document,
    Fetched,
    Handle,
    Split,
    Tokenizer,
    demand,
)
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.orchestration.presentation import difficulties_picture, metadata_value
from wmtp_assets.storage import PublishedSet
from wmtp_assets.storage.preflight import gigabytes
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.store import Store

HandleType = TypeVar("HandleType", bound=Handle)


class ArtifactIOManager(dg.IOManager, Generic[HandleType]):
    """Stores and loads one sort of artifact; subclasses say which handle it is loaded as."""

    def __init__(
        self,
        store: Store,
        artifacts: Mapping[str, Artifact],
        sets: Mapping[str, PublishedSet],
    ) -> None:
        self.store = store
        self._artifacts = artifacts
        self._sets = sets

    def handle_output(self, context: dg.OutputContext, obj: Receipt) -> None:
        """Publishes every set that the artifact completes, and shows what the receipt says.

        Raises StorageError when the files are not what the receipt says, or the disk refuses; what
        was published before stays as it was.
        """
        demand(self.store, obj.artifact)
        for published in self._sets.values():
            if obj.artifact not in published.artifacts or not self.store.unpublished(published):
                continue
            if self.store.publish(published) is not None:
                context.log.info(f"published {published.name}")
            else:
                waits_for = "; ".join(unfit_members(self.store, published))
                context.log.debug(f"{published.name} is not published yet: {waits_for}")
        context.add_output_metadata(self._shown(obj))

    def load_input(self, context: dg.InputContext) -> HandleType:
        """The handle of the artifact's current version.

        Raises StorageError when it was never made, or a file is missing or has another size.
        """
        name = "/".join(context.asset_key.path)
        return self.handle(self.store.path(name), demand(self.store, name))

    @abstractmethod
    def handle(self, folder: Path, receipt: Receipt) -> HandleType:
        """The handle for an artifact in `folder`."""

    def _shown(self, receipt: Receipt) -> dict[str, dg.MetadataValue[Any]]:
        artifact = self._artifacts[receipt.artifact]
        places = [str(self.store.root / path) for path in artifact.links]
        shown: dict[str, dg.MetadataValue[Any]] = {
            "size": dg.MetadataValue.text(gigabytes(receipt.size)),
            "size_bytes": dg.MetadataValue.int(receipt.size),
            "digest": dg.MetadataValue.text(receipt.digest),
            "path": dg.MetadataValue.path(
                places[0] if places else str(self.store.path(receipt.artifact))
            ),
            "files": dg.MetadataValue.table(
                [
                    dg.TableRecord({"file": name, "bytes": file.size, "sha256": file.sha256})
                    for name, file in list(receipt.files.items())[:100]
                ]
            ),
        }
        stats = receipt.facts.get("stats")
        if isinstance(stats, dict) and (picture := difficulties_picture(stats)):
            shown["difficulties"] = picture
        for fact, value in receipt.facts.items():
            shown["dagster/row_count" if fact == "rows" else fact] = metadata_value(value)
        return shown


class FetchedIOManager(ArtifactIOManager[Fetched]):
    """Fetched files: the listing is the artifact, the files lie below storage/upstream."""

    def handle(self, folder: Path, receipt: Receipt) -> Fetched:
        """The listing, and where the repository's files lie."""
        repository = str(receipt.facts["folder"])
        return Fetched(folder, receipt, self.store.upstream / repository)


class SafetensorsIOManager(ArtifactIOManager[Checkpoint]):
    """Checkpoints. Loading reads the header, never the tensors."""

    def handle(self, folder: Path, receipt: Receipt) -> Checkpoint:
        """Raises a CheckpointError when the file's header is not sound."""
        checkpoint = Checkpoint(folder, receipt)
        read_header(checkpoint.path)
        return checkpoint


class FolderIOManager(ArtifactIOManager[Handle]):
    """Folders that no asset reads on, such as the sharded view."""

    def handle(self, folder: Path, receipt: Receipt) -> Handle:
        """The folder as it is."""
        return Handle(folder, receipt)


class TokenizerIOManager(ArtifactIOManager[Tokenizer]):
    """The shared tokenizer's folder."""

    def handle(self, folder: Path, receipt: Receipt) -> Tokenizer:
        """The tokenizer's files."""
        return Tokenizer(folder, receipt)


class JsonlIOManager(ArtifactIOManager[Split]):
    """Splits: JSONL with its row index."""

    def handle(self, folder: Path, receipt: Receipt) -> Split:
        """The rows and their index."""
        return Split(folder, receipt)


class DocumentIOManager(ArtifactIOManager[Document]):
    """JSON and YAML documents."""

    def handle(self, folder: Path, receipt: Receipt) -> Document:
        """The document, unparsed until it is asked for."""
        return Document(folder, receipt)


def io_managers(project: Project) -> dict[str, ArtifactIOManager[Any]]:
    """One of each, by the keys that the assets name."""
    parts = (project.store, project.artifacts, project.sets)
    return {
        "fetched_io": FetchedIOManager(*parts),
        "safetensors_io": SafetensorsIOManager(*parts),
        "folder_io": FolderIOManager(*parts),
        "tokenizer_io": TokenizerIOManager(*parts),
        "jsonl_io": JsonlIOManager(*parts),
        "document_io": DocumentIOManager(*parts),
    }
