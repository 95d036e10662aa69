"""ETags: a server's name for a file's content. Only what may be sent back is kept."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[\x21-\x7e]{1,512}")
_STRONG = re.compile(r'"[\x21\x23-\x7e]{0,510}"')


def plain_etag(value: object) -> str | None:
    """`value` if it is a text of printable ASCII without spaces, else None."""
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else None


def strong_etag(value: str | None) -> str | None:
    """`value` if it is a strong validator by RFC 9110, fit for If-Range; else None."""
    return value if value is not None and _STRONG.fullmatch(value) else None
