"""Text of others on a page: escaped, and with nothing in it that a reader would not see."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup, escape

# What is plainly visible needs no second look.
_PERHAPS_UNSEEN = re.compile(r"[^\n\t -~]+")
EXCERPT = 240  # characters


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


def plain(text: str, limit: int = EXCERPT) -> str:
    """As `excerpt`, for a place where text is shown as it is and never as HTML: characters that are
    not seen stand as their code, such as U+202E."""
    line = " ".join(text[: limit * 4].split())
    cut = len(line) > limit or len(text) > limit * 4
    shown = "".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in line[:limit])
    return shown + ("…" if cut else "")


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


def as_code(text: str, limit: int = EXCERPT) -> str:
    """`text` on one line as a code span of Markdown: nothing in it is markup or becomes a link."""
    line = plain(text, limit)
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def as_markdown(text: str, limit: int = EXCERPT) -> str:
    """`text` on one line in Markdown, with nothing in it that is markup or becomes a link."""
    line = _LINKED.sub("\\g<0>\N{WORD JOINER}", plain(text, limit))
    return _MARKUP.sub(r"\\\g<0>", line)


# Dagster's Markdown makes links of bare addresses too, escaped or not.
_LINKED = re.compile(r"www(?=\.)|https?(?=:)|@", re.IGNORECASE)
_MARKUP = re.compile(r"[!\"#$%&'*+<=>?@\[\\\]^_`{|}~]")
