"""The resources of the assets: where files rest, and where bytes come from.

Both are thin: what they open is `storage/` and `hub/`, which know no Dagster.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from wmtp_assets.hub.source import Hub
from wmtp_assets.project import open_project_hub
from wmtp_assets.storage.store import Store


class StorageResource(dg.ConfigurableResource[None]):
    """The storage below one root folder."""

    root: str

    def store(self) -> Store:
        """Opens it; it is made when something is first written."""
        return Store(Path(self.root))


class HubResource(dg.ConfigurableResource[None]):
    """The source of bytes.

    `spec` is the path of a directory mirror. Without one it is the Hub (HF_ENDPOINT, HF_TOKEN), or
    with `sample` the sample, which is written to that folder when it is first needed.
    """

    spec: str | None = None
    sample: str | None = None

    def open(self) -> Hub:
        """Opens it."""
        return open_project_hub(self.spec, Path(self.sample) if self.sample else None)
