"""The doctor as the first asset: what a run needs is looked for before any byte is fetched."""

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.requirements import examine, page
from wmtp_assets.orchestration.assets.common import OWNERS, tags_of
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.pages.card import doctor_card
from wmtp_assets.pages.text import below
from wmtp_assets.storage.digests import digest_of

KEY = dg.AssetKey("doctor")


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
        columns = ("name", "state", "found", "expected")
        return dg.MaterializeResult(
            # Always the same: being well is no reason to fetch anything again.
            data_version=dg.DataVersion(digest_of("well")),
            metadata={
                "facts": dg.MetadataValue.table(
                    [
                        dg.TableRecord(
                            {
                                name: below(used.store.root, str(getattr(fact, name)))
                                for name in columns
                            }
                        )
                        for fact in facts
                    ]
                )
            },
        )

    return doctor
