"""A small storage that a user could have, with its catalog as a file: runs of it take a second.

`rows` holds the tokenizer and one split; `whole` also one model.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate, write_report
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets_tests.artifacts.editions import planted, seen, small

BIN = Path(sys.executable).parent
VARIABLES = ("WMTP_CATALOG", "WMTP_STORAGE", "WMTP_HUB", "DAGSTER_HOME", "TQDM_DISABLE")


@dataclass(frozen=True)
class Tiny:
    """A catalog, a storage, a hub and a Dagster home, all below one folder but for the hub."""

    folder: Path
    hub: Path

    @property
    def storage(self) -> Path:
        return self.folder / "storage"

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.yaml"

    @property
    def project(self) -> Project:
        return Project(load_catalog(self.catalog), self.storage, str(self.hub))

    @property
    def variables(self) -> dict[str, str]:
        return {
            "WMTP_CATALOG": str(self.catalog),
            "WMTP_STORAGE": str(self.storage),
            "WMTP_HUB": str(self.hub),
            "DAGSTER_HOME": str(self.folder / "home"),
        }

    def environment(self, **more: str) -> dict[str, str]:
        """What a process of this world is given."""
        kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        path = f"{BIN}{os.pathsep}{kept.get('PATH', '')}"
        return kept | {"PATH": path} | self.variables | more

    def opens(self) -> bool:
        """Whether the gate, asked anew, is open."""
        return evaluate(self.project).open


def catalog_text(catalog: Catalog) -> str:
    """A catalog as a file that reads back equal."""
    value = catalog.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return yaml.safe_dump(value, sort_keys=False)


def empty(folder: Path, catalog: Catalog, hub: Path) -> Tiny:
    """A world in which nothing was made."""
    folder.mkdir(parents=True, exist_ok=True)
    world = Tiny(folder, hub)
    world.catalog.write_text(catalog_text(catalog), encoding="utf-8")
    (folder / "home").mkdir()
    return world


def rows(made: Project, folder: Path) -> Tiny:
    """A world with the tokenizer and one split, published."""
    return _planted(made, small(made.catalog, "optional"), folder)


def whole(made: Project, folder: Path) -> Tiny:
    """A world with one model and one split, published."""
    return _planted(made, small(made.catalog), folder)


def _planted(made: Project, catalog: Catalog, folder: Path) -> Tiny:
    world = empty(folder, catalog, Path(str(made.hub_spec)))
    planted(made, catalog, world.storage)
    write_report(world.project, evaluate(world.project))
    return world


def copied(world: Tiny, folder: Path) -> Tiny:
    """The same world in another folder."""
    shutil.copytree(world.folder, folder, symlinks=True)
    return Tiny(folder, world.hub)


def contract(world: Tiny) -> Mapping[str, bytes]:
    """What a reader finds at the contract's paths."""
    return seen(world.project)


def scrap(path: Path) -> None:
    """Removes a folder, a file or a link; what is not there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
