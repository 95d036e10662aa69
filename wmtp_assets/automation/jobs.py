"""The jobs: everything, the weekly refresh, and the daily proof."""

from __future__ import annotations

import warnings

import dagster as dg

with warnings.catch_warnings():
    # That sources can be part of a job is beta in the one version of Dagster that pyproject allows.
    warnings.simplefilter("ignore", dg.BetaWarning)
    EVERYTHING = dg.AssetSelection.all(include_sources=True)

# Observes the sources, makes what is stale (an asset whose inputs are unchanged returns what
# exists), and proves everything.
materialize_all = dg.define_asset_job(
    "materialize_all",
    selection=EVERYTHING,
    description="Makes every asset that is stale, and proves all of them.",
)

refresh = dg.define_asset_job(
    "refresh",
    selection=EVERYTHING,
    description="Looks at upstream's revisions and redoes only what they change.",
)

verify = dg.define_asset_job(
    "verify",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Proves everything that is stored, from the files themselves; makes nothing.",
)

JOBS = [materialize_all, refresh, verify]
