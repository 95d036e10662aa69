"""The Hub over HTTP: huggingface_hub's URLs, token and names; our own requests and rules.

The token is read at every call (HF_TOKEN, or what `hf auth login` stored), put into the headers of
requests to the endpoint's own origin (and to huggingface.co, where a mirror redirects to it), and
kept nowhere. Redirects are followed by hand, so that it goes to no other host.

A commit is held to: every answer that names one must name the one that was asked for.
"""

from __future__ import annotations

import base64
import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import httpcore2
from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import HFValidationError

# Documented, though missing from the module's __all__:
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub import addresses, client_settings
from wmtp_assets.hub.addresses import Address, BadAddressError
from wmtp_assets.hub.api import LARGEST, Listing, UnreadableAnswerError, read_listing
from wmtp_assets.hub.files import RemoteFile, RepoId
from wmtp_assets.hub.headers import (
    BETWEEN,
    content_length,
    requested_range,
    require_commit,
    size_and_etag,
    stated_commit,
    strong_etag,
)
from wmtp_assets.hub.refusals import (
    ClientSetupError,
    HubError,
    HubRequest,
    RangeRefusedError,
    answer_to_error,
    public_url,
    scrub,
)
from wmtp_assets.hub.retry import (
    Policy,
    Retries,
    RetryableError,
    retry_after,
    stalled,
    with_retries,
)
from wmtp_assets.hub.wire import Answer, BadEncodingError, BodyTooLargeError, Headers, ask

_LOG = logging.getLogger(__name__)
# A storage host's URL is signed, and so as good as a password while it lasts.
logging.getLogger("httpcore2").setLevel(logging.WARNING)

_LONGEST_CHAIN = 8  # redirects before we say that they go in circles

_OF_A_HOST = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    httpcore2.TimeoutException,
)

_warned: set[str] = set()  # endpoints whose lack of encryption was mentioned


class RemoteHub:
    """The Hub at HF_ENDPOINT (read at every call), or huggingface.co."""

    connections = 4

    def __init__(self, policy: Policy) -> None:
        _require_address(self.endpoint)
        self.policy = policy
        self._listings: dict[tuple[RepoId, str], tuple[RemoteFile, ...]] = {}

    @property
    def endpoint(self) -> str:
        """Where requests go; may hold a user name, so it is printed only by way of `spec`."""
        return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")

    @property
    def spec(self) -> str:
        return public_url(self.endpoint)

    def head(self, repo: RepoId) -> str:
        return self._info(repo, None).commit

    def resolve(self, repo: RepoId, revision: str) -> str:
        """Raises AnotherCommitError where a commit is asked for and another one is answered."""
        return self._info(repo, revision).commit

    def files(self, repo: RepoId, revision: str) -> list[RemoteFile]:
        """Asks once for a commit, which cannot change; a branch is asked for every time."""
        if (repo, revision) in self._listings:
            return list(self._listings[repo, revision])
        return list(self._info(repo, revision).files)

    def _info(self, repo: RepoId, revision: str | None) -> Listing:
        """The commit that a revision names, and its files; one request, retried as needed."""
        request = HubRequest(self.spec, repo, revision)
        listing = with_retries(lambda: _listing(self, request), Retries(self.policy, _LOG.warning))
        self._listings[repo, listing.commit] = listing.files
        return listing

    def locate(self, repo: RepoId, commit: str, path: str) -> _RemotePlace:
        request = HubRequest(self.spec, repo, commit, path)
        with _translated(request, self.policy):
            url = hf_hub_url(
                repo.name, path, repo_type=repo.kind, revision=commit, endpoint=self.endpoint
            )
            with self._follow("HEAD", url, request, {"accept-encoding": "identity"}) as last:
                return _place(self, request, last)

    @contextmanager
    def _follow(
        self, method: str, url: str, request: HubRequest, wanted: Mapping[str, str]
    ) -> Iterator[_Last]:
        """The answer at the end of a chain of redirects.

        A HEAD stops at the redirect to a storage host: what the Hub knows of the file is in that
        answer, and its address is where the bytes are.
        """
        commits: set[str] = set()
        for _ in range(_LONGEST_CHAIN):
            headers = _headers_for(url, self.endpoint)
            headers.update(wanted)
            with _naming(url), ask(method, url, headers, self.policy) as answer:
                commits |= stated_commit(answer.headers)
                require_commit(request, commits)
                location = answer.location
                if location is None:
                    yield _Last(answer, url, commits)
                    return
                target = _onward(url, location, request)
                if method == "HEAD" and commits and not self._is_hub(target):
                    yield _Last(answer, target, commits)
                    return
                url = target
        raise HubError(
            "The Hub redirects in circles",
            expected=f"an answer within {_LONGEST_CHAIN} redirects",
            where=request,
            hint=BETWEEN,
        )

    def _is_hub(self, url: str) -> bool:
        origin = Address.of(url).origin
        return origin == Address.of(self.endpoint).origin or origin in addresses.KNOWN_HUBS


