"""A message about failures, and its JSON for Slack and for Microsoft Teams.

Names and findings may come from upstream. Slack gets them as `plain_text` with its control
characters escaped, and Teams as text runs: neither reads markup, links or mentions in these.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from wmtp_assets.errors import printable

MOST_ITEMS = 5
_NAME, _TEXT = 200, 900  # characters of a name, and of a reason or remedy
_TITLE = 150  # of a header block
_BLOCK = 3000  # of a text in a block of Slack
_FALLBACK = 1000  # of the text that Slack shows in a notification
_LARGEST = 27_000  # bytes; Teams takes 28 kB

_SLACK = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_BREAKS = re.compile(r"\s*[\r\n]\s*")
_MENTION = re.compile(r"@(?=(?:here|channel|everyone)\b)", re.IGNORECASE)
_APART = "@\u2060"  # a word joiner: looks the same, and mentions nobody


@dataclass(frozen=True)
class Item:
    """One failure: what failed, the reason, and what to do about it."""

    what: str
    why: str
    remedy: str = ""


@dataclass(frozen=True)
class Message:
    """What one message says.

    `where` names the catalog and the storage, `items` the first failures, `more` how many others
    there are. `link` leads to the page, where its address is known.
    """

    title: str
    where: str
    items: tuple[Item, ...] = ()
    more: int = 0
    link: str | None = None


def slack(message: Message) -> bytes:
    """The message as Slack's incoming webhooks take it: `text` and `blocks`."""
    first = message.items[0] if message.items else None
    fallback = f"{message.title}. {first.what}: {first.why}" if first else message.title
    texts = [_line(message.where), *map(_lines, message.items), *_others(message)]
    blocks: list[dict[str, object]] = [
        {"type": "header", "text": _plain(_line(message.title), _TITLE)}
    ]
    blocks += [{"type": "section", "text": _plain(text, _BLOCK)} for text in texts]
    if message.link:
        link = f"<{_escaped(message.link)}|Open the page>"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": link}})
    value: dict[str, object] = {
        "text": clip(_line(fallback), _FALLBACK, _escaped),
        "blocks": blocks,
    }
    # Nothing in the text is markup, and no address in it is looked up for a preview.
    return _json(value | {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False})


def teams(message: Message) -> bytes:
    """The message as a workflow of Teams takes it: an Adaptive Card as an attachment."""
    runs = [
        _run(message.title, _TITLE, weight="Bolder", size="Large"),
        _run(message.where, _TEXT, isSubtle=True),
    ]
    for item in message.items:
        runs.append(_run(item.what, _NAME, weight="Bolder"))
        runs.append(_run(item.why, _TEXT))
        if item.remedy:
            runs.append(_run(f"What to do: {item.remedy}", _TEXT, fontType="Monospace"))
    runs += [_run(text, _NAME) for text in _others(message)]
    card: dict[str, object] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        # One paragraph for each: a text run does not wrap with the one before it.
        "body": [{"type": "RichTextBlock", "inlines": [run]} for run in runs],
    }
    if message.link:
        card["actions"] = [
            {"type": "Action.OpenUrl", "title": "Open the page", "url": message.link}
        ]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    body = _json({"type": "message", "attachments": [attachment]})
    if len(body) > _LARGEST and len(message.items) > 1:
        fewer = replace(message, items=message.items[:-1], more=message.more + 1)
        return teams(fewer)
    return body


def clip(text: str, limit: int, escape: Callable[[str], str] = str) -> str:
    """`text`, escaped, cut to `limit` characters of UTF-16 (an emoji counts two, as with Slack)."""
    text = printable(text)
    if _length(escape(text)) <= limit:
        return escape(text)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _length(escape(text[:middle])) < limit:
            low = middle
        else:
            high = middle - 1
    return f"{escape(text[:low])}…"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _escaped(text: str) -> str:
    """As Slack's control characters are written where they are none."""
    return re.sub("[&<>]", lambda found: _SLACK[found[0]], _unmentioned(text))


def _unmentioned(text: str) -> str:
    return _MENTION.sub(_APART, text)


def _plain(text: str, limit: int) -> dict[str, object]:
    return {"type": "plain_text", "text": clip(text, limit, _escaped), "emoji": False}


def _run(text: str, limit: int, **style: object) -> dict[str, object]:
    return {"type": "TextRun", "text": clip(_line(text), limit, _unmentioned), **style}


def _lines(item: Item) -> str:
    lines = [clip(_line(item.what), _NAME), clip(_line(item.why), _TEXT)]
    if item.remedy:
        lines.append(f"What to do: {clip(_line(item.remedy), _TEXT)}")
    return "\n".join(lines)


def _line(text: str) -> str:
    """`text` on one line: quoted text must not add a line that looks like a remedy of ours."""
    return _BREAKS.sub(" ", text)


def _others(message: Message) -> list[str]:
    return [f"And {message.more} more."] if message.more else []


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
