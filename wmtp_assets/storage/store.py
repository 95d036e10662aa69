"""The storage: one folder with everything in it, and the one object to use it by.

    upstream/        fetched files, as a directory hub
    versions/        every artifact, every version        -> versions.py, receipts.py
    published/       sets of artifacts, swapped as a whole -> publishing.py
    models_v2/ ...   the contract's paths: links into published/
    .locks/          who is at work                        -> locks.py

All links are relative: the folder can be moved, and copied with `cp -a`. Reading writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from wmtp_assets.storage import as_read, bounds, garbage
from wmtp_assets.storage.as_read import Unexpected
from wmtp_assets.storage.garbage import Collection
from wmtp_assets.storage.publications import Publication, PublishedSet
from wmtp_assets.storage.publishing import Published
from wmtp_assets.storage.receipts import Mismatch, Receipt
from wmtp_assets.storage.versions import Staging, Versions


class Store:
    """The storage at `root`, which need not be there yet.

    An *artifact* is a folder of files that is made together; a *set* is what is published
    together. Whatever the disk refuses is raised as `StorageError`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.versions = Versions(self.root)
        self.published = Published(self.versions)

    @property
    def upstream(self) -> Path:
        """Where fetched files rest."""
        return self.root / "upstream"

    def writable(self, path: Path) -> Path:
        """`path` itself; raises `StorageError` if it or a link on the way leads out of here."""
        return bounds.require_inside(self.root, path)

    # Artifacts.

    def stage(
        self, artifact: str, on_wait: Callable[[str], None] | None = None
    ) -> AbstractContextManager[Staging]:
        """A locked folder to make a version in; see `Versions.stage` and `Staging.commit`."""
        return self.versions.stage(artifact, on_wait)

    def current(self, artifact: str) -> Receipt | None:
        """The receipt of the artifact's current version, None if it was never made."""
        return self.versions.current(artifact)

    def path(self, artifact: str) -> Path:
        """The folder of the artifact's current version; `StorageError` if there is none."""
        return self.versions.path(artifact)

    def reusable(
        self, artifact: str, *, inputs: Mapping[str, str], code_version: str, entry_digest: str
    ) -> Receipt | None:
        """The current receipt, if making it from these again would change nothing."""
        return self.versions.reusable(
            artifact, inputs=inputs, code_version=code_version, entry_digest=entry_digest
        )

    def mismatches(
        self, artifact: str, *, deep: bool, known: Mapping[str, str] | None = None
    ) -> list[Mismatch]:
        """Files of the current version that are not as its receipt says; `deep` reads them all, but
        those whose SHA-256 is `known`."""
        return self.versions.mismatches(artifact, deep=deep, known=known)

    def history(self, artifact: str) -> list[Receipt]:
        """The receipts of all versions that are here, the last made first."""
        return self.versions.history(artifact)

    def reading(self, artifact: str) -> AbstractContextManager[Path]:
        """The folder of the current version, safe from `gc` while the block runs."""
        return self.versions.reading(artifact)

    # Sets.

    def publish(self, wanted: PublishedSet) -> Publication | None:
        """Publishes the current versions of a set's artifacts; None if they do not fit (yet)."""
        return self.published.publish(wanted)

    def publication(self, name: str) -> Publication | None:
        """What is published of a set now."""
        return self.published.current(name)

    def publications(self, name: str) -> list[Publication]:
        """All publications of a set that are here, the last first."""
        return self.published.history(name)

    def unpublished(self, wanted: PublishedSet) -> list[Mismatch]:
        """Where the contract's paths do not lead to the current versions of a set's artifacts."""
        return self.published.mismatches(wanted)

    def misplaced(self, name: str) -> list[Mismatch]:
        """Where readers do not find what is published of a set, or find something beside it."""
        return self.published.misplaced(name)

    def unexpected(self, sets: Iterable[PublishedSet]) -> Unexpected:
        """What is among the paths of all `sets` of a catalog and belongs to none of them."""
        return as_read.unexpected(self.root, sets, self.published.folder)

    def left_over(self, folders: Iterable[str]) -> list[Mismatch]:
        """What is still published below `folders` of the root, where a catalog has no paths."""
        return as_read.left_over(self.root, folders, self.published.folder)

    def reading_set(self, name: str) -> AbstractContextManager[Path]:
        """The folder of what is published of a set now, safe from `gc` while the block runs."""
        return self.published.reading(name)

    def rollback(self, name: str, version: str | None = None) -> Publication:
        """Publishes an older version of a set again, by default the one before."""
        return self.published.rollback(name, version)

    def adopt(self, publication: Publication) -> Publication:
        """Publishes what was published elsewhere, of versions that are here."""
        return self.published.adopt(publication)

    # All of it.

    def gc(
        self,
        *,
        keep: int = 2,
        dry_run: bool = False,
        also: Iterable[Path] = (),
        guarded: Iterable[garbage.Guarded] = (),
    ) -> Collection:
        """Removes leftovers and versions beyond the last `keep`; see `garbage.collect`."""
        return garbage.collect(
            self.published, keep=keep, dry_run=dry_run, also=also, guarded=guarded
        )
