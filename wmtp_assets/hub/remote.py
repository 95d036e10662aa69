"""The Hub over HTTP: huggingface_hub's API, URLs, token and client; our own rules for the bytes.

The token is read by huggingface_hub at every call (HF_TOKEN, or what `hf auth login` stored), put
into the headers of requests to the endpoint's own origin, and kept nowhere. Redirects are followed
by hand, so that it goes to no other host.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpcore2
import httpx2
from huggingface_hub import (
    DatasetInfo,
    HfApi,
    ModelInfo,
    constants,
    get_session,
    get_token,
    hf_hub_url,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

# Documented, though missing from the module's __all__:
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.files import RemoteFile, RepoId
from wmtp_assets.hub.refusals import HubError, Question, answer_to_error, public_url, scrub
from wmtp_assets.hub.retry import ComeBackError, Patience, Policy, persist, retry_after, stalled
from wmtp_assets.hub.source import RangeRefusedError

_LOG = logging.getLogger(__name__)
# The client writes every URL at INFO and every answer's headers at DEBUG; a storage host's URL is
# signed, and so as good as a password while it lasts.
logging.getLogger("httpx2").setLevel(logging.WARNING)
logging.getLogger("httpcore2").setLevel(logging.WARNING)
# Its reads of 64 KiB take as much of the processor as SHA-256 does; larger ones a third of that.
httpcore2.HTTP11Connection.READ_NUM_BYTES = 1 << 20

_LONGEST_CHAIN = 5  # redirects before we say that they go in circles
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_DEFAULT_PORT = {"http": 80, "https": 443}


class RemoteHub:
    """The Hub at HF_ENDPOINT (read at every call), or huggingface.co."""

    connections = 4

    def __init__(self, policy: Policy) -> None:
        _require_address(self.endpoint)
        self.policy = policy
        self._listings: dict[tuple[RepoId, str], list[RemoteFile]] = {}

    @property
    def endpoint(self) -> str:
        """Where requests go; may hold a user name, so it is printed only by way of `spec`."""
        return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")

    @property
    def spec(self) -> str:
        return public_url(self.endpoint)

    def head(self, repo: RepoId) -> str:
        return self._info(repo, None)[0]

    def resolve(self, repo: RepoId, revision: str) -> str:
        return self._info(repo, revision)[0]

    def files(self, repo: RepoId, revision: str) -> list[RemoteFile]:
        """Asks once for a commit, which cannot change; a branch is asked for every time."""
        if (repo, revision) in self._listings:
            return list(self._listings[repo, revision])
        return list(self._info(repo, revision)[1])

    def _info(self, repo: RepoId, revision: str | None) -> tuple[str, list[RemoteFile]]:
        """The commit that a revision names, and its files; one request, retried as needed."""
        question = Question(self.spec, repo, revision)

        commit, files = persist(
            lambda: _listing(self, question), Patience(self.policy, _LOG.warning)
        )
        self._listings[repo, commit] = files
        return commit, files

    def locate(self, repo: RepoId, commit: str, path: str) -> _RemotePlace:
        question = Question(self.spec, repo, commit, path)
        url = hf_hub_url(
            repo.name, path, repo_type=repo.kind, revision=commit, endpoint=self.endpoint
        )
        for _ in range(_LONGEST_CHAIN):
            with _translated(question, self.policy):
                answer = get_session().request(
                    "HEAD",
                    url,
                    headers=_headers_for(url, self.endpoint),
                    follow_redirects=False,
                    timeout=_timeout(self.policy),
                )
            if answer.status_code >= 400:
                raise answer_to_error(
                    question, answer.status_code, answer.headers, token=get_token()
                )
            onward = (
                urljoin(url, answer.headers["location"]) if answer.has_redirect_location else None
            )
            if onward is None or not _same_origin(onward, self.endpoint):
                return _place(self, question, answer.headers, onward or url)
            url = onward  # a renamed repository: the Hub's own redirect
        raise HubError("The Hub redirects in circles", where=question)


def _require_address(endpoint: str) -> None:
    """Raises HubError when it could be none. It may hold a password, and is not shown."""
    try:
        parts = urlsplit(endpoint)
        sound = parts.scheme in _DEFAULT_PORT and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        sound = False
    if not sound:
        raise HubError(
            "HF_ENDPOINT is not the address of a server",
            expected="an address such as https://huggingface.co",
            mend="correct HF_ENDPOINT, or unset it for the public Hub.",
        )


def _listing(hub: RemoteHub, question: Question) -> tuple[str, list[RemoteFile]]:
    with _translated(question, hub.policy):
        try:
            api = HfApi(endpoint=hub.endpoint)
            ask = api.model_info if question.repo.kind == "model" else api.dataset_info
            info: ModelInfo | DatasetInfo = ask(
                question.repo.name,
                revision=question.revision,
                timeout=hub.policy.stall,
                files_metadata=True,
            )
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ComeBackError(
                "The Hub's answer is not what its API documents",
                found=type(error).__name__,
                where=question,
                mend="check HF_ENDPOINT, and any proxy that stands between.",
            ) from None
    files = [
        RemoteFile(s.rfilename, s.size, s.lfs.sha256 if s.lfs else None, s.blob_id)
        for s in info.siblings or []
        if s.size is not None
    ]
    return str(info.sha), files


def _place(hub: RemoteHub, question: Question, headers: httpx2.Headers, url: str) -> _RemotePlace:
    commit = headers.get("x-repo-commit")
    if commit is None:
        raise HubError(
            "This server does not say which commit it serves",
            expected="an X-Repo-Commit header, as the Hub sends",
            found="none",
            where=question,
            mend="check HF_ENDPOINT and any proxy that stands between.",
        )
    size = headers.get("x-linked-size")
    if size is None and "location" not in headers:
        size = headers.get("content-length")
    etag = headers.get("x-linked-etag") or headers.get("etag")
    return _RemotePlace(
        hub, question, url, commit, etag, int(size) if size and size.isdecimal() else None
    )


@dataclass(frozen=True, repr=False)
class _RemotePlace:
    """A URL that serves one file; it may be signed, so it is never printed."""

    hub: RemoteHub
    question: Question
    url: str
    commit: str
    etag: str | None
    size: int | None

    @contextmanager
    def open(self, start: int, stop: int | None, if_range: str | None) -> Iterator[_RemoteBody]:
        wanted = {"accept-encoding": "identity"}
        if start or stop is not None:
            wanted["range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
            if if_range:
                wanted["if-range"] = if_range
        with _translated(self.question, self.hub.policy), self._answer(wanted) as answer:
            yield _body(self, answer)

    @contextmanager
    def _answer(self, wanted: dict[str, str]) -> Iterator[httpx2.Response]:
        """The answer to a GET; storage hosts may send on once more, without a token."""
        url = self.url
        for _ in range(_LONGEST_CHAIN):
            with get_session().stream(
                "GET",
                url,
                headers=_headers_for(url, self.hub.endpoint) | wanted,
                follow_redirects=False,
                timeout=_timeout(self.hub.policy),
            ) as answer:
                if not answer.has_redirect_location:
                    yield answer
                    return
                url = urljoin(url, answer.headers["location"])
        raise HubError("The Hub redirects in circles", where=self.question)


def _body(place: _RemotePlace, answer: httpx2.Response) -> _RemoteBody:
    status, headers = answer.status_code, answer.headers
    if status == 416:
        raise RangeRefusedError
    if status >= 400 and not _same_origin(str(answer.url), place.hub.endpoint):
        # A signed URL that has expired answers 403 (or 400, 401, 404): another is to be had.
        raise ComeBackError(
            f"The storage host refused a signed address (HTTP {status})",
            after=retry_after(headers.get("retry-after")),
            found=f"HTTP {status} from {public_url(str(answer.url.copy_with(path='/')))}",
            where=place.question,
        )
    if status >= 400:
        raise answer_to_error(place.question, status, headers, token=get_token())
    if status not in (200, 206) or headers.get("content-encoding", "identity") != "identity":
        raise HubError(
            "The server did not send the file's plain bytes",
            expected="HTTP 200 or 206 without Content-Encoding",
            found=f"HTTP {status}, {headers.get('content-encoding', 'no encoding')}",
            where=place.question,
            mend="check HF_ENDPOINT and any proxy that stands between.",
        )
    start, total = 0, None
    length = headers.get("content-length", "")
    if status == 206:
        span = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if span is None:
            raise HubError("A partial answer without a readable range", where=place.question)
        start = int(span.group(1))
        total = int(span.group(3)) if span.group(3) != "*" else None
    elif length.isdecimal():
        total = int(length)
    etag = headers.get("etag")
    return _RemoteBody(
        answer,
        start,
        status == 206,
        etag if etag and etag.startswith('"') else None,
        int(length) if length.isdecimal() else None,
        total,
    )


@dataclass(frozen=True, repr=False)
class _RemoteBody:
    answer: httpx2.Response
    start: int
    ranged: bool
    etag: str | None
    length: int | None
    total: int | None

    def chunks(self) -> Iterator[bytes]:
        return self.answer.iter_raw()


def _headers_for(url: str, endpoint: str) -> dict[str, str]:
    """huggingface_hub's headers; with the token only towards the endpoint's own origin."""
    return build_hf_headers(
        token=None if _same_origin(url, endpoint) else False, library_name="wmtp_assets"
    )


def _same_origin(url: str, other: str) -> bool:
    return _origin(url) == _origin(other)


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORT.get(parts.scheme)


def _timeout(policy: Policy) -> httpx2.Timeout:
    return httpx2.Timeout(policy.stall, connect=policy.connect, pool=None)


@contextmanager
def _translated(question: Question, policy: Policy) -> Iterator[None]:
    """Turn the client's exceptions into ours, and cut their chain: it may quote what was sent."""
    host = urlsplit(question.endpoint).netloc
    error: WmtpError
    try:
        yield
        return
    except HfHubHTTPError as caught:
        answer = caught.response
        error = answer_to_error(question, answer.status_code, answer.headers, token=get_token())
    except OfflineModeIsEnabled:
        error = HubError(
            "huggingface_hub is told to stay offline",
            found="HF_HUB_OFFLINE is set",
            where=question,
            mend="unset HF_HUB_OFFLINE, or set WMTP_HUB to a directory mirror.",
        )
    except httpx2.ConnectError as caught:
        error = _unreachable(question, host, scrub(str(caught), get_token()))
    except httpx2.ConnectTimeout:
        error = _unreachable(question, host, "no answer in time")
    except httpx2.TimeoutException:
        error = stalled(f"no byte for {policy.stall:g} s", question)
    except httpx2.TransportError as caught:
        error = ComeBackError(
            "The connection broke off",
            found=f"{type(caught).__name__}: {scrub(str(caught), get_token())}",
            where=question,
        )
    except (HFValidationError, httpx2.InvalidURL) as caught:
        error = HubError(
            "huggingface_hub does not accept this question",
            found=scrub(str(caught), get_token()),
            where=question,
            mend="correct HF_ENDPOINT, or the name in the catalog.",
        )
    raise error from None


def _unreachable(question: Question, host: str, why: str) -> ComeBackError:
    return ComeBackError(
        f"Cannot reach {host}",
        expected="a connection",
        found=why,
        where=question,
        mend="check the network, HF_ENDPOINT and HTTPS_PROXY; without a network set WMTP_HUB to "
        "a directory mirror (`wmtp mirror DIR` makes one).",
    )
