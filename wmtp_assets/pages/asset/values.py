"""What the page of an asset is made of: texts, numbers, tables, pictures and links."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wmtp_assets.findings import short_digests
from wmtp_assets.pages.text import plain
from wmtp_assets.storage.receipts import Receipt

Cell = str | int | float

SHOWN_FIELDS: Final = 30  # of a document
# In a window 1,280 pixels wide, Dagster's table of metadata has room for 42 characters beside a key
# of 13. One longer word, and all that is shown is cut at the right.
WORD, WORD_BESIDE = 38, 24


@dataclass(frozen=True)
class Table:
    """Rows of cells by the names of their columns; texts in it are plain."""

    rows: Sequence[Mapping[str, Cell]]


@dataclass(frozen=True)
class Picture:
    """Markdown of numbers and our own words."""

    markdown: str


@dataclass(frozen=True)
class Link:
    """An address on this server."""

    address: str


Value = Cell | Table | Picture | Link
"""A text (of whoever wrote it: plain), a number, which is plotted over time, or one of these."""

Facts = dict[str, Value]


def narrow(text: str, limit: int, word: int = WORD) -> str:
    """As `plain`, with longer words cut. Behind a hyphen a line may be broken."""
    longer = rf"[^ -]{{{word + 1},}}"
    return re.sub(longer, lambda found: f"{found[0][: word - 1]}…", plain(text, limit))


def numbers(receipt: Receipt, *names: str) -> Facts:
    """Counts of a receipt, which Dagster plots over time."""
    facts = receipt.facts
    return {name: facts[name] for name in names if type(facts.get(name)) in (int, float)}


def says(document: Mapping[str, object]) -> Facts:
    """What a document says, field by field; inner objects as JSON."""
    rows: list[Mapping[str, Cell]] = [
        {"field": narrow(f"{name}: {short_digests(as_text(one))}", 200)}
        for name, one in list(document.items())[:SHOWN_FIELDS]
    ]
    left = len(document) - len(rows)
    return {"contents": Table(rows), **({"more_fields": left} if left > 0 else {})}


def as_text(value: object) -> str:
    """A JSON value as text: a string as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
