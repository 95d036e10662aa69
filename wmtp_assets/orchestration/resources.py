"""The resources of the assets: where files rest, and where bytes come from.

Both are thin: what they open is `storage/` and `hub/`, which know no Dagster. They are built once,
with the definitions, and take no run configuration: whoever may start a run chooses neither a
folder nor a source of bytes, and Dagster's `{env: NAME}` has no field to be written in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project, open_project_hub
from wmtp_assets.hub.source import Hub
from wmtp_assets.storage.store import Store


@dataclass(frozen=True)
class StorageResource:
    """The storage below one root folder."""

    root: str

    def store(self) -> Store:
        """Opens it; it is made when something is first written."""
        return Store(Path(self.root))


@dataclass(frozen=True)
class HubResource:
    """The source of bytes.

    `spec` is the path of a directory mirror. Without one it is the Hub (HF_ENDPOINT, HF_TOKEN), or
    with `sample` the sample, which is written to that folder when it is first needed.
    """

    spec: str | None = None
    sample: str | None = None

    def open(self) -> Hub:
        """Opens it."""
        return open_project_hub(self.spec, Path(self.sample) if self.sample else None)


class NoIOManager(dg.IOManager):
    """Takes the place of Dagster's default, whose folder is run configuration. Never called: every
    asset that hands something on names an IO manager of `orchestration/io_managers.py`."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Raises dg.DagsterInvariantViolationError."""
        raise dg.DagsterInvariantViolationError(f"{context.name} names no IO manager")

    def load_input(self, context: dg.InputContext) -> None:
        """Raises dg.DagsterInvariantViolationError."""
        raise dg.DagsterInvariantViolationError(f"{context.name} names no IO manager")


def resources(project: Project) -> dict[str, dg.ResourceDefinition]:
    """The resources of `project` by the names that the assets use, none of them configurable."""
    sample = str(project.sample) if project.sample else None
    return {
        "storage": _fixed(StorageResource(str(project.storage)), "The storage: where files rest."),
        "hub": _fixed(HubResource(project.hub_spec, sample), "Where bytes come from."),
        "io_manager": fixed_io_manager(NoIOManager()),
    }


def fixed_io_manager(manager: dg.IOManager) -> dg.IOManagerDefinition:
    """An IO manager that takes no run configuration (Dagster's own wrapper accepts anything)."""
    doc = (type(manager).__doc__ or "").strip().splitlines()
    return dg.IOManagerDefinition(
        lambda _: manager, config_schema={}, description=doc[0] if doc else None
    )


def _fixed(value: object, description: str) -> dg.ResourceDefinition:
    return dg.ResourceDefinition(lambda _: value, config_schema={}, description=description)
