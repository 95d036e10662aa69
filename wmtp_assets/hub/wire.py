"""One HTTP request and its answer, with a deadline on every phase.

The client's own timeouts count from byte to byte, so that a server which sends a byte now and then
holds it for ever. Here whatever is under way has an end: resolving the name, connecting, the TLS
handshake, all headers together (interim answers with them), and each piece of a body.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore2

from wmtp_assets.hub import client_settings
from wmtp_assets.hub.addresses import Address
from wmtp_assets.hub.retry import Policy

# Its reads of 64 KiB take as much of the processor as SHA-256 does; larger ones a third of that.
httpcore2.HTTP11Connection.READ_NUM_BYTES = 1 << 20

_IDLE = 5.0  # seconds that a connection is kept for the next request
_WINDOW = 16 + zlib.MAX_WBITS  # of gzip


class BodyTooLargeError(Exception):
    """A body has more bytes, once decompressed, than it may have."""


class BadEncodingError(Exception):
    """A body is encoded in a way that was not asked for, or not as its header says."""


class Headers(dict[str, str]):
    """Headers by lower-case name; never printed, not even by a report of a crash.

    Those that are sent hold the token, and those of an answer may repeat it.
    """

    def __repr__(self) -> str:
        return f"<{len(self)} headers>"


class Answer:
    """An answer whose body has not been read."""

    def __init__(self, status: int, headers: Headers, body: Iterator[bytes], stall: float) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._stall = stall

    @property
    def location(self) -> str | None:
        """Where a redirect leads; None when this is none."""
        return self.headers.get("location") if self.status in (301, 302, 303, 307, 308) else None

    def chunks(self) -> Iterator[bytes]:
        """The body as it is sent; each piece must be there within the policy's `stall`."""
        while True:
            with _within(self._stall):
                chunk = next(self._body, None)
            if chunk is None:
                return
            yield chunk

    def read(self, limit: int, seconds: float) -> bytes:
        """The whole body, decompressed, of at most `limit` bytes, within `seconds`.

        Raises BodyTooLargeError, BadEncodingError, httpcore2.ReadTimeout.
        """
        encoding = self.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip"):
            raise BadEncodingError(encoding[:40])
        unpack = zlib.decompressobj(_WINDOW) if encoding == "gzip" else None
        parts, size, end = [], 0, time.monotonic() + seconds
        for chunk in self.chunks():
            if time.monotonic() > end:
                raise httpcore2.ReadTimeout
            if unpack is not None:
                try:
                    chunk = unpack.decompress(chunk, limit + 1 - size)
                except zlib.error as error:
                    raise BadEncodingError(str(error)[:80]) from None
            size += len(chunk)
            if size > limit:
                raise BodyTooLargeError
            parts.append(chunk)
        if unpack is not None and not unpack.eof:
            raise BadEncodingError("gzip that ends early")
        return b"".join(parts)


@contextmanager
def ask(
    method: str, url: str, headers: Headers, policy: Policy, content: bytes | None = None
) -> Iterator[Answer]:
    """Send a request, and yield its answer. Follows no redirect.

    With `content` the headers state its length.

    Raises BadAddressError, ClientSetupError, and httpcore2's exceptions.
    """
    address = Address.of(url)
    timeouts = {"connect": policy.connect, "read": policy.stall, "write": policy.stall}
    where = httpcore2.URL(
        scheme=address.scheme.encode(),
        host=address.host.encode(),
        port=address.port,
        target=address.target.encode("ascii"),
    )
    with _within(policy.stall, renewed=True):
        exchange = _pool(address).stream(
            method,
            where,
            headers=[("host", address.authority), *headers.items()],
            content=content,
            extensions={"timeout": timeouts},
        )
        answer = exchange.__enter__()
    try:
        body = iter(answer.iter_stream())
        yield Answer(answer.status, _headers_of(answer), body, policy.stall)
    finally:
        exchange.__exit__(None, None, None)


def _headers_of(answer: httpcore2.Response) -> Headers:
    """The values of a header that comes more than once are joined by commas."""
    headers = Headers()
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


