"""Dagster's own application behind the guard: what would change something changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from wmtp_assets.web.guard import Guard, served_hosts

HOST = "127.0.0.1:3000"
KEY = dg.AssetKey("weights")
WIPE = 'mutation{wipeAssets(assetPartitionRanges:[{assetKey:{path:["weights"]}}]){__typename}}'


@dataclass(frozen=True)
class Page:
    """The application as it is, the same behind the guard, and the database of both."""

    bare: TestClient
    guarded: TestClient
    instance: dg.DagsterInstance

    def untouched(self) -> bool:
        """Whether the one asset that is known is still known, and no check of it."""
        key = dg.AssetCheckKey(KEY, "finite_values")
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        return self.instance.has_asset_key(KEY) and not history


@pytest.fixture(scope="module", params=[False, True], ids=["writable", "read-only"])
def read_only(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def page(server: Page) -> Page:
    """The page, of whose database nothing is left but the one asset."""
    server.instance.event_log_storage.wipe()
    server.instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
    return server


@pytest.fixture(scope="module")
def server(read_only: bool) -> Iterator[Page]:
    def client(app: ASGIApp) -> TestClient:
        return TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False)

    with (
        dg.DagsterInstance.local_temp() as instance,
        WorkspaceProcessContext(
            instance,
            version="",
            read_only=read_only,
            workspace_load_target=EmptyWorkspaceTarget(),
        ) as workspace,
    ):
        app = create_app_from_workspace_process_context(workspace)
        guard = Guard(app, served_hosts("127.0.0.1", 3000, None))
        yield Page(client(app), client(guard), instance)


PATHS = ("/graphql", "/graphql/", "//graphql", "/./graphql", "/%67raphql", "/GRAPHQL", "/x/graphql")


@pytest.mark.parametrize("name", ["query", "%71uery"])
def test_no_spelling_of_a_mutation_by_get_gets_through(page: Page, name: str) -> None:
    for path in PATHS:
        for more in ("", "&operationName=x", "&variables=%7B%7D"):
            page.guarded.get(f"http://{HOST}{path}?{name}={WIPE}{more}")
            assert page.untouched(), path
    batch = page.guarded.post("/graphql", json=[{"query": WIPE}])
    assert batch.status_code >= 400
    assert page.untouched()


def test_no_spelling_of_a_reporting_path_gets_through(page: Page) -> None:
    target = "weights?check_name=finite_values&passed=true"
    for path in (
        *("/report_asset_check/", "//report_asset_check/", "/./report_asset_check/"),
        *("/%72eport_asset_check/", "/report%5Fasset_check/", "/report_asset_check//"),
        *("/%2Freport_asset_check/", "/x/../report_asset_check/", "/x/report_asset_check/"),
    ):
        for method in ("POST", "GET", "PUT"):
            reply = page.guarded.request(method, f"http://{HOST}{path}{target}")
            assert reply.status_code == 403, (method, path)
    assert page.untouched()


def test_without_the_guard_both_would_have_worked(page: Page, read_only: bool) -> None:
    """What is tried above is real: Dagster's server alone lets it happen, unless read-only."""
    page.bare.post("/report_asset_check/weights?check_name=finite_values&passed=true")
    assert page.untouched() is read_only
    page.bare.get(f"/graphql?query={WIPE}")
    assert page.instance.has_asset_key(KEY) is read_only


def test_a_mutation_by_post_from_the_page_itself_is_up_to_read_only(
    page: Page, read_only: bool
) -> None:
    reply = page.guarded.post(
        "/graphql", headers={"origin": f"http://{HOST}"}, json={"query": WIPE}
    )
    assert reply.status_code == 200
    assert ("UnauthorizedError" in reply.text) is read_only
    assert page.untouched() is read_only


@pytest.mark.parametrize("protocol", ["graphql-ws", "graphql-transport-ws"])
def test_a_mutation_through_a_websocket_changes_nothing(page: Page, protocol: str) -> None:
    """Dagster answers subscriptions there and nothing else; a foreign Origin gets no socket."""
    from starlette.websockets import WebSocketDisconnect

    with page.guarded.websocket_connect(
        "/graphql", subprotocols=[protocol], headers={"host": HOST, "origin": f"http://{HOST}"}
    ) as socket:
        socket.send_json({"type": "connection_init", "payload": {}})
        assert socket.receive_json()["type"] == "connection_ack"
        for kind in ("subscribe", "start"):  # the newer protocol's word, then the older one's
            socket.send_json({"type": kind, "id": kind, "payload": {"query": WIPE}})
        assert socket.receive_json()["type"] == "error"
    assert page.untouched()
    for origin in ("https://evil.example", "null", f"http://{HOST}.evil.example"):
        with (
            pytest.raises(WebSocketDisconnect),
            page.guarded.websocket_connect(
                "/graphql", subprotocols=[protocol], headers={"host": HOST, "origin": origin}
            ),
        ):
            pass