@dataclass(frozen=True, repr=False)
class _Last:
    """The last answer of a chain, the address that it is (or leads to), the commits named."""

    answer: Answer
    url: str
    commits: set[str]


def _require_address(endpoint: str) -> None:
    """Raises HubError when it could be none. It may hold a password, and is not shown."""
    try:
        Address.of(endpoint)
    except BadAddressError:
        raise HubError(
            "HF_ENDPOINT is not the address of a server",
            expected="an address such as https://huggingface.co",
            hint="correct HF_ENDPOINT, or unset it for the public Hub.",
        ) from None


def _listing(hub: RemoteHub, request: HubRequest) -> Listing:
    url = f"{hub.endpoint}/api/{request.repo.folder}"
    if request.revision is not None:
        url += f"/revision/{quote(request.revision, safe='')}"
    with (
        _translated(request, hub.policy),
        hub._follow("GET", url + "?blobs=true", request, {"accept-encoding": "gzip"}) as last,
    ):
        answer = last.answer
        if answer.status >= 400:
            raise _refused(request, answer)
        try:
            if answer.status != 200:
                raise UnreadableAnswerError(f"HTTP {answer.status}")
            listing = read_listing(answer.read(LARGEST, hub.policy.answer))
        except (UnreadableAnswerError, BadEncodingError, BodyTooLargeError) as error:
            raise RetryableError(
                "The Hub's answer is not what its API documents",
                expected=f"at most {LARGEST:,} bytes of JSON",
                found="more" if isinstance(error, BodyTooLargeError) else str(error),
                where=request,
                hint=BETWEEN,
            ) from None
    require_commit(request, {listing.commit, *last.commits})
    return listing


def _place(hub: RemoteHub, request: HubRequest, last: _Last) -> _RemotePlace:
    answer, headers = last.answer, last.answer.headers
    if answer.status >= 400:
        raise _refused(request, answer)
    if answer.status != 200 and answer.location is None:
        raise _not_understood(request, answer)
    if not last.commits:
        raise HubError(
            "This server does not say which commit it serves",
            expected="an X-Repo-Commit header, as the Hub sends",
            found="none",
            where=request,
            hint=BETWEEN,
        )
    size, etag = size_and_etag(headers, whole=answer.location is None)
    (commit,) = last.commits
    return _RemotePlace(hub, request, last.url, commit, etag, size)


