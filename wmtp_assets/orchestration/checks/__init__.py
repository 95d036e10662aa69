"""Dagster's asset checks: those of every artifact, and the gate's.

Here: specs, and how findings look. What is checked is defined in `artifacts/checks/`.
"""
