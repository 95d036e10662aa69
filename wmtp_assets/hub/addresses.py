"""Which addresses are asked, which redirects are followed, and which of them get the token."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

Origin = tuple[str, str, int]

_PORTS = {"http": 80, "https": 443}
HUB: Origin = ("https", "huggingface.co", 443)
KNOWN_HUBS: frozenset[Origin] = frozenset(
    {HUB, ("https", "hf.co", 443), ("https", "hub-ci.huggingface.co", 443)}
)
"""Origins of the Hub itself. A mirror may redirect to them, and what they say of a file counts."""

# Schemes that a message names; anything else before a colon may be part of a secret.
_OTHERS = frozenset({"file", "ftp", "ftps", "git", "mailto", "s3", "ssh", "unix", "ws", "wss"})
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")
_LONGEST = 16 << 10  # characters; signed addresses have some 2,000
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


class BadAddressError(ValueError):
    """An address that is not asked; the message says why and quotes nothing of it."""


@dataclass(frozen=True, repr=False)
class Address:
    """An http or https address in parts; `target` is path and query, quoted. Never printed."""

    scheme: str
    host: str
    port: int
    target: str
    user: str | None = None
    password: str | None = None

    @property
    def origin(self) -> Origin:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        """For the Host header: a port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return _LOOPBACK.fullmatch(self.host) is not None

    @classmethod
    def of(cls, url: str) -> Address:
        """The parts of `url`. Raises BadAddressError."""
        if len(url) > _LONGEST:
            raise BadAddressError(f"an address of {len(url):,} characters")
        if _UNSAFE.search(url):
            raise BadAddressError("white space or a control character in the address")
        try:
            parts = urlsplit(url)
            port = parts.port
            host = (parts.hostname or "").encode("idna").decode("ascii").lower()
        except ValueError:
            raise BadAddressError("an address that cannot be read") from None
        if parts.scheme not in _PORTS:
            if parts.scheme in _OTHERS:
                raise BadAddressError(f"the scheme {parts.scheme}, not http or https")
            raise BadAddressError("an address that does not begin with http:// or https://")
        if not host or port == 0:
            raise BadAddressError("an address without a host" if not host else "port 0")
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if parts.query:
            target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?[]{}|^`\\\"<>")
        return cls(
            parts.scheme, host, port or _PORTS[parts.scheme], target, parts.username, parts.password
        )


def onward(url: str, location: str) -> str:
    """Where a redirect from `url` leads. Raises BadAddressError where that is not followed."""
    try:  # a header's bytes are read as Latin-1; an address beyond ASCII is sent as UTF-8
        location = location.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        raise BadAddressError("an address that is not text") from None
    if not location or _UNSAFE.search(location):
        raise BadAddressError("white space or a control character in the address, or nothing")
    try:
        target = urljoin(url, location)
    except ValueError:
        raise BadAddressError("an address that cannot be read") from None
    there = Address.of(target)
    if there.user is not None:
        raise BadAddressError("an address with a user name")
    if Address.of(url).scheme == "https" and there.scheme != "https":
        raise BadAddressError("an address without encryption, from one with it")
    return target
