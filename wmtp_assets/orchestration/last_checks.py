"""What Dagster recorded of an asset's checks, for whether the asset is made again.

Nothing that matters is decided by it: the gate reads files only. A record that is missing, older
than the artifact or forged costs at most one more making, or one more look at the files.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import dagster as dg

from wmtp_assets.storage.receipts import Receipt


def failed_last(
    instance: dg.DagsterInstance, checks: Iterable[dg.AssetCheckKey], receipt: Receipt
) -> list[str]:
    """The names of those of an asset's checks that block, and failed when they were last executed,
    unless that was before `receipt` was written: then they were about other files."""
    made = datetime.fromisoformat(receipt.made_at).timestamp()
    failed = []
    for key, summary in instance.event_log_storage.get_asset_check_summary_records(
        list(checks)
    ).items():
        # The last one that came to an end: the run that asks has planned its own already.
        record = summary.last_completed_check_execution_record
        if record is None or record.event is None or record.event.timestamp < made:
            continue
        event = record.event.dagster_event
        found = None if event is None else event.asset_check_evaluation_data
        if found and not found.passed and found.severity is dg.AssetCheckSeverity.ERROR:
            failed.append(key.name)
    return failed
