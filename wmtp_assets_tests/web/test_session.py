"""The link that works once, the session that it opens, and all that stays outside."""

from __future__ import annotations

import os
import stat
from email.message import Message
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request as Asked

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from wmtp_assets.web import processes
from wmtp_assets.web.processes import running_link
from wmtp_assets.web.session import (
    LinkError,
    Login,
    Sessions,
    link_file,
    page_url,
    read_link,
)
from wmtp_assets_tests.ports import reserved_port

PORT = 3000
URL = f"http://127.0.0.1:{PORT}"
COOKIE = f"wmtp_{PORT}"


async def passed(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"passed on {request.url.query}")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("passed on")
    await socket.close()


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(link_file(tmp_path, "127.0.0.1", PORT), URL)


@pytest.fixture
def file(sessions: Sessions, tmp_path: Path) -> Path:
    return link_file(tmp_path, "127.0.0.1", PORT)


def browser(sessions: Sessions) -> TestClient:
    """A browser that knows nothing yet."""
    routes = [
        Route("/{path:path}", passed, methods=["GET", "HEAD", "POST"]),
        WebSocketRoute("/graphql", echo),
    ]
    app = Login(Starlette(routes=routes), sessions, "127.0.0.1", PORT)
    return TestClient(app, base_url=URL, follow_redirects=False)


def test_a_link_lets_one_browser_in_and_no_second(sessions: Sessions, file: Path) -> None:
    first, second = browser(sessions), browser(sessions)
    link = read_link(file)
    answer = first.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/asset-groups")
    assert first.get("/assets").text == "passed on "
    assert second.get(link).status_code == 401
    assert second.get("/assets").status_code == 401
    assert second.get(read_link(file)).status_code == 303
    assert [one.get("/assets").status_code for one in (first, second)] == [200, 200]


def test_the_cookie_is_a_secret_of_its_own_that_no_script_and_no_other_site_gets(
    sessions: Sessions, file: Path
) -> None:
    link = read_link(file)
    token = link.partition("token=")[2]
    answer = browser(sessions).get(link)
    (cookie,) = answer.headers.get_list("set-cookie")
    pair, *attributes = [part.strip() for part in cookie.split(";")]
    name, _, value = pair.partition("=")
    assert name == COOKIE
    assert {part.lower() for part in attributes} == {"httponly", "samesite=strict", "path=/"}
    assert len(value) >= 43
    assert len(token) >= 43
    assert value != token
    assert answer.headers["cache-control"] == "no-store"
    assert token not in answer.text + answer.headers["location"]


def test_every_browser_and_every_start_has_secrets_of_its_own(
    sessions: Sessions, file: Path, tmp_path: Path
) -> None:
    seen = set()
    for _ in range(5):
        link = read_link(file)
        seen |= {link, browser(sessions).get(link).headers["set-cookie"]}
    again = Sessions(file, URL)
    old = browser(sessions)
    old.get(read_link(file))  # the new start's token, unknown to the old one
    seen.add(read_link(file))
    assert len(seen) == 11
    known = browser(sessions).cookies
    assert not again.know(known.values())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/assets",
        "/graphql",
        "/server_info",
        "/favicon.ico",
        "/logs/a/b.err",
        "/download_debug/x",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_nothing_is_answered_without_a_session(sessions: Sessions, method: str, path: str) -> None:
    client = browser(sessions)
    for cookie in (None, "", "x", "é", "null", '""'):
        sent = {} if cookie is None else {"cookie": f"{COOKIE}={cookie}".encode("latin-1")}
        answer = client.request(method, path, headers=sent)
        assert answer.status_code == 401
        if method != "HEAD":
            assert "open the link that `wmtp ui` printed" in answer.text
            assert "passed on" not in answer.text


def test_a_token_counts_only_in_a_get_and_only_alone(sessions: Sessions, file: Path) -> None:
    link = read_link(file)
    token = link.partition("token=")[2]
    client = browser(sessions)
    tries = [
        *(client.request(method, link) for method in ("HEAD", "POST")),
        *(
            client.get(f"/?token={other}")
            for other in ("", token[:-1], token + "x", token.swapcase())
        ),
        client.get(f"/?token=x&token={token}"),
        client.get(f"/?token={token}&token={token}"),
        client.get(f"/?Token={token}"),
        client.get("/", headers={"cookie": f"{COOKIE}={token}"}),
        client.get("/", headers={"authorization": f"token {token}"}),
    ]
    assert {answer.status_code for answer in tries} == {401}
    assert read_link(file) == link, "a wrong try uses nothing up"
    assert client.get(link).status_code == 303


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/?token={}", "/"),
        ("/runs/1?a=b&token={}&c=", "/runs/1?a=b&c="),
        ("/assets/a%20b?token={}", "/assets/a%20b"),
        ("//evil.example/?token={}", "/evil.example/"),
        ("///evil.example?token={}", "/evil.example"),
        ("/\\evil.example?token={}", "/%5Cevil.example"),
        ("/%5C%5Cevil.example?token={}", "/%5C%5Cevil.example"),
        ("/%0d%0aset-cookie:x?token={}", "/%0D%0Aset-cookie%3Ax"),
    ],
)
def test_the_redirect_leads_to_the_same_path_here_without_the_token(
    sessions: Sessions, file: Path, asked: str, led_to: str
) -> None:
    token = read_link(file).partition("token=")[2]
    client = browser(sessions)
    answer = client.get(URL + asked.format(token))
    assert answer.status_code == 303
    assert answer.headers["location"] == led_to
    assert not urlsplit(answer.headers["location"]).netloc
    # With the session, a dead token is no obstacle: the same link may be reloaded.
    again = client.get(URL + asked.format(token))
    assert (again.status_code, again.headers["location"]) == (303, led_to)
    assert "set-cookie" not in again.headers


