"""One catalog, one storage, one source of bytes: what every command and every asset works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wmtp_assets.artifacts.settings import Settings
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, upstream_files_of
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.catalog.artifacts import Artifact, artifacts_of
from wmtp_assets.catalog.contract import published_sets
from wmtp_assets.hub.files import LOCK_NAME
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import Hub, open_hub
from wmtp_assets.sample import sample_is_complete, write_sample
from wmtp_assets.storage import PublishedSet
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.store import Store


@dataclass(frozen=True)
class Project:
    """A catalog with the places it is made in.

    `hub_spec` is None for the catalog's own default: the Hub, or the sample, which is then written
    below the storage when it is first needed.
    """

    catalog: Catalog
    storage: Path
    hub_spec: str | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Project:
        """The project that the environment names. Raises CatalogError."""
        return cls(load_catalog(settings.catalog), settings.storage.absolute(), settings.hub)

    @cached_property
    def artifacts(self) -> dict[str, Artifact]:
        """Every artifact of the catalog by name, in the order in which they can be made."""
        return artifacts_of(self.catalog)

    @cached_property
    def sets(self) -> dict[str, PublishedSet]:
        """What is published as a whole, by name."""
        return {published.name: published for published in published_sets(self.catalog)}

    def upstream_files(self) -> list[UpstreamFiles]:
        """The files that are fetched, by repository."""
        return upstream_files_of(self.artifacts.values())

    @cached_property
    def store(self) -> Store:
        """The storage below its root."""
        return Store(self.storage)

    @property
    def lock(self) -> Lock:
        """assets.lock: which bytes of which commit this storage was made from."""
        return Lock(self.store.root / LOCK_NAME)

    @property
    def report(self) -> Path:
        """Where the gate's report lies."""
        return self.store.root / "phase2_readiness.json"

    @property
    def sample(self) -> Path | None:
        """The folder of the sample, where the catalog's default source is the sample."""
        return self.store.root / "sample" if self.catalog.is_sample else None

    def hub(self) -> Hub:
        """Opens the source of bytes."""
        return open_project_hub(self.hub_spec, self.sample)


def open_project_hub(spec: str | None, sample: Path | None) -> Hub:
    """Opens the mirror at `spec`, else the sample (written first when needed), else the Hub."""
    if spec is None and sample is not None:
        if not sample_is_complete(sample):
            with storage_errors("Writing the sample", sample):
                write_sample(sample)
        return open_hub(str(sample), is_sample=True)
    return open_hub(spec)
