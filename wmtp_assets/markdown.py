"""Text of others in Markdown: on one line, with nothing in it that is markup or becomes a link."""

from __future__ import annotations

import re

EXCERPT = 240  # characters


def plain(text: str, limit: int = EXCERPT) -> str:
    """The beginning of `text` on one line, for a place where it is shown as it is and never as
    HTML: characters that are not seen stand as their code, such as U+202E."""
    line = " ".join(text[: limit * 4].split())
    cut = len(line) > limit or len(text) > limit * 4
    shown = "".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in line[:limit])
    return shown + ("…" if cut else "")


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
