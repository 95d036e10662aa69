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
    f"file://{HOST}",
    f"ws://{HOST}",
    f"chrome-extension://{HOST}",
    f"//{HOST}",
    HOST,
    f"http://{HOST}/",
    f"http:{HOST}",
    f"http://user@{HOST}",
    f"http://{HOST} http://evil.example",
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


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "CROSS-SITE", "", "other", "none, x"])
def test_a_write_that_the_browser_says_another_site_makes_is_refused(
    client: TestClient, site: str
) -> None:
    """Whatever the Origin: an old browser leaves it out, and a sandboxed frame may not."""
    for origin in ({}, OWN):
        sent = {"sec-fetch-site": site, "host": HOST, **origin}
        assert client.post("/graphql", headers=sent | JSON, content="{}").status_code == 403
        assert client.get("/graphql", headers=sent).status_code == 403
        with (
            pytest.raises(WebSocketDisconnect) as closed,
            client.websocket_connect("/graphql", headers=sent),
        ):
            pass
        assert closed.value.code == 1008


def test_two_words_on_the_site_are_not_the_better_one(client: TestClient) -> None:
    for pair in (("same-origin", "cross-site"), ("cross-site", "same-origin")):
        sent = [("sec-fetch-site", site) for site in pair] + [("content-type", "application/json")]
        assert client.post("/graphql", headers=sent, content="{}").status_code == 403


@pytest.mark.parametrize("site", ["same-origin", "none", None])
def test_the_pages_own_writes_and_those_of_no_browser_pass(
    client: TestClient, site: str | None
) -> None:
    sent = {"host": HOST, **({"sec-fetch-site": site} if site else {})}
    assert client.post("/graphql", headers=sent | JSON, content="{}").status_code == 200
    with client.websocket_connect("/graphql", headers=sent) as socket:
        assert socket.receive_text() == "passed on"


def test_a_link_on_another_site_may_lead_to_a_page(client: TestClient) -> None:
    assert client.get("/runs", headers={"sec-fetch-site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "POST", "FOO"])
@pytest.mark.parametrize(
    "path", ["/", "/assets/x", "/graphql/", "/graphql/x", "/logs/a", "/GRAPHQL"]
)
def test_only_graphql_is_posted_to(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path, headers=OWN | JSON, content="{}").status_code == 403


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
def test_graphql_is_asked_by_no_other_method(client: TestClient, method: str) -> None:
    assert client.request(method, "/graphql", headers=OWN | JSON, content="{}").status_code == 403


@pytest.mark.parametrize(
    "name", ["x-http-method-override", "x-http-method", "x-method-override", "x-forwarded-host"]
)
def test_headers_that_pretend_change_nothing(client: TestClient, name: str) -> None:
    for value in ("POST", HOST, "evil.example"):
        sent = {name: value}
        assert client.get("/graphql?query={version}", headers=sent).status_code == 403
        assert client.get("/", headers=sent | {"host": "evil.example"}).status_code == 403
        assert client.get("/", headers=sent).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        *("", "text/plain", "application/x-www-form-urlencoded", "application/graphql"),
        *("multipart/form-data; boundary=x", "text/plain; application/json", "application/jsonx"),
        *("application/json, text/plain", "text/json"),
    ],
)
def test_graphql_is_asked_in_json_only(client: TestClient, kind: str) -> None:
    """A form of another site can send the others without asking the browser first."""
    reply = client.post("/graphql", headers={"content-type": kind}, content="{}")
    assert reply.status_code == 403


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_json_however_it_is_written(client: TestClient, kind: str) -> None:
    sent = {"content-type": kind}
    assert client.post("/graphql", headers=sent, content="{}").status_code == 200
    assert client.post("/graphql?query={version}", headers=sent, content="{}").status_code == 403
