"""The response headers that are trusted, for what, and in which form. No other one is read.

- `X-Repo-Commit`: the commit that is served. One must be stated by the time that a file is located,
  and all that are stated on the way must be the one that was asked for.
- `X-Linked-Size` and `X-Linked-ETag`, else `Content-Length` and `ETag`: the file's size, and a name
  for its content. What arrives is counted and hashed all the same.
- `Content-Length` and `Content-Range` of bytes: which part of the file they are.
- `ETag` of bytes, where it is a strong validator: sent back as `If-Range` when a fetch goes on.
- `Content-Encoding`: bytes of a file must have none.
- `Location` (`addresses.py`): where to ask next; the token goes to the Hub's own origins only.
- `Retry-After`, `RateLimit`, `X-Error-Code`, `X-Error-Message` (`retry.py`, `refusals.py`): how
  long to wait, and what an error says.

A header in another form counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wmtp_assets.hub.files import is_commit
from wmtp_assets.hub.refusals import AnotherCommitError, HubRequest, scrub
from wmtp_assets.hub.retry import RetryableError

BETWEEN = "check HF_ENDPOINT, and any proxy or cache in between."

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_NUMBER = re.compile(r"[0-9]{1,18}")
_PLAIN = re.compile(r"[\x21-\x7e]{1,512}")
_STRONG = re.compile(r'"[\x21\x23-\x7e]{0,510}"')


def stated_commit(headers: Mapping[str, str]) -> set[str]:
    """The commit that an answer states, or none."""
    stated = headers.get("x-repo-commit")
    return set() if stated is None else {stated}


def require_commit(request: HubRequest, commits: set[str]) -> None:
    """Raises AnotherCommitError when an answer names another commit than was asked for."""
    asked = request.revision
    others = commits - {asked} if asked is not None and is_commit(asked) else set()
    if others or len(commits) > 1:
        raise AnotherCommitError(
            "Upstream serves another commit than was asked for",
            expected=asked,
            found=", ".join(scrub(ascii(other)[:60], None) for other in sorted(others or commits)),
            where=request,
            hint="run it again; if it goes on, a cache between here and the Hub is stale.",
        )


def size_and_etag(headers: Mapping[str, str], whole: bool) -> tuple[int | None, str | None]:
    """Size in bytes and ETag of a file, as the answer to a HEAD states them; `whole`: it was
    answered by the file itself, not by a redirect to it."""
    size = headers.get("x-linked-size")
    if size is None and whole and "content-encoding" not in headers:
        size = headers.get("content-length")
    etag = plain_etag(headers.get("x-linked-etag")) or plain_etag(headers.get("etag"))
    return _number(size), etag


def content_length(headers: Mapping[str, str]) -> int | None:
    """How many bytes an answer has, where it says so."""
    return _number(headers.get("content-length"))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def requested_range(
    request: HubRequest,
    headers: Mapping[str, str],
    asked: tuple[int, int | None] | None,
) -> tuple[int, int | None]:
    """Where a partial answer begins, and the size of the file, once it is what was asked for.

    The caller checks that as many bytes come.
    """
    text = headers.get("content-range", "")
    span = _CONTENT_RANGE.fullmatch(text)
    problem = "" if asked is not None else "a part where the whole file was asked for"
    start = end = 0
    total: int | None = None
    if span is None:
        problem = problem or f"{scrub(ascii(text)[:80], None)} as its range"
    else:
        start, end = int(span[1]), int(span[2]) + 1
        total = int(span[3]) if span[3] != "*" else None
        beyond = total is not None and end > total
        too_far = asked is not None and asked[1] is not None and end > asked[1]
        elsewhere = asked is not None and start != asked[0]
        if end <= start or beyond or too_far or elsewhere:
            problem = problem or text
    if problem:
        raise RetryableError(
            "The server did not send the range that was asked for",
            expected="the whole file" if asked is None else f"bytes from {asked[0]:,}",
            found=problem,
            where=request,
            hint=BETWEEN,
        )
    return start, total


def plain_etag(value: object) -> str | None:
    """`value` if it is a text of printable ASCII without spaces, else None."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else None


def strong_etag(value: str | None) -> str | None:
    """`value` if it is a strong validator by RFC 9110, fit for If-Range; else None."""
    return value if value is not None and _STRONG.fullmatch(value) else None