# Connections.

_pools: dict[object, httpcore2.ConnectionPool] = {}
_guard = threading.Lock()


def _forget() -> None:
    """A forked child must not speak on its parent's connections."""
    global _guard
    _pools.clear()
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _pool(address: Address) -> httpcore2.ConnectionPool:
    """The connections for an address as the environment would have them now."""
    proxy = client_settings.proxy_for(*address.origin)
    secure = address.scheme == "https" or (proxy is not None and proxy.url.scheme == b"https")
    key = (
        (bytes(proxy.url), proxy.auth) if proxy else None,
        client_settings.certificates_key() if secure else None,
    )
    with _guard:
        if key not in _pools:
            context = client_settings.tls() if secure else None
            if proxy is not None and proxy.url.scheme == b"https":
                proxy = httpcore2.Proxy(proxy.url, auth=proxy.auth, ssl_context=context)
            _pools[key] = httpcore2.ConnectionPool(
                ssl_context=context,
                proxy=proxy,
                max_connections=None,
                keepalive_expiry=_IDLE,
                network_backend=_Network(),
            )
        return _pools[key]


# Deadlines.

_ends = threading.local()


@contextmanager
def _within(seconds: float, *, renewed: bool = False) -> Iterator[None]:
    """Let what this thread does on the network in the block end in time.

    `renewed`: the time begins anew once a connection is there; making it has its own deadline.
    """
    before = getattr(_ends, "at", None), getattr(_ends, "renewal", None)
    _ends.at, _ends.renewal = time.monotonic() + seconds, seconds if renewed else None
    try:
        yield
    finally:
        _ends.at, _ends.renewal = before


def _renew() -> None:
    renewal: float | None = getattr(_ends, "renewal", None)
    if renewal is not None:
        _ends.at = time.monotonic() + renewal


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    """Seconds that an operation may take; raises `late` when there are none."""
    end: float | None = getattr(_ends, "at", None)
    if end is None:
        return timeout
    left = end - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left if timeout is None else min(timeout, left)


class _Network(httpcore2.NetworkBackend):
    """The client's own network, with deadlines."""

    def __init__(self) -> None:
        self._plain = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        with _within(timeout if timeout is not None else 3600.0):
            stream = self._connect(host, port, local_address, socket_options)
        _renew()
        return stream

    def _connect(
        self,
        host: str,
        port: int,
        local_address: str | None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in _resolve(host, port):
            left = _left(None, httpcore2.ConnectTimeout)
            try:
                return _Stream(
                    self._plain.connect_tcp(address, port, left, local_address, socket_options)
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


def _resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. A name server that hangs is left to a thread of its own."""
    found: list[str] = []
    failures: list[OSError] = []

    def look_up() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append(str(address[0]))
        except (OSError, UnicodeError) as error:
            failures.append(error if isinstance(error, OSError) else OSError("no such name"))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(None, httpcore2.ConnectTimeout))
    if thread.is_alive():
        raise httpcore2.ConnectTimeout("the name server does not answer")
    if failures:
        raise httpcore2.ConnectError(str(failures[0])) from failures[0]
    return list(dict.fromkeys(found))


class _Stream(httpcore2.NetworkStream):
    """A connection whose every operation ends in time."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        with _cut_off(self._inner.get_extra_info("socket"), timeout) as was_cut:
            try:
                encrypted = _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout))
                _renew()
                return encrypted
            except httpcore2.ConnectError:
                if was_cut():
                    raise httpcore2.ConnectTimeout("the TLS handshake took too long") from None
                raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


@contextmanager
def _cut_off(connection: socket.socket, seconds: float | None) -> Iterator[Callable[[], bool]]:
    """Shut a connection down when the block takes longer: a handshake has many reads."""
    cut = threading.Event()

    def shut() -> None:
        cut.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds if seconds is not None else 3600.0, shut)
    timer.daemon = True
    timer.start()
    try:
        yield cut.is_set
    finally:
        timer.cancel()
