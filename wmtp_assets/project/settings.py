"""Where a run reads its catalog and keeps its files: the environment, read when asked for.

| variable | meaning | default |
| --- | --- | --- |
| WMTP_CATALOG | `sample`, `full`, or the path of a catalog | `sample` |
| WMTP_STORAGE | the root of the files | `storage` |
| WMTP_HUB | a directory mirror that bytes come from | the Hub; for `sample`, the sample |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What the environment says. `hub` is None for the catalog's own default."""

    catalog: str = "sample"
    storage: Path = Path("storage")
    hub: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads WMTP_CATALOG, WMTP_STORAGE and WMTP_HUB; an empty value counts as unset."""
        values = os.environ if environment is None else environment
        return cls(
            catalog=values.get("WMTP_CATALOG") or "sample",
            storage=Path(values.get("WMTP_STORAGE") or "storage"),
            hub=values.get("WMTP_HUB") or None,
        )
