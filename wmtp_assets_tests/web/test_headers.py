"""Every answer forbids frames, whatever the application behind says or raises."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from wmtp_assets.web.guard import Guard, served_hosts
from wmtp_assets.web.headers import SecurityHeaders

HOST = "127.0.0.1:3000"
POLICIES: dict[str, list[str]] = {
    "/none": [],
    "/one": ["base-uri 'none'; object-src 'none';"],
    "/frames": ["frame-ancestors *; base-uri 'none'"],
    "/two": ["base-uri 'none'", "frame-ancestors https://evil.example"],
}


async def answer(request: Request) -> Response:
    if request.url.path == "/raises":
        raise ValueError("an error of the application")
    response = PlainTextResponse("here", headers={"X-Frame-Options": "ALLOWALL"})
    for policy in POLICIES.get(request.url.path, []):
        response.headers.append("Content-Security-Policy", policy)
    return response


@pytest.fixture(scope="module")
def client() -> TestClient:
    guard = Guard(
        Starlette(routes=[Route("/{path:path}", answer)]), served_hosts("127.0.0.1", 3000, None)
    )
    return TestClient(
        SecurityHeaders(guard), base_url=f"http://{HOST}", raise_server_exceptions=False
    )


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        *((path, HOST, 200) for path in POLICIES),
        ("/raises", HOST, 500),
        ("/report_asset_check/x", HOST, 403),
        ("/one", "evil.example", 403),
    ],
)
def test_every_answer_forbids_frames(client: TestClient, path: str, host: str, status: int) -> None:
    reply = client.get(path, headers={"host": host})
    assert reply.status_code == status
    assert reply.headers.get_list("x-frame-options") == ["DENY"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "same-origin"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    (written,) = reply.headers.get_list("content-security-policy")
    # A browser takes a list of policies apart at commas, and the first of equal directives.
    for policy in written.split(","):
        directives = [part.strip() for part in policy.split(";")]
        assert directives[0] == "frame-ancestors 'none'"


def test_what_the_application_demands_is_kept(client: TestClient) -> None:
    for path, policies in POLICIES.items():
        written = client.get(path).headers["content-security-policy"]
        assert all(policy.rstrip("; ") in written for policy in policies), path
