"""The names of Dagster that no release promises to keep, all that this package uses.

Dagster's commands serve its pages without a login, and its package offers no public way to wrap the
application (guard, login, fewer routes and mutations) or to run the daemon by the interpreter that
runs this. pyproject.toml pins one version of Dagster; `wmtp_assets_tests/web/test_internals.py`
says which of these names another version has changed.
"""

from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._grpc.client import DagsterGrpcClient
from dagster_webserver.webserver import DagsterWebserver

__all__ = [
    "DAEMON",
    "DagsterGrpcClient",
    "DagsterWebserver",
    "GrpcServerTarget",
    "WorkspaceProcessContext",
    "WorkspaceRequestContext",
]

DAEMON = "dagster._daemon"
"""The module that `dagster-daemon` runs; that command may lie outside of PATH."""
