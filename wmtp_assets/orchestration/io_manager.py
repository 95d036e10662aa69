"""How results are stored and handed on: one IO manager, whose handles the table of kinds names.

An asset returns the receipt of what it committed (staged, synced, renamed). The IO manager takes
that as a claim: it looks at the files, publishes the sets that they complete (each in one step) and
shows what there is to see. Loading gives a light handle, and only when the artifact exists and
has the files and sizes that its receipt lists.
"""

from __future__ import annotations

import logging
from typing import Any

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.changes import changes
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.making import Outcome
from wmtp_assets.artifacts.staleness import unfit_members
from wmtp_assets.artifacts.types import Handle, demand
from wmtp_assets.artifacts.verification import start
from wmtp_assets.catalog import Catalog
from wmtp_assets.orchestration.assets.common import RESULT, result_of
from wmtp_assets.orchestration.lineage import tell_lineage, wanted
from wmtp_assets.orchestration.presentation import CHANGED, shown_facts
from wmtp_assets.orchestration.resources import project_of
from wmtp_assets.pages.asset import asset_facts, file_facts
from wmtp_assets.pages.text import plain
from wmtp_assets.storage.receipts import Receipt

KEY = "artifact_io"
_LOG = logging.getLogger(__name__)


class ArtifactIOManager(dg.IOManager):
    """Publishes artifacts, and loads each as the handle of its kind; never its bytes."""

    def __init__(self, project: Project, *, verify_early: bool = False) -> None:
        """`verify_early`: verification of an artifact begins in the background when it is stored,
        while the next is made; its check step, later in the run, waits for it."""
        self._project = project
        self._verify_early = verify_early

    def handle_output(self, context: dg.OutputContext, obj: Outcome) -> None:
        """Publishes every set that the artifact completes, and shows what the receipt says.

        Raises StorageError when the files are not what the receipt says, or the disk refuses; what
        was published before stays as it was.
        """
        store, name = self._project.store, obj.receipt.artifact
        demand(store, name)
        for published in self._project.sets.values():
            if name not in published.artifacts or not store.unpublished(published):
                continue
            if store.publish(published) is not None:
                context.log.info(f"published {published.name}")
            else:
                waits_for = "; ".join(unfit_members(store, published))
                context.log.debug(f"{published.name} is not published yet: {waits_for}")
        context.add_output_metadata(
            shown_of(self._project, obj.receipt, context.log, unchanged=obj.unchanged)
        )
        if wanted():
            tell_lineage(obj.receipt, context.run_id, context.job_name, context.log)
        if self._verify_early:
            start(self._project, [self._project.artifacts[name]], context.run_id)

    def load_input(self, context: dg.InputContext) -> Handle:
        """The handle of the artifact's current version.

        Raises StorageError when it was never made, or a file is missing or has another size, and
        CheckpointError when a checkpoint's header is not sound.
        """
        name = "/".join(context.asset_key.path)
        kind = kind_of(self._project.artifacts[name])
        return kind.loaded_as.load(self._project.store, name)


def shown_of(
    project: Project, receipt: Receipt, log: logging.Logger = _LOG, *, unchanged: bool
) -> dict[str, dg.MetadataValue[Any]]:
    """What the page shows of an artifact: a picture where there is one, what came of making it and
    what changed, the other facts, numbers, files. `log` gets a warning of what cannot be shown."""
    facts = list(asset_facts(project, receipt, log).items())
    made = {
        RESULT: result_of(receipt, unchanged=unchanged),
        CHANGED: plain(changes(project.store, receipt), 500),
    }
    return shown_facts(dict(facts[:1]) | made | dict(facts[1:]) | file_facts(project, receipt))


def io_manager(catalog: Catalog) -> dg.IOManagerDefinition:
    """The IO manager for `catalog` in the storage of the resources; it takes no run configuration.

    (Dagster's own wrapper of an instance accepts any.)
    """
    return dg.IOManagerDefinition(
        lambda context: ArtifactIOManager(
            project_of(catalog, context.resources.storage, context.resources.hub),
            verify_early=True,
        ),
        config_schema={},
        required_resource_keys={"storage", "hub"},
        description=ArtifactIOManager.__doc__,
    )
