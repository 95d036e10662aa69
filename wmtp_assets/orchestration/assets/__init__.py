"""Dagster's assets: the sources upstream, the doctor, every artifact, and the gate's report.

Here: specs (keys, groups, pools, schedules of freshness) and the call that makes. What is made, and
from what, is in `catalog/artifacts.py` and `artifacts/kinds.py`; checks are in `checks/`.
"""
