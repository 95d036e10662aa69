"""What is not public of Dagster: used by one module, and still what that module takes it for."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import create_engine

from wmtp_assets.orchestration.dagster_internals import SQLITE_MODULES

PACKAGE = Path(__file__).parents[2] / "wmtp_assets"
INTERNALS = "web/dagster_internals.py and orchestration/dagster_internals.py"
# Module, name in it, and what is passed by name or overridden.
USED = {
    ("dagster._core.workspace.context", "WorkspaceProcessContext", "__init__"): {
        "instance",
        "version",
        "read_only",
        "workspace_load_target",
    },
    ("dagster._core.workspace.context", "WorkspaceRequestContext", "__init__"): set[str](),
    ("dagster._core.workspace.load_target", "GrpcServerTarget", "__annotations__"): {
        "host",
        "port",
        "socket",
        "location_name",
    },
    ("dagster._grpc.client", "DagsterGrpcClient", "__init__"): {"host", "socket"},
    ("dagster._grpc.client", "DagsterGrpcClient", "get_server_id"): {"timeout"},
    ("dagster._core.launcher.base", "CheckRunHealthResult", "__annotations__"): {"status", "msg"},
    ("dagster._core.launcher.base", "WorkerStatus", "__members__"): {"RUNNING", "NOT_FOUND"},
    ("dagster._core.remote_origin", "RegisteredCodeLocationOrigin", "__annotations__"): {
        "location_name"
    },
    ("dagster._core.remote_origin", "RemoteRepositoryOrigin", "get_label"): set[str](),
    ("dagster._core.remote_origin", "RemoteJobOrigin", "__annotations__"): {"job_name"},
    ("dagster_webserver.webserver", "DagsterWebserver", "__init__"): {"process_context"},
    ("dagster_webserver.webserver", "DagsterWebserver", "build_routes"): set[str](),
    ("dagster_webserver.webserver", "DagsterWebserver", "create_asgi_app"): set[str](),
    (
        "dagster_webserver.webserver",
        "DagsterWebserver",
        "build_graphql_validation_rules",
    ): set[str](),
}


def is_private(module: str) -> bool:
    parts = module.split(".")
    own = parts[0] == "dagster_webserver"
    return own or (parts[0].startswith("dagster") and any(p.startswith("_") for p in parts))


def private_names_in(path: Path) -> set[str]:
    """Modules of Dagster that are not public, as a module imports them or names them in text."""
    text = path.read_text(encoding="utf-8")
    found: set[str] = set()
    for node in ast.walk(ast.parse(text if "dagster" in text else "")):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(one.name for one in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value if node.value.replace(".", "").isidentifier() else "")
    return {name for name in found if is_private(name)}


def test_one_module_names_what_dagster_does_not_promise() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if private_names_in(path)
    }
    assert found == set(INTERNALS.split(" and "))


@pytest.mark.parametrize(("module", "name", "attribute"), USED, ids=lambda text: text)
def test_dagster_still_has_what_is_used_of_it(module: str, name: str, attribute: str) -> None:
    changed = f"Dagster {version('dagster')} has changed {module}.{name}: adapt {INTERNALS}"
    try:
        there = getattr(getattr(importlib.import_module(module), name), attribute)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{changed} ({error})")
    # Of a record, whose constructor takes anything, the fields.
    known = there if isinstance(there, Mapping) else inspect.signature(there).parameters
    missing = USED[module, name, attribute] - known.keys()
    assert not missing, f"{changed}: it takes no {', '.join(sorted(missing))}"


@pytest.mark.parametrize("module", SQLITE_MODULES, ids=lambda module: module.__name__)
def test_databases_are_still_opened_by_a_name_of_their_module(module: ModuleType) -> None:
    changed = f"Dagster {version('dagster')} opens its databases otherwise: adapt {INTERNALS}"
    # Its source, not its present value: a run that goes on in this process has replaced that.
    source = inspect.getsource(module)
    imported = [
        name.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    ]
    assert create_engine.__name__ in imported, changed
    assert f" = {create_engine.__name__}(" in source, changed


def test_the_daemon_is_still_a_module_that_runs() -> None:
    from wmtp_assets.web.dagster_internals import DAEMON

    assert find_spec(f"{DAEMON}.__main__"), f"Dagster {version('dagster')} has changed {DAEMON}"
