"""Dagster's web server as one process: its own application, behind the guard.

Run as `python -m wmtp_assets.web.server HOST PORT SOCKET [--read-only]` by `web/processes.py`.
"""

from __future__ import annotations

import argparse
import os

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster_webserver.app import create_app_from_workspace_process_context

from wmtp_assets.web.guard import Guard, served_hosts


def main() -> None:
    """Serves until it is told to stop by a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("socket")
    parser.add_argument("--read-only", action="store_true")
    arguments = parser.parse_args()
    with (
        DagsterInstance.get() as instance,
        WorkspaceProcessContext(
            instance,
            version="",
            read_only=arguments.read_only,
            workspace_load_target=GrpcServerTarget(
                host="localhost", socket=arguments.socket, port=None, location_name="wmtp_assets"
            ),
        ) as workspace,
    ):
        instance.optimize_for_webserver(
            statement_timeout=15_000, pool_recycle=3_600, max_overflow=20
        )
        hosts = served_hosts(arguments.host, arguments.port, os.environ.get("WMTP_UI_HOSTS"))
        app = Guard(create_app_from_workspace_process_context(workspace), hosts)
        uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
