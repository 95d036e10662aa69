"""Dagster's web server as one process: its own application, behind the guard and the login.

Run as `python -m wmtp_assets.web.server HOST PORT SOCKET (--link FILE | --no-token) [--read-only]`
by `web/processes.py`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.settings import Settings
from wmtp_assets.orchestration.history import end_dead_runs
from wmtp_assets.orchestration.home import open_instance
from wmtp_assets.orchestration.names import LOCATION
from wmtp_assets.orchestration.postgres import connections_kept
from wmtp_assets.web.application import page_application
from wmtp_assets.web.code_location import keep_loaded
from wmtp_assets.web.dagster_internals import (
    DagsterGrpcClient,
    GrpcServerTarget,
    WorkspaceProcessContext,
)
from wmtp_assets.web.guard import Guard, served_hosts
from wmtp_assets.web.headers import SecurityHeaders
from wmtp_assets.web.own_pages import own_routes
from wmtp_assets.web.session import Login, Sessions, page_url

ANSWER_WITHIN_SECONDS = 30  # of a code server that is at work on a loaded machine


def main() -> None:
    """Serves until a signal stops it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("socket")
    parser.add_argument("--read-only", action="store_true")
    login = parser.add_mutually_exclusive_group(required=True)
    login.add_argument("--link", type=Path, metavar="FILE")
    login.add_argument("--no-token", action="store_true")
    arguments = parser.parse_args()
    project = Project.from_settings(Settings.from_environment())
    target = GrpcServerTarget(
        host="localhost", socket=arguments.socket, port=None, location_name=LOCATION
    )
    with (
        open_instance(for_good=True) as instance,
        connections_kept(instance, statement_ms=15_000),
        WorkspaceProcessContext(
            instance,
            version="",
            read_only=arguments.read_only,
            workspace_load_target=target,
        ) as workspace,
    ):
        if not arguments.read_only:
            end_dead_runs(instance, none_is_launched=True)
        client = DagsterGrpcClient(host="localhost", socket=arguments.socket)
        keep_loaded(
            lambda: client.get_server_id(timeout=ANSWER_WITHIN_SECONDS),
            lambda: workspace.reload_code_location(LOCATION),
        )
        app: ASGIApp = page_application(workspace, own_routes(project))
        if not arguments.no_token:
            url = page_url(arguments.host, arguments.port)
            sessions = Sessions(arguments.link, url)
            app = Login(app, sessions, arguments.host, arguments.port)
        hosts = served_hosts(arguments.host, arguments.port, os.environ.get("WMTP_UI_HOSTS"))
        uvicorn.run(
            SecurityHeaders(Guard(app, hosts)),
            host=arguments.host,
            port=arguments.port,
            log_level="warning",
            access_log=False,  # a link's token is part of its URL
            proxy_headers=False,
            server_header=False,
        )


if __name__ == "__main__":
    main()
