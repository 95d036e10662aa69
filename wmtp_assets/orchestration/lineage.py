"""Tells a catalog of lineage (Marquez, DataHub, ...) what a materialization read and wrote.

Events are OpenLineage's, by its own client, and only where the environment asks for it:

| variable | meaning |
| --- | --- |
| OPENLINEAGE_URL | where events are posted; without it, or OPENLINEAGE_CONFIG, none is made |
| OPENLINEAGE_API_KEY | the key that is sent along |
| OPENLINEAGE_CONFIG | the client's own file: other transports, such as a file or Kafka |
| OPENLINEAGE_NAMESPACE | of jobs and datasets; default `wmtp` |

What is told never changes what is made: an event that cannot be sent is a warning in the run's log,
and the run sends no other.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from wmtp_assets.storage.receipts import Receipt

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.generated.base import DatasetFacet

WANTED_BY = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
NAMESPACE = "OPENLINEAGE_NAMESPACE"
# How often what has no answer is asked again, and how long each time, is the client's to say.
_UNSENT: set[str] = set()  # ids of runs whose events are not sent any more


def wanted(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the environment names a receiver of events."""
    values = os.environ if environment is None else environment
    return any(values.get(name) for name in WANTED_BY)


def tell_lineage(receipt: Receipt, run_id: str, job: str, log: logging.Logger) -> None:
    """Sends what `run_id`, a run of `job`, made or found unchanged, where that is `wanted`.

    Raises nothing.
    """
    if run_id in _UNSENT:
        return
    try:
        for event in events(receipt, run_id, job, datetime.now(UTC)):
            _client().emit(event)
    except ImportError:
        _UNSENT.add(run_id)
        log.warning(
            "No lineage is sent: OpenLineage's client is not installed; hint: "
            "`pip install 'wmtp-assets[lineage]'`, or unset OPENLINEAGE_URL."
        )
    except Exception as error:  # of the client, whichever transport it was told to use
        _UNSENT.add(run_id)
        log.warning(
            f"The lineage of {receipt.artifact} was not accepted ({type(error).__name__}), and "
            "this run sends no more of it; what it makes is not affected. hint: see whether the "
            "receiver that OPENLINEAGE_URL names is up; the next run sends it again."
        )


def events(receipt: Receipt, run_id: str, job: str, ended: datetime) -> list[RunEvent]:
    """The events of one materialization, START and COMPLETE: the specification requires both.

    Jobs and datasets are named as the assets are. A dataset's version is its digest, that of each
    input the one that was read. The run's parent is Dagster's. `ended` has a time zone.
    """
    from openlineage.client.event_v2 import (
        InputDataset,
        Job,
        OutputDataset,
        Run,
        RunEvent,
        RunState,
    )
    from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
    from openlineage.client.generated.output_statistics_output_dataset import (
        OutputStatisticsOutputDatasetFacet,
    )
    from openlineage.client.generated.parent_run import Job as ParentJob
    from openlineage.client.generated.parent_run import ParentRunFacet
    from openlineage.client.generated.parent_run import Run as ParentRun

    namespace = os.environ.get(NAMESPACE) or "wmtp"
    producer = f"urn:wmtp-assets:{version('wmtp-assets')}"

    def versioned(digest: str) -> dict[str, DatasetFacet]:
        return {"version": DatasetVersionDatasetFacet(digest, producer=producer)}

    parent = ParentRunFacet(ParentRun(run_id), ParentJob(namespace, job), producer=producer)
    run = Run(str(uuid.uuid5(uuid.UUID(run_id), receipt.artifact)), facets={"parent": parent})
    inputs = [
        InputDataset(namespace, name, facets=versioned(digest))
        for name, digest in sorted(receipt.inputs.items())
    ]
    statistics = OutputStatisticsOutputDatasetFacet(
        size=receipt.size, fileCount=len(receipt.files), producer=producer
    )
    output = OutputDataset(
        namespace,
        receipt.artifact,
        facets=versioned(receipt.digest),
        outputFacets={"outputStatistics": statistics},
    )
    began = ended - timedelta(seconds=receipt.seconds)
    return [
        RunEvent(
            eventType=state,
            eventTime=when.isoformat(),
            run=run,
            job=Job(namespace, receipt.artifact),
            inputs=list(inputs),
            outputs=[output],
            producer=producer,
        )
        for state, when in ((RunState.START, began), (RunState.COMPLETE, ended))
    ]


@cache
def _client() -> OpenLineageClient:
    from openlineage.client import OpenLineageClient

    # Else it would send the address and the branch of whatever repository lies around the home.
    return OpenLineageClient(config={"facets": {"source_code_location": {"disabled": True}}})
