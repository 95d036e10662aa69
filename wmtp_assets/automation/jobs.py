"""The jobs: everything, the weekly refresh, and the daily proof."""

from __future__ import annotations

import dagster as dg

# Observes the sources, makes what is stale (an asset whose inputs are unchanged returns what
# exists), and proves everything.
materialize_all = dg.define_asset_job(
    "materialize_all",
    selection=dg.AssetSelection.all(include_sources=True),
    description="Makes every asset that is stale, and proves all of them.",
)

refresh = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.all(include_sources=True),
    description="Looks at upstream's revisions and redoes only what they change.",
)

verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Proves everything that is stored, from the files themselves; makes nothing.",
)

JOBS = [materialize_all, refresh, verify]
