"""What the environment says of the client: token, offline mode, certificates, proxies.

Read anew for every request. Each mistake in it is one `ClientSetupError` that names the variable,
and none is tried again: nothing but a person changes it.

| variable | meaning |
| --- | --- |
| HF_TOKEN, HF_TOKEN_PATH | the token, as huggingface_hub finds it |
| HF_HUB_DISABLE_IMPLICIT_TOKEN | no token is sent |
| HF_HUB_OFFLINE | nothing is asked of the Hub |
| SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE | trusted authorities, instead of the system's |
| HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY | proxies; lower case counts as well |
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore2
from huggingface_hub import constants, get_token
from huggingface_hub.errors import DeviceCodeError, OIDCError

from wmtp_assets.hub.refusals import ClientSetupError

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_TOKEN = re.compile(r"[\x21-\x7e]+")
_SOCKS = frozenset({"socks5", "socks5h"})
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def is_set(name: str) -> bool:
    """Whether a variable of huggingface_hub's is switched on."""
    return os.environ.get(name, "").upper() in _TRUE


def token() -> str | None:
    """The token that is sent, None where none is. Raises ClientSetupError for one that cannot be.

    The message never shows it.
    """
    if is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN"):
        return None
    problem = _token_problem()
    if problem is not None:
        raise problem
    return get_token()


def _token_problem() -> ClientSetupError | None:
    """Returned, not raised: a traceback from here would hold the token."""
    try:
        found = get_token()
    except (OIDCError, DeviceCodeError):
        return ClientSetupError(
            "huggingface_hub could not obtain a token",
            where="HF_OIDC_RESOURCE" if os.environ.get("HF_OIDC_RESOURCE") else "its own login",
            hint="unset HF_OIDC_RESOURCE or run `hf auth login` again, or set HF_TOKEN.",
        )
    except (OSError, UnicodeDecodeError) as error:
        return ClientSetupError(
            "The stored token cannot be read",
            found=type(error).__name__,
            where=constants.HF_TOKEN_PATH,
            hint="correct the file's rights or run `hf auth login` again, or set HF_TOKEN.",
        )
    if found is None or _TOKEN.fullmatch(found):
        return None
    at = next(n for n, c in enumerate(found, 1) if not _TOKEN.fullmatch(c))
    return ClientSetupError(
        "The token holds a character that no token has",
        expected="letters, digits and underscores",
        found=f"{_what(found[at - 1])} as character {at} of {len(found)}",
        where="HF_TOKEN" if os.environ.get("HF_TOKEN") else constants.HF_TOKEN_PATH,
        hint="copy the token again and set HF_TOKEN to it, or unset HF_TOKEN for public files.",
    )


def _what(character: str) -> str:
    if character.isspace():
        return "white space"
    return "a control character" if character.isascii() else "a character beyond ASCII"


def require_online() -> None:
    """Raises ClientSetupError where huggingface_hub is set to stay offline."""
    if constants.is_offline_mode() or is_set("HF_HUB_OFFLINE"):
        raise ClientSetupError(
            "huggingface_hub is set to stay offline",
            found="HF_HUB_OFFLINE is set",
            hint="unset HF_HUB_OFFLINE, or set WMTP_HUB to a directory mirror.",
        )


# Certificates.


def certificates() -> dict[str, str]:
    """The variables that name trusted authorities, with their values."""
    return {name: os.environ[name] for name in CERTIFICATES if os.environ.get(name)}


def certificates_key() -> tuple[tuple[str, str, int], ...]:
    """Changes when what `tls` reads may have changed."""
    return tuple(
        (name, value, Path(value).stat().st_mtime_ns if Path(value).exists() else 0)
        for name, value in certificates().items()
    )


def tls() -> ssl.SSLContext:
    """Whom to trust: the authorities of all variables that are set, else the system's.

    Raises ClientSetupError for a file that is not there or holds no certificate.
    """
    named = certificates()
    if not named:
        return httpcore2.default_ssl_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name, value in named.items():
        path = Path(value)
        try:
            if path.is_dir():
                context.load_verify_locations(capath=value)
                continue
            if name == "SSL_CERT_DIR":
                raise NotADirectoryError("no such folder")
            context.load_verify_locations(cafile=value)
        except (OSError, ValueError) as error:
            missing = not path.exists()
            raise ClientSetupError(
                f"{name} names no readable certificates",
                expected="a folder of certificates"
                if name == "SSL_CERT_DIR"
                else "a file of certificates in PEM format",
                found="nothing there" if missing else _why_not_pem(error),
                where=value,
                hint=f"correct {name}, or unset it to trust the system's authorities.",
            ) from None
    return context


def _why_not_pem(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "no certificate in PEM format"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


# Proxies.


def proxy_for(scheme: str, host: str, port: int) -> httpcore2.Proxy | None:
    """The proxy that a request to this origin goes through. Raises ClientSetupError."""
    variable = proxy_variable(scheme, host, port)
    return None if variable is None else _proxy(variable, os.environ[variable].strip())


def proxy_variable(scheme: str, host: str, port: int) -> str | None:
    """The variable that names the proxy for this origin, None where none is used."""
    if _is_exempt(host, port):
        return None
    names = (f"{scheme}_proxy", "all_proxy")
    spelled = (variable for name in names for variable in (name, name.upper()))
    return next((v for v in spelled if os.environ.get(v, "").strip()), None)


def _proxy(variable: str, value: str) -> httpcore2.Proxy:
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        port = parts.port or _PORTS[parts.scheme]
        host = (parts.hostname or "").encode("idna")
        sound = bool(host) and parts.scheme in _PORTS
    except (ValueError, KeyError):
        sound = False
    if not sound:
        raise ClientSetupError(
            f"{variable} is not the address of a proxy",
            expected="an address such as http://proxy.example:3128",
            hint=f"correct {variable}, or unset it; NO_PROXY lists hosts to reach directly.",
        )
    if parts.scheme in _SOCKS and find_spec("socksio") is None:
        raise ClientSetupError(
            f"{variable} names a SOCKS proxy, for which a package is missing",
            expected="the package socksio, or an http:// proxy",
            found=f"a {parts.scheme}:// address",
            hint=f"`pip install socksio`, or unset {variable}; NO_PROXY lists hosts to reach "
            "directly.",
        )
    return httpcore2.Proxy(
        httpcore2.URL(scheme=parts.scheme.encode(), host=host, port=port, target=b"/"),
        auth=_credentials(parts),
    )


def _credentials(parts: SplitResult) -> tuple[bytes, bytes] | None:
    if parts.username is None:
        return None
    return unquote(parts.username).encode(), unquote(parts.password or "").encode()


def _is_exempt(host: str, port: int) -> bool:
    """Whether NO_PROXY names a host: by name, by domain, by address or network, or all (`*`)."""
    text = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for entry in (part.strip().lower() for part in text.split(",")):
        if not entry:
            continue
        if entry == "*" or _is_within(host, entry):
            return True
        name, _, only = entry.rpartition(":") if re.search(r"[^:]:\d+$", entry) else (entry, "", "")
        if only and int(only) != port:
            continue
        name = name.strip("[]").lstrip(".")
        if host == name or host.endswith(f".{name}"):
            return True
    return False


def _is_within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False
