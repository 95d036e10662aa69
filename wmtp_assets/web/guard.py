"""The guard between the network and Dagster's web server, which has no login of its own.

Left alone, that server lets any web page that the user visits start runs or forge a check's result
(seen: POST /report_asset_check without a token and with a foreign Origin; a mutation by GET).
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_REPORTING = "report_asset_"
WAYS = ("http", "https")
# What a browser says of a request that the page itself makes, or that a person types.
_OWN_SITES = frozenset({"same-origin", "none"})
_WRITES = frozenset({("http", "POST", "/graphql"), ("websocket", None, "/graphql")})


class Guard:
    """Passes on only what the pages themselves would ask.

    Refused are: a Host that is not among `hosts` (DNS rebinding), an Origin of another site, a
    write that the browser says another site makes (Sec-Fetch-Site), a GraphQL query in the URL (a
    link or an image could carry a mutation), the endpoints that report materializations and check
    results without a login, and every method but GET, HEAD, and POST of JSON to /graphql.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(f"{way}://{host}" for way in WAYS for host in self._hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 403 with the reason in plain text, or closes the WebSocket, where refused."""
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason=refusal[:120])(scope, receive, send)
        else:
            await PlainTextResponse(refusal + "\n", status_code=403)(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host") or [""]
        if not all(host.lower() in self._hosts for host in hosts):
            return "Refused: this Host is not served here. WMTP_UI_HOSTS names further hosts."
        if not all(origin.lower() in self._origins for origin in headers.getlist("origin")):
            return "Refused: the request comes from another site."
        # The router behind may normalize a path further.
        path = str(scope["path"]).lower()
        segments = [segment for segment in path.split("/") if segment not in ("", ".")]
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        asked_by = {site.strip().lower() for site in headers.getlist("sec-fetch-site")}
        if (not reads or "graphql" in segments) and not asked_by <= _OWN_SITES:
            return "Refused: the request comes from another site."
        if any(one.startswith(_REPORTING) for one in segments):
            return "Refused: results are reported by runs, never from outside."
        if "graphql" in segments and "query" in QueryParams(scope["query_string"]):
            return "Refused: GraphQL is answered by POST only."
        if not reads and (scope["type"], scope.get("method"), scope["path"]) not in _WRITES:
            return "Refused: the page makes no such request."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["type"] == "http" and not reads and kind != "application/json":
            return "Refused: GraphQL is asked in JSON (Content-Type: application/json)."
        return None


def served_hosts(host: str, port: int, further: str | None) -> list[str]:
    """The Host headers to answer: the address bound to, the loopback's names, and `further`.

    `further` is a comma-separated list such as "wmtp.example.org" for a reverse proxy with login.
    """
    names = {host, "127.0.0.1", "localhost", "[::1]"}
    hosts = [f"{name}:{port}" for name in sorted(names)]
    return hosts + [name.strip() for name in (further or "").split(",") if name.strip()]
