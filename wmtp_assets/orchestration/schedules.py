"""When things run by themselves. Everything ships stopped: an operator starts what they want."""

from __future__ import annotations

import dagster as dg

from wmtp_assets.orchestration.jobs import REFRESH, VERIFY

# In UTC, as Dagster takes what names no time zone; the weekly run comes before the daily one.
SCHEDULES = [
    dg.ScheduleDefinition(
        name="weekly_refresh",
        job_name=REFRESH,
        cron_schedule="0 2 * * 1",
        description="Mondays at 02:00 UTC: observes upstream, makes again only what changed.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    ),
    dg.ScheduleDefinition(
        name="daily_verify",
        job_name=VERIFY,
        cron_schedule="0 4 * * *",
        description="Every day at 04:00 UTC: verifies everything that is stored.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    ),
]


def sensors() -> list[dg.AutomationConditionSensorDefinition]:
    """The sensor that makes what follows from changed data, once its inputs' checks have passed."""
    return [
        dg.AutomationConditionSensorDefinition(
            "follow_changes",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.STOPPED,
            description="Remakes an asset when the data of an input changed and its checks pass.",
        )
    ]
