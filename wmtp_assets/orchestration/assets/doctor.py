"""The doctor as the first asset: what a run needs is looked for before any byte is fetched."""

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.requirements import examine, page
from wmtp_assets.hub.doctor import Fact
from wmtp_assets.orchestration.assets.common import OWNERS, tags_of
from wmtp_assets.orchestration.presentation import shown_facts
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.pages.asset import here
from wmtp_assets.pages.asset.values import Cell, Table, narrow
from wmtp_assets.pages.card import doctor_card
from wmtp_assets.storage.digests import digest_of

KEY = dg.AssetKey("doctor")
_WORD = 34  # characters of a word beside the name of a fact, in a window 1,280 pixels wide


def doctor_asset(project: Project) -> dg.AssetsDefinition:
    """Fails, with what to do, when the disk, the token, a gate or the network stands in the way."""

    @dg.asset(
        key=KEY,
        group_name="hub",
        kinds={"huggingface"},
        owners=OWNERS,
        description=doctor_card(project).markdown(),
        tags=tags_of(project.catalog),
        code_version="1",
        config_schema={},
    )
    def doctor(
        storage: dg.ResourceParam[StorageResource], hub: dg.ResourceParam[HubResource]
    ) -> dg.MaterializeResult[None]:
        used = project_of(project.catalog, storage, hub)
        facts = examine(used)
        problems = [fact for fact in facts if fact.state == "problem"]
        if problems:
            raise dg.Failure(page(facts), allow_retries=False)
        return dg.MaterializeResult(
            # Always the same: being well is no reason to fetch anything again.
            data_version=dg.DataVersion(digest_of("well")),
            metadata=shown_facts({"facts": Table([_row(used, fact) for fact in facts])}),
        )

    return doctor


def _row(project: Project, fact: Fact) -> dict[str, Cell]:
    """A fact in two cells, without the places on this machine, which `wmtp doctor` prints."""
    said = f"{fact.found}; needed: {fact.expected}" if fact.expected else fact.found
    if fact.state != "ok":
        said = f"{fact.state}: {said}"
    return {"what": fact.name.replace("_", " "), "found": narrow(here(project, said), 240, _WORD)}
