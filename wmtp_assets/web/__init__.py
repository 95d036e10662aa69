"""Dagster's own pages, served to this machine only and guarded against the rest of the web.

Here: the login link and session, what a request may do, response headers, and the server's
processes. Not here: assets, checks and jobs (`orchestration/`), or anything about the catalog.
"""
