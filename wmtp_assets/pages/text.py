"""Text of others on a page: escaped, and with nothing in it that a reader would not see."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup, escape

from wmtp_assets.markdown import EXCERPT, as_code, as_markdown, plain

__all__ = ["EXCERPT", "as_code", "as_markdown", "below", "excerpt", "plain", "size", "visible"]

# What is plainly visible needs no second look.
_PERHAPS_UNSEEN = re.compile(r"[^\n\t -~]+")


def visible(text: str, limit: int | None = None) -> Markup:
    """`text` as HTML, at most `limit` characters of it.

    Characters that are not seen, or that change how others are seen (controls, NUL, marks of
    direction, zero-width ones, lone surrogates), are replaced by their code, marked as such. Line
    breaks and tabs stay.
    """
    shown = text if limit is None else text[:limit]
    parts = []
    at = 0
    for found in _PERHAPS_UNSEEN.finditer(shown):
        if found[0].isprintable():
            continue
        parts.append(escape(shown[at : found.start()]))
        parts += [
            escape(char)
            if char.isprintable()
            else Markup('<span class="code-point">U+{:04X}</span>').format(ord(char))
            for char in found[0]
        ]
        at = found.end()
    parts.append(escape(shown[at:]))
    return Markup("").join(parts)


def excerpt(text: str, limit: int = EXCERPT) -> Markup:
    """The beginning of `text` on one line, with an ellipsis where there is more."""
    line = " ".join(text[: limit * 4].split())
    cut = len(line) > limit or len(text) > limit * 4
    return visible(line, limit) + ("…" if cut else "")


def below(root: Path, text: str) -> str:
    """The text with the paths below `root`, a storage's, relative to it."""
    place = rf"(?<![\w./-]){re.escape(str(root))}(/|(?![\w.-]))"
    return re.sub(place, lambda found: "" if found[1] else "the storage", text)


def size(count: int) -> str:
    """A number of bytes as a person reads it: two digits behind the point, powers of ten."""
    for unit, bytes_ in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes_:
            return f"{count / bytes_:,.2f} {unit}"
    return f"{count} B"