@dataclass(frozen=True, repr=False)
class _RemotePlace:
    """A URL that serves one file; it may be signed, so it is never printed."""

    hub: RemoteHub
    request: HubRequest
    url: str
    commit: str
    etag: str | None
    size: int | None

    @contextmanager
    def open(self, start: int, stop: int | None, if_range: str | None) -> Iterator[_RemoteBody]:
        wanted = {"accept-encoding": "identity"}
        ranged = bool(start) or stop is not None
        if ranged:
            wanted["range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
            if if_range:
                wanted["if-range"] = if_range
        with (
            _translated(self.request, self.hub.policy),
            self.hub._follow("GET", self.url, self.request, wanted) as last,
        ):
            asked = (start, stop) if ranged else None
            yield _body(self, last, asked)


def _body(place: _RemotePlace, last: _Last, asked: tuple[int, int | None] | None) -> _RemoteBody:
    """An answer with bytes. `asked` is the range, its end exclusive; None for the whole file."""
    answer = last.answer
    status, headers, request = answer.status, answer.headers, place.request
    if status == 416:
        raise RangeRefusedError
    if status >= 400 and not place.hub._is_hub(last.url):
        # A signed URL that has expired answers 403 (or 400, 401, 404): a new one can be requested.
        raise RetryableError(
            f"The storage host refused a signed address (HTTP {status})",
            after=retry_after(headers.get("retry-after")),
            found=f"HTTP {status} from {Address.of(last.url).authority}",
            where=request,
        )
    if status >= 400:
        raise _refused(request, answer)
    if status not in (200, 206) or headers.get("content-encoding", "identity") != "identity":
        raise _not_understood(request, answer)
    length = content_length(headers)
    start, total = 0, length
    if status == 206:
        start, total = requested_range(request, headers, asked)
    return _RemoteBody(
        answer, start, status == 206, strong_etag(headers.get("etag")), length, total
    )


@dataclass(frozen=True, repr=False)
class _RemoteBody:
    answer: Answer
    start: int
    ranged: bool
    etag: str | None
    length: int | None
    total: int | None

    def chunks(self) -> Iterator[bytes]:
        return self.answer.chunks()


def _refused(request: HubRequest, answer: Answer) -> WmtpError:
    return answer_to_error(request, answer.status, answer.headers, token=client_settings.token())


def _not_understood(request: HubRequest, answer: Answer) -> HubError:
    encoding = scrub(answer.headers.get("content-encoding", "no encoding"), None)
    return HubError(
        "The server did not send the file's plain bytes",
        expected="HTTP 200 or 206 without Content-Encoding",
        found=f"HTTP {answer.status}, {encoding}",
        where=request,
        hint=BETWEEN,
    )


def _onward(url: str, location: str, request: HubRequest) -> str:
    try:
        return addresses.onward(url, location)
    except BadAddressError as error:
        raise HubError(
            "The server redirects to an address that is not followed",
            expected="an http or https address, and https from https",
            found=error,
            where=request,
            hint=BETWEEN,
        ) from None


def _headers_for(url: str, endpoint: str) -> Headers:
    """huggingface_hub's headers; with the token only towards the endpoint and huggingface.co."""
    client_settings.require_online()
    headers = Headers(build_hf_headers(token=False, library_name="wmtp_assets"))
    there, home = Address.of(url), Address.of(endpoint)
    if there.origin == home.origin and home.user is not None:
        login = f"{unquote(home.user)}:{unquote(home.password or '')}"
        headers["authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    elif there.origin in (home.origin, addresses.HUB) and client_settings.token():
        headers["authorization"] = f"Bearer {client_settings.token()}"
        if there.scheme == "http" and not there.is_loopback and there.authority not in _warned:
            _warned.add(there.authority)
            _LOG.warning(
                "the token is sent to %s without encryption; name an https:// address in "
                "HF_ENDPOINT, or set HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to send none",
                there.authority,
            )
    return headers


# What goes wrong on the wire.


@contextmanager
def _naming(url: str) -> Iterator[None]:
    """Let an exception of the client say which host it is about: a redirect may lead to another."""
    try:
        yield
    except _OF_A_HOST as caught:
        if not getattr(caught, "__notes__", None):
            caught.add_note(Address.of(url).authority)
        raise


@contextmanager
def _translated(request: HubRequest, policy: Policy) -> Iterator[None]:
    """Turn the client's exceptions into ours, and cut their chain: it may quote what was sent."""
    error: WmtpError
    seen: Exception
    try:
        yield
        return
    except httpcore2.ConnectError as caught:
        seen = caught
        host = _host(caught, request)
        error = _tls_error(caught, host, request) or _unreachable(request, host, _words(caught))
    except httpcore2.ConnectTimeout as caught:
        seen = caught
        why = f"no answer in time {_words(caught)}".strip()
        error = _unreachable(request, _host(caught, request), why)
    except httpcore2.ProxyError as caught:
        seen = caught
        error = _proxy_error(request, _host(caught, request), _words(caught))
    except httpcore2.TimeoutException as caught:
        seen = caught
        error = stalled(f"no byte for {policy.stall:g} s", request)
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as caught:
        seen = caught
        error = RetryableError(
            "The connection broke off",
            found=f"{type(caught).__name__}: {_words(caught)}",
            where=request,
        )
    except (BadEncodingError, BadAddressError, HFValidationError) as caught:
        seen = caught
        error = HubError(
            "huggingface_hub does not accept this request",
            found=_words(caught),
            where=request,
            hint="correct HF_ENDPOINT, or the name in the catalog.",
        )
    _without_frames(seen)
    raise error from None


def _without_frames(caught: BaseException) -> None:
    """Drop the frames of an exception and of those behind it: their locals hold what was sent."""
    seen: BaseException | None = caught
    while seen is not None and seen.__traceback__ is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__


def _host(caught: BaseException, request: HubRequest) -> str:
    """The host that `_naming` named, else the endpoint's."""
    notes: list[str] = getattr(caught, "__notes__", [])
    return notes[0] if notes else public_url(request.endpoint).partition("://")[2]


def _words(caught: Exception) -> str:
    try:
        secret = client_settings.token()
    except ClientSetupError:
        secret = None
    return scrub(str(caught), secret)


def _tls_error(caught: BaseException, host: str, request: HubRequest) -> ClientSetupError | None:
    """What a certificate that is not trusted means; None for another failure."""
    cause: BaseException | None = caught
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    named = " and ".join(client_settings.certificates()) or "the system's authorities"
    return ClientSetupError(
        f"The certificate of {host} is not trusted",
        expected=f"one that {named} vouch for",
        found=cause.verify_message,
        where=request,
        hint="if a proxy of your organization is in between, set SSL_CERT_FILE (or "
        "REQUESTS_CA_BUNDLE) to the PEM file with its authority's certificate; else check "
        "HF_ENDPOINT and this machine's clock.",
    )


def _proxy_error(request: HubRequest, host: str, why: str) -> WmtpError:
    if why[:1] == "4":
        return ClientSetupError(
            f"The proxy refuses to connect to {host}",
            found=why,
            where=request,
            hint="check user and password in HTTPS_PROXY (or HTTP_PROXY, ALL_PROXY), unset it, or "
            "list the host in NO_PROXY.",
        )
    return _unreachable(request, host, f"the proxy says {why}")


def _unreachable(request: HubRequest, host: str, why: str) -> RetryableError:
    proxy = _proxy_variable(request, host)
    through = f" through the proxy that {proxy} names" if proxy else ""
    return RetryableError(
        f"Cannot reach {host}{through}",
        expected="a connection",
        found=why,
        where=request,
        hint=f"check the network, HF_ENDPOINT and {proxy or 'HTTPS_PROXY'}; without a network set "
        "WMTP_HUB to a directory mirror (`wmtp mirror DIR` makes one).",
    )


def _proxy_variable(request: HubRequest, host: str) -> str | None:
    """The variable that names the proxy on the way to `host`, as `_host` gives it."""
    scheme = urlsplit(request.endpoint).scheme
    try:
        parts = urlsplit(f"{scheme}://{host}")
        port = parts.port or (443 if scheme == "https" else 80)
    except ValueError:
        return None
    return client_settings.proxy_variable(scheme, parts.hostname or "", port)
