"""Which catalog this is: its digest, and whether it is one that this package ships.

A name is no evidence: a copy of `full.yaml` with one digest removed still calls itself `full`. So
the validated contents are compared.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache

from wmtp_assets.catalog.reader import SHIPPED, load_catalog
from wmtp_assets.catalog.schema import Catalog

SAMPLE_NOTE = "; what it makes is the generated sample, not the real data"


@dataclass(frozen=True)
class Identity:
    """A catalog's `name` and `digest`, and whether the package ships exactly this one.

    `shipped_digest` is that of the shipped catalog of the same name, None if there is none;
    `sample` says that what it makes is the generated sample.
    """

    name: str
    digest: str
    shipped_digest: str | None
    sample: bool = False

    @property
    def shipped(self) -> bool:
        """Whether name and contents are those of a shipped catalog."""
        return self.digest == self.shipped_digest

    def __str__(self) -> str:
        return f"{self._name_and_digest()}{SAMPLE_NOTE if self.sample else ''}"

    def _name_and_digest(self) -> str:
        if self.shipped:
            return f"{self.name}, as shipped (digest {self.digest[:12]})"
        if self.shipped_digest is None:
            return f"{self.name}, which is NOT a shipped catalog (digest {self.digest[:12]})"
        return (
            f"{self.name}, which is NOT the shipped catalog of that name (digest "
            f"{self.digest[:12]}, shipped {self.shipped_digest[:12]}); change `name:` in your copy"
        )


def identify(catalog: Catalog) -> Identity:
    """Compares `catalog` with the shipped one of its name."""
    digest, shipped = catalog_digest(catalog), _shipped().get(catalog.name)
    return Identity(catalog.name, digest, shipped, catalog.is_sample)


def catalog_digest(catalog: Catalog) -> str:
    """SHA-256, in hex, of the validated contents as canonical JSON, every default written out:
    comments, order and layout of the YAML do not count."""
    value = catalog.model_dump(mode="json")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


@cache
def _shipped() -> dict[str, str]:
    catalogs = [load_catalog(name) for name in SHIPPED]
    return {catalog.name: catalog_digest(catalog) for catalog in catalogs}
