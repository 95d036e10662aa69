"""The resources of the assets: where files are stored, and where bytes come from.

They are built once, with the definitions, and take no run configuration: whoever may start a run
chooses neither a folder nor a source of bytes, and Dagster's `{env: NAME}` has no field to be
written in. What the page says of them is what every step uses: assets and IO manager get their
project from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import Catalog


@dataclass(frozen=True)
class StorageResource:
    """The storage below one root folder, which is made when something is first written."""

    root: Path

    def __str__(self) -> str:
        return f"The files are stored below {self.root}."


@dataclass(frozen=True)
class HubResource:
    """The source of bytes.

    `spec` is the path of a directory mirror. Without one it is the catalog's own: the Hub
    (HF_ENDPOINT, HF_TOKEN), or the sample, which is written below the storage.
    """

    spec: str | None = None

    def __str__(self) -> str:
        source = f"the directory mirror {self.spec}" if self.spec else "the catalog's own source"
        return f"Bytes come from {source}."


def project_of(catalog: Catalog, storage: StorageResource, hub: HubResource) -> Project:
    """The project of `catalog` in the storage and with the source that the resources name."""
    return Project(catalog, storage.root, hub.spec)


def resources(project: Project) -> dict[str, dg.ResourceDefinition]:
    """The storage and the hub of `project`, by the names that the assets use."""
    return {
        "storage": _fixed(StorageResource(project.storage)),
        "hub": _fixed(HubResource(project.hub_spec)),
        "io_manager": dg.IOManagerDefinition(
            lambda _: NoIOManager(), config_schema={}, description=NoIOManager.__doc__
        ),
    }


def _fixed(value: StorageResource | HubResource) -> dg.ResourceDefinition:
    return dg.ResourceDefinition(lambda _: value, config_schema={}, description=str(value))


class NoIOManager(dg.IOManager):
    """In place of Dagster's default, whose folder is run configuration. Never called."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Raises dg.DagsterInvariantViolationError."""
        raise dg.DagsterInvariantViolationError(f"{context.name} names no IO manager")

    def load_input(self, context: dg.InputContext) -> None:
        """Raises dg.DagsterInvariantViolationError."""
        raise dg.DagsterInvariantViolationError(f"{context.name} names no IO manager")
