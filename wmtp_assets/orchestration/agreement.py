"""Makes Dagster's history agree with the files of the storage it belongs to.

The history is a record of runs; what exists is in the storage. A folder may be removed, another
version rolled back to, an artifact made or found unchanged by a command: the page shows that too.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.orchestration.assets.common import code_version, key_of
from wmtp_assets.orchestration.assets.doctor import KEY as DOCTOR
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.assets.ready import ready_keys
from wmtp_assets.orchestration.assets.report import KEY as REPORT
from wmtp_assets.orchestration.io_manager import shown_of
from wmtp_assets.pages.language import LANGUAGES
from wmtp_assets.pages.report import file_name
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Receipt

# As Dagster writes them at a materialization of its own: how it sees what is out of date.
DATA_VERSION = "dagster/data_version"
_OWN_VERSION = "dagster/data_version_is_user_provided"
_CODE_VERSION = "dagster/code_version"
_INPUT_VERSION = "dagster/input_data_version/"
_INPUT_EVENT = "dagster/input_event_pointer/"
_NEVER = "INITIAL"  # the data version of a source that was never observed
_AT_WORK = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def agree(instance: dg.DagsterInstance, project: Project, defs: dg.Definitions) -> list[str]:
    """Corrects the history where it says something else than the files: returns what of.

    What was never made here, or is gone, is shown as never materialized. What exists in another
    version than the last one that the history knows is shown in that one, with its checks still to
    be run. While a run is at work nothing is done: its files come before its events.
    """
    if instance.get_runs(dg.RunsFilter(statuses=_AT_WORK), limit=1):
        return []
    ready = ready_keys(project)
    others = [READINESS, *ready, REPORT, DOCTOR]
    known = _versions(instance, [key_of(name) for name in project.artifacts] + others)
    there = {name: receipt for name in project.artifacts if (receipt := _receipt(project, name))}
    gone = [name for name in project.artifacts if name not in there and key_of(name) in known]
    changed = [
        receipt for name, receipt in there.items() if known.get(key_of(name)) != receipt.digest
    ]
    wiped = [key_of(name) for name in gone]
    if not there:
        wiped += [key for key in (DOCTOR,) if key in known]
    # The gate was asked about other files: nobody has asked it about these.
    others_now = {*gone, *(receipt.artifact for receipt in changed)}
    wiped += [key for key, names in ready.items() if key in known and names & others_now]
    if READINESS in known and (others_now or not project.report.is_file()):
        wiped.append(READINESS)
    pages = [project.store.root / file_name(language) for language in LANGUAGES]
    if REPORT in known and not all(page.is_file() for page in pages):
        wiped.append(REPORT)
    if wiped:
        instance.wipe_assets(wiped)
    report_unchanged(instance, project, defs, changed)
    return [key.to_user_string() for key in wiped] + [one.artifact for one in changed]


def report_unchanged(
    instance: dg.DagsterInstance,
    project: Project,
    defs: dg.Definitions,
    receipts: Iterable[Receipt],
) -> None:
    """Tells the history that these artifacts are there, as they were made: a materialization
    without a run, after which an earlier failure counts no more."""
    graph = defs.resolve_asset_graph()
    versions = _versions(instance, [DOCTOR])
    sources = {key for key in graph.get_all_asset_keys() if not graph.get(key).is_materializable}
    versions |= {key: _observed(instance, key) for key in sources}
    for receipt in receipts:
        key = key_of(receipt.artifact)
        tags = {
            DATA_VERSION: receipt.digest,
            _OWN_VERSION: "true",
            _CODE_VERSION: code_version(project.artifacts[receipt.artifact]),
        }
        for parent in graph.get(key).parent_keys:
            name = parent.to_user_string()
            made_from = receipt.inputs.get(name) or versions.get(parent) or _NEVER
            tags[f"{_INPUT_VERSION}{name}"] = made_from
            tags[f"{_INPUT_EVENT}{name}"] = "NULL"  # of no partition
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                key,
                metadata=shown_of(project, receipt, unchanged=True),
                tags=tags,
            )
        )


def _versions(
    instance: dg.DagsterInstance, keys: Iterable[dg.AssetKey]
) -> dict[dg.AssetKey, str | None]:
    """The data version of each of these assets that the history knows to have been made."""
    found: dict[dg.AssetKey, str | None] = {}
    for record in instance.get_asset_records(list(keys)):
        event = record.asset_entry.last_materialization
        if event is not None and event.asset_materialization is not None:
            tags = event.asset_materialization.tags or {}
            found[record.asset_entry.asset_key] = tags.get(DATA_VERSION)
    return found


def _observed(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """The data version of a source when it was last looked at."""
    for record in instance.fetch_observations(key, limit=1).records:
        if record.asset_observation is not None:
            return record.asset_observation.tags.get(DATA_VERSION)
    return None


def _receipt(project: Project, name: str) -> Receipt | None:
    try:
        return project.store.current(name)
    except StorageError:  # damaged: no version of it is there
        return None
