"""Every way in which the Hub refuses, and what a person does about each.

Six refusals that look alike in other tools (no token, a token without access, blocked, no such
repository, revision, file) are six classes here, each with the page to open. Whatever the server
stated is shown only after `scrub`, so that no token or signed URL is ever part of a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.files import RepoId
from wmtp_assets.hub.retry import RetryableError, retry_after

_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_WAIT_IN_RATELIMIT = re.compile(r"(?:^|;)\s*t\s*=\s*([0-9]{1,9})(?![0-9])")
_LONGEST_QUOTE = 200  # characters of upstream's own text that a message repeats


class HubError(WmtpError):
    """The source of the bytes answered in a way that another try will not change."""


class AnotherCommitError(HubError):
    """The source answers with another commit than the one that was asked for."""


class ClientSetupError(HubError):
    """The environment (token, certificates, proxies) keeps every request from being made."""


class RangeRefusedError(Exception):
    """The source will not send the range that was asked for (an HTTP 416)."""


class HubRefusalError(HubError):
    """The Hub says no; the subclass says to what."""


class NoTokenError(HubRefusalError):
    """The Hub requires a login, and no token, or none that it accepts, was sent."""


class TokenWithoutAccessError(HubRefusalError):
    """The repository is gated, and this account has not been let in."""


class BlockedError(HubRefusalError):
    """The Hub forbids it for a reason other than the gate."""


class NoSuchRepoError(HubRefusalError):
    """There is no such repository, or none that this account may see."""


class NoSuchRevisionError(HubRefusalError):
    """The repository has no such branch, tag or commit."""


class NoSuchFileError(HubRefusalError):
    """The repository has no such file at this revision."""


@dataclass(frozen=True)
class HubRequest:
    """A request to the Hub, as messages name it. `endpoint` without user names or queries."""

    endpoint: str
    repo: RepoId
    revision: str | None = None
    path: str | None = None

    @property
    def page(self) -> str:
        return f"{self.endpoint}/{self.repo.page}"

    def __str__(self) -> str:
        at = f" at {self.revision}" if self.revision else ""
        return f"{self.path} of {self.page}{at}" if self.path else f"{self.page}{at}"


def answer_to_error(
    request: HubRequest,
    status: int,
    headers: Mapping[str, str],
    *,
    token: str | None,
) -> WmtpError:
    """The error that an HTTP answer of the Hub (status 400 and up) stands for.

    `headers` must be case-insensitive or lower-case. The token is only looked at to know whether
    one was sent and to keep it out of the message.
    """
    stated = scrub(headers.get("x-error-message", ""), token)
    withheld = os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN") and not token
    found = f"HTTP {status}" + (f", {stated!r}" if stated else "")
    if status in _TRANSIENT_STATUS:
        busy = "limits the rate" if status == 429 else "has trouble"
        return RetryableError(
            f"The Hub {busy} (HTTP {status})",
            after=retry_after(headers.get("retry-after")) or _ratelimit_wait(headers),
            expected="an answer",
            found=found,
            where=request,
        )
    kind, problem, hint = _refusal(request, status, headers, has_token=bool(token))
    if withheld and kind in (NoTokenError, NoSuchRepoError):
        hint = (
            "HF_HUB_DISABLE_IMPLICIT_TOKEN is set, so that no token is sent: unset it. Then: "
            + hint
        )
    return kind(problem, found=found, where=request, hint=hint)


def _refusal(
    request: HubRequest, status: int, headers: Mapping[str, str], *, has_token: bool
) -> tuple[type[HubError], str, str]:
    code = headers.get("x-error-code", "")
    tokens = f"{request.endpoint}/settings/tokens"
    gated = code == "GatedRepo"
    if code == "RevisionNotFound":
        return (
            NoSuchRevisionError,
            f"{request.repo} has no revision {request.revision}",
            f"see the commits at {request.page}/commits/main and correct the catalog's revision.",
        )
    if code == "EntryNotFound":
        return (
            NoSuchFileError,
            f"{request.repo} has no file {request.path} at this revision",
            f"see the files at {request.page}/tree/{request.revision or 'main'} and correct "
            "the catalog.",
        )
    if code == "RepoNotFound" or (status == 404 and request.path is None):
        hint = "" if has_token else f" If it is private, set HF_TOKEN (make one at {tokens})."
        return (
            NoSuchRepoError,
            f"There is no {request.repo.kind} {request.repo}, or it is not shown to you",
            f"open {request.page} in a browser and correct the name in the catalog.{hint}",
        )
    if status == 404:
        return (
            NoSuchFileError,
            f"{request.path} was not found in {request.repo} (the server says no more)",
            f"see the files at {request.page}/tree/{request.revision or 'main'}.",
        )
    if (status == 401 or gated) and not has_token:
        why = "is gated" if gated else "is not open to anonymous readers"
        return (
            NoTokenError,
            f"{request.repo} {why}, and no token was sent",
            f"accept the licence at {request.page}, make a token with read access at {tokens}, "
            "and set HF_TOKEN (or run `hf auth login`).",
        )
    if gated:
        return (
            TokenWithoutAccessError,
            f"{request.repo} is gated, and the account of this token has not been let in",
            f"open {request.page} with the same account and accept the licence, or wait until "
            "the authors grant it; then run the same command again.",
        )
    if status == 401:
        return (
            NoTokenError,
            "The Hub does not accept this token (mistyped, expired or revoked)",
            f"make a new one at {tokens} and set HF_TOKEN, or unset it for public files.",
        )
    if status in (403, 451):
        return (
            BlockedError,
            f"Access to {request.repo} is blocked, and not by its gate",
            f"see whether {request.page} opens in a browser; a fine-grained token needs read "
            f"access to gated repositories ({tokens}); a proxy, a region or the Hub's staff may "
            "also block.",
        )
    return (
        HubError,
        "The Hub gave an answer that is not understood",
        f"see whether {request.page} opens in a browser, and what is in between (a proxy?).",
    )


def _ratelimit_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds until the window of the Hub's own RateLimit header (`"api";r=0;t=55`) resets."""
    found = _WAIT_IN_RATELIMIT.search(headers.get("ratelimit", ""))
    return float(found.group(1)) if found else None


def scrub(text: str, token: str | None) -> str:
    """Upstream's text, fit to print: no token, no control characters, no long tail."""
    if token:
        text = text.replace(token, "(token)")
    text = re.sub(r"hf_[A-Za-z0-9]{8,}", "(token)", text)
    text = re.sub(r"(https?://[^\s?]+)\?\S+", r"\1?(query left out)", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."


def public_url(url: str) -> str:
    """A URL without the user, query and fragment, which may hold credentials."""
    parts = urlsplit(url)  # of an address that was found to be one
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}".rstrip("/")
