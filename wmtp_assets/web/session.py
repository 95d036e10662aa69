"""Who may use the page: anyone who opens a link that this machine's user printed, once per browser.

A link carries a token that works once. Whoever presents it gets a session cookie; the link file
then holds the next token, which `wmtp ui --link` prints. Both are random, 256 bits, and are kept
nowhere else: not in arguments, environments, logs or Dagster's database.
"""

from __future__ import annotations

import hmac
import os
import secrets
import shlex
import stat
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from wmtp_assets.errors import WmtpError

PARAMETER = "token"
ENTRY = "/asset-groups"  # the lineage of all assets: Dagster's first page shows runs only
REFUSED = """Refused: open the link that `wmtp ui` printed. Each link lets one browser in, once;
`{command}`, run by the same user on the same machine, prints a new one.
If this browser was let in before, reload this page.
"""


class LinkError(WmtpError):
    """There is no link to print."""


def link_file(home: Path, host: str, port: int) -> Path:
    """Where the page at `host`:`port` of this Dagster home keeps its next link."""
    return home / ".dagster" / "page" / f"{host}-{port}.link"


def link_command(host: str, port: int) -> str:
    """What prints another link to the page at `host`:`port`, as one types it."""
    where = "" if host == "127.0.0.1" else f" --host {host}"
    return f"wmtp ui --link{where}" + ("" if port == 3000 else f" --port {port}")


def page_url(host: str, port: int) -> str:
    """The page's address, without a slash at the end."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def read_link(path: Path) -> str:
    """The link that works next. Raises LinkError where no page of this user keeps one."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, encoding="ascii") as file:
            found = os.fstat(opened)
            private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
            if not private or stat.S_IMODE(found.st_mode) & 0o077:
                raise LinkError(
                    "The link's file is not this user's alone",
                    expected="a regular file of mode 0600 that belongs to this user",
                    where=path,
                    hint="end the page, remove this file "
                    f"(`rm {shlex.quote(str(path))}`), and start the page again: `wmtp ui`",
                )
            return file.read().strip()
    except OSError as error:
        raise LinkError(
            "There is no link to print",
            expected="a page that is running, started by this user with the same --host and --port",
            found=error.strerror,
            where=path,
            hint="start the page: wmtp ui",
        ) from error


class Sessions:
    """The token that works next, and the browsers that were let in.

    `url` is the page's address; `path` is the link file, which is replaced at every change, with
    mode 0600 in a folder of mode 0700. Not for more than one thread.
    """

    def __init__(self, path: Path, url: str) -> None:
        self._path, self._url = path, url
        self._sessions: list[bytes] = []
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._token = self._renew()

    def enter(self, token: str) -> str | None:
        """A new session's cookie value for the token that works now, which then works no more."""
        if not hmac.compare_digest(_digest(token), self._token):
            return None
        self._token = self._renew()
        session = secrets.token_urlsafe(32)
        self._sessions.append(_digest(session))
        return session

    def know(self, cookies: Iterable[str]) -> bool:
        """Whether one of these cookie values is a session's."""
        given = [_digest(cookie) for cookie in cookies]
        return any(hmac.compare_digest(one, known) for one in given for known in self._sessions)

    def _renew(self) -> bytes:
        token = secrets.token_urlsafe(32)
        opened, written = tempfile.mkstemp(dir=self._path.parent)  # mode 0600
        with os.fdopen(opened, "w", encoding="ascii") as file:
            file.write(f"{self._url}{ENTRY}?{PARAMETER}={token}\n")
        Path(written).replace(self._path)
        return _digest(token)


class Login:
    """Passes on only what carries a session's cookie; a link's token is exchanged for one."""

    def __init__(self, app: ASGIApp, sessions: Sessions, host: str, port: int) -> None:
        self._app, self._sessions = app, sessions
        self._refused = REFUSED.format(command=link_command(host, port))
        # A browser sends cookies to every port of a host: the name keeps two pages apart.
        self._cookie = f"wmtp_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401 in plain text, or closes the WebSocket, where there is no session."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        known = self._sessions.know(_cookies(scope, self._cookie))
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == PARAMETER]
        if scope["type"] == "websocket":
            if known:
                await self._app(scope, receive, send)
            else:
                await WebSocketClose(code=1008, reason="Refused: no session.")(scope, receive, send)
            return
        answer: Response | None = None
        if scope["method"] == "GET" and tokens:
            session = self._sessions.enter(tokens[0]) if len(tokens) == 1 else None
            if session is not None or known:
                answer = _redirect(scope, [pair for pair in query if pair[0] != PARAMETER])
            if session is not None and answer is not None:
                answer.set_cookie(self._cookie, session, httponly=True, samesite="strict")
        elif known:
            await self._app(scope, receive, send)
            return
        if answer is None:
            answer = PlainTextResponse(self._refused, status_code=401)
        answer.headers["Cache-Control"] = "no-store"
        await answer(scope, receive, send)


def _redirect(scope: Scope, query: list[tuple[str, str]]) -> Response:
    # Exactly one slash in front: "//host" would lead away from here.
    path = "/" + quote(str(scope["path"]).lstrip("/"), safe="/")
    return Response(
        status_code=303, headers={"Location": f"{path}?{urlencode(query)}" if query else path}
    )


def _cookies(scope: Scope, name: str) -> list[str]:
    """Every value that is given for a cookie: a neighbouring port may have set one of its own."""
    pairs = [
        pair.partition("=")
        for header in Headers(scope=scope).getlist("cookie")
        for pair in header.split(";")
    ]
    return [value.strip().strip('"') for given, _, value in pairs if given.strip() == name]


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
