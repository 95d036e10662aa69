"""Dagster's view of the artifacts: assets, checks, jobs, schedules, resources, and their history.

Belongs here: what needs Dagster, and how results look on its page. `build` puts everything
together. How an artifact is made or checked belongs to `artifacts/`, which imports no Dagster.
"""
