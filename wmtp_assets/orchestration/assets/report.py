"""report: what the storage holds, as pages to pass on, written after each verdict."""

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.orchestration.assets.common import FOLLOW, OWNERS, tags_of
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.pages.card import report_card
from wmtp_assets.pages.language import LANGUAGES
from wmtp_assets.pages.report import REPORT, file_name, write_report
from wmtp_assets.storage.digests import digest_of

KEY = dg.AssetKey("report")


def report_asset(project: Project) -> dg.AssetsDefinition:
    """The report in every language. It is made of whatever is there, the gate open or closed."""

    @dg.asset(
        key=KEY,
        deps=[READINESS],
        group_name="gate",
        kinds={"file"},
        owners=OWNERS,
        description=report_card(project, REPORT, map(file_name, LANGUAGES)).markdown(),
        tags=tags_of(project.catalog),
        metadata={"on this page": dg.MetadataValue.url(REPORT)},
        code_version="1",
        config_schema={},
        automation_condition=FOLLOW,
    )
    def report(
        storage: dg.ResourceParam[StorageResource], hub: dg.ResourceParam[HubResource]
    ) -> dg.MaterializeResult[None]:
        used = project_of(project.catalog, storage, hub)
        written = [write_report(used, language) for language in LANGUAGES]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of([path.read_text("utf-8") for path in written])),
            metadata={
                "files": dg.MetadataValue.text(", ".join(path.name for path in written)),
                "size_bytes": sum(path.stat().st_size for path in written),
            },
        )

    return report