def test_a_websocket_needs_the_session_too(sessions: Sessions, file: Path) -> None:
    client = browser(sessions)
    token = read_link(file).partition("token=")[2]
    for path in ("/graphql", f"/graphql?token={token}"):
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect(path):
            pass
        assert closed.value.code == 1008
    client.get(read_link(file))
    sent = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    with client.websocket_connect("/graphql", headers=sent) as socket:
        assert socket.receive_text() == "passed on"


def test_two_pages_on_one_host_use_cookies_of_different_names(tmp_path: Path) -> None:
    """A browser sends the cookies of one port to the other: both must go on working."""
    names = set()
    jar: dict[str, str] = {}
    for port in (3000, 3001):
        path = link_file(tmp_path, "127.0.0.1", port)
        app = Login(
            Starlette(routes=[Route("/", passed)]), Sessions(path, page_url("h", port)), "h", port
        )
        client = TestClient(app, base_url=f"http://h:{port}", follow_redirects=False, cookies=jar)
        client.get("/?" + urlsplit(read_link(path)).query)
        jar |= dict(client.cookies)
        names |= set(client.cookies)
        assert client.get("/").status_code == 200
    assert names == {"wmtp_3000", "wmtp_3001"}


def test_a_foreign_cookie_of_the_same_name_shuts_nobody_out(sessions: Sessions, file: Path) -> None:
    client = browser(sessions)
    client.get(read_link(file))
    value = client.cookies[COOKIE]
    client.cookies.clear()
    for sent in (f"{COOKIE}=other; {COOKIE}={value}", f"{COOKIE}={value}; {COOKIE}=other; a=b"):
        assert client.get("/", headers={"cookie": sent}).status_code == 200
    assert client.get("/", headers={"cookie": f"x{COOKIE}={value}"}).status_code == 401


def test_the_link_file_is_for_this_user_alone(sessions: Sessions, file: Path) -> None:
    before = os.umask(0)
    try:
        browser(sessions).get(read_link(file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing is left over"


def test_a_link_file_is_not_written_through(tmp_path: Path) -> None:
    path = link_file(tmp_path, "127.0.0.1", PORT)
    victim = tmp_path / "victim"
    victim.write_text("kept")
    path.parent.mkdir(parents=True)
    path.symlink_to(victim)
    Sessions(path, URL)
    assert victim.read_text() == "kept"
    assert not path.is_symlink()


@pytest.mark.parametrize("what", ["nothing", "link", "folder", "readable by others", "pipe"])
def test_a_link_is_read_from_a_private_file_only(tmp_path: Path, what: str) -> None:
    path = link_file(tmp_path, "127.0.0.1", PORT)
    path.parent.mkdir(parents=True)
    match what:
        case "link":
            (tmp_path / "other").write_text("http://evil.example/")
            (tmp_path / "other").chmod(0o600)
            path.symlink_to(tmp_path / "other")
        case "folder":
            path.mkdir(mode=0o700)
        case "readable by others":
            path.write_text("http://evil.example/")
            path.chmod(0o644)
        case "pipe":
            os.mkfifo(path, 0o600)
    with pytest.raises(LinkError) as refused:
        read_link(path)
    assert str(path) in str(refused.value)
    assert "wmtp ui" in str(refused.value)


def test_a_link_that_a_killed_page_left_is_not_printed(tmp_path: Path) -> None:
    with reserved_port() as port:
        Sessions(link_file(tmp_path, "127.0.0.1", port), page_url("127.0.0.1", port))
        with pytest.raises(LinkError, match="No page answers"):
            running_link(tmp_path, "127.0.0.1", port)


def test_the_link_of_a_page_that_is_busy_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_a_minute(request: Asked, timeout: float) -> NoReturn:
        if timeout < 60:
            raise TimeoutError
        raise HTTPError(request.full_url, 401, "no session", Message(), None)

    monkeypatch.setattr(processes, "urlopen", in_a_minute)
    file = link_file(tmp_path, "127.0.0.1", PORT)
    Sessions(file, URL)
    assert running_link(tmp_path, "127.0.0.1", PORT) == read_link(file)


def test_an_ipv6_address_is_written_as_urls_have_it() -> None:
    assert page_url("::1", 3000) == "http://[::1]:3000"


def test_the_refusal_names_the_command_for_this_very_page(tmp_path: Path) -> None:
    for host, port, command in (
        ("127.0.0.1", 3000, "wmtp ui --link"),
        ("127.0.0.1", 3001, "wmtp ui --link --port 3001"),
        ("::1", 3000, "wmtp ui --link --host ::1"),
    ):
        sessions = Sessions(link_file(tmp_path, host, port), page_url(host, port))
        client = TestClient(Login(Starlette(), sessions, host, port))
        assert f"`{command}`," in client.get("/").text
