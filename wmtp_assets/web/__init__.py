"""Dagster's own pages, served to this machine only and guarded against the rest of the web."""
