"""Security headers of every response: no framing, no type sniffing, no referrer."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FRAMES = "frame-ancestors 'none'"
# Referrer-Policy: with `no-referrer` the page's own POSTs would carry `Origin: null`.
_FIXED = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class SecurityHeaders:
    """Adds the headers to every HTTP answer of `app`, errors and static files included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on; the head of an answer gets the headers."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                policies = headers.getlist("content-security-policy")
                # Of a directive that is named twice the first counts: ours stands in front.
                headers["Content-Security-Policy"] = ", ".join(
                    f"{_FRAMES}; {policy}" for policy in policies or [""]
                ).rstrip("; ")
                for name, value in _FIXED.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, with_headers)
