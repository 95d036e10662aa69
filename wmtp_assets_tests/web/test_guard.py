"""The guard before Dagster's web server, asked as a browser on a foreign page would."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from wmtp_assets.web.guard import Guard, served_hosts

HOST = "127.0.0.1:3000"
OWN = {"origin": f"http://{HOST}"}
FOREIGN = [
    "https://evil.example",
    "null",
    f"http://{HOST}.evil.example",
    f"http://evil.example#{HOST}",
    f"http://{HOST}@evil.example",
    "http://127.0.0.1:3001",
    "",
    "http://[::1",
    f"http://127.0.0.1.:{3000}",
    f"file://{HOST}.",
]


async def passed(request: Request) -> PlainTextResponse:
    return PlainTextResponse("passed on")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("passed on")
    await socket.close()


@pytest.fixture(scope="module")
def client() -> TestClient:
    routes = [
        Route("/{path:path}", passed, methods=["GET", "POST", "DELETE"]),
        WebSocketRoute("/graphql", echo),
    ]
    guarded = Guard(Starlette(routes=routes), served_hosts("127.0.0.1", 3000, "wmtp.example.org"))
    return TestClient(guarded, base_url=f"http://{HOST}")


@pytest.mark.parametrize(
    "host", [HOST, "localhost:3000", "[::1]:3000", "LOCALHOST:3000", "wmtp.example.org"]
)
def test_the_hosts_that_are_served_are_answered(client: TestClient, host: str) -> None:
    reply = client.get("/assets/models", headers={"host": host})
    assert (reply.status_code, reply.text) == (200, "passed on")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1", "127.0.0.1:3001", "localhost.evil.example:3000", ""),
        *("localhost.:3000", "127.0.0.1.:3000", f"user@{HOST}", f"evil.example:80@{HOST}"),
        *("127.1:3000", "2130706433:3000", "0x7f.1:3000", "[::ffff:127.0.0.1]:3000", "[::1]:80"),
        *(f"{HOST}, evil.example", f"{HOST} ", f"{HOST}/", "127.0.0.1:03000"),
    ],
)
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    reply = client.get("/", headers={"host": host})
    assert reply.status_code == 403
    assert "this Host is not served here" in reply.text


def test_a_second_host_or_origin_hides_behind_no_first(client: TestClient) -> None:
    for name, own, foreign in (
        ("host", HOST, "evil.example"),
        ("origin", f"http://{HOST}", "http://evil.example"),
    ):
        for pair in ((own, foreign), (foreign, own)):
            reply = client.post("/graphql", headers=[(name, value) for value in pair])
            assert reply.status_code == 403, pair


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", ["/graphql", "/"])
def test_a_request_from_another_site_is_refused(client: TestClient, path: str, origin: str) -> None:
    reply = client.post(path, headers={"origin": origin}, json={"query": "{version}"})
    assert reply.status_code == 403
    assert "another site" in reply.text


def test_the_pages_own_queries_pass(client: TestClient) -> None:
    assert client.post("/graphql", headers=OWN, json={"query": "{version}"}).status_code == 200
    assert client.post("/graphql", json={"query": "{version}"}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "query",
    [
        "query=mutation{wipeAssets(assetPartitionRanges:[]){__typename}}",
        "operationName=x&query={version}",
        "%71uery={version}",
        "query=",
    ],
)
def test_a_graphql_query_by_get_is_refused_even_from_the_own_origin(
    client: TestClient, method: str, query: str
) -> None:
    reply = client.request(method, f"/graphql?{query}", headers=OWN)
    assert reply.status_code == 403


def test_the_graphql_playground_itself_may_be_opened(client: TestClient) -> None:
    assert client.get("/graphql").status_code == 200


@pytest.mark.parametrize("what", ["materialization", "check", "observation"])
@pytest.mark.parametrize("headers", [{}, OWN])
def test_results_cannot_be_reported_from_outside(
    client: TestClient, what: str, headers: dict[str, str]
) -> None:
    path = f"/report_asset_{what}/models/micro-mtp?check_name=finite_values&passed=true"
    reply = client.post(path, headers=headers)
    assert reply.status_code == 403
    assert "reported by runs" in reply.text


def test_a_websocket_of_the_own_origin_is_answered(client: TestClient) -> None:
    with client.websocket_connect("/graphql", headers={**OWN, "host": HOST}) as socket:
        assert socket.receive_text() == "passed on"


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example", "host": HOST}, {"host": "evil.example"}]
)
def test_a_websocket_from_elsewhere_is_closed_with_the_reason(
    client: TestClient, headers: dict[str, str]
) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client.websocket_connect("/graphql", headers=headers),
    ):
        pass
    assert closed.value.code == 1008
    assert closed.value.reason.startswith("Refused")
