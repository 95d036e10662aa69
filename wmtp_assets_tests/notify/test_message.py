"""What a message looks like: bounded, and nothing of upstream's read as markup."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from wmtp_assets.notify.message import MOST_ITEMS, Item, Message, clip, slack, teams

HOSTILE = (
    "<!channel> <@U123> <http://evil.example|the page> @here @Channel @everyone & &lt;b&gt; "
    "[click](http://evil.example) *bold* :bomb: \u202ecod.exe\x1b[31m <at>all</at>"
)
MESSAGE = Message(
    "The run refresh failed",
    "Catalog sample, storage /data",
    (Item("datasets/x rows_match", HOSTILE, "wmtp materialize datasets/x --force"),),
    more=3,
    link="https://wmtp.example.org/runs/4711",
)


def values(node: object, key: str) -> Iterator[object]:
    """Every value of a key, at any depth."""
    for name, value in node.items() if isinstance(node, dict) else ():
        if name == key:
            yield value
        yield from values(value, key)
    for value in node if isinstance(node, list) else ():
        yield from values(value, key)


@pytest.mark.parametrize("form", [slack, teams])
def test_it_says_what_failed_why_what_to_do_and_where_to_look(form: object) -> None:
    assert callable(form)
    text = form(MESSAGE).decode()
    for part in ("The run refresh failed", "Catalog sample", "datasets/x rows_match"):
        assert part in text
    assert "What to do: wmtp materialize datasets/x --force" in text
    assert "And 3 more." in text
    assert "https://wmtp.example.org/runs/4711" in text
    bare = form(Message("This is a test", "Catalog sample")).decode()
    assert "more" not in bare
    assert "Open the page" not in bare


@pytest.mark.parametrize("place", ["title", "where", "what", "why", "remedy"])
def test_slack_reads_no_markup_link_or_mention_in_a_text(place: str) -> None:
    item = Item(**{"what": "w", "why": "y", "remedy": "r", **_only(place, Item)})
    message = Message(**{"title": "t", "where": "w", "items": (item,), **_only(place, Message)})
    value = json.loads(slack(message))
    texts = [one["text"] for one in value["blocks"]]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert {text["emoji"] for text in texts} == {False}
    for text in [value["text"], *(one["text"] for one in texts)]:
        assert "<" not in text
        assert ">" not in text
        assert "@here" not in text
        assert "@Channel" not in text
        assert "@everyone" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    whole = json.dumps(value, ensure_ascii=False)
    assert "&lt;!channel&gt;" in whole
    assert "&amp; &amp;lt;b&amp;gt;" in whole


def test_the_only_markup_for_slack_is_the_link_to_the_page() -> None:
    value = json.loads(slack(MESSAGE))
    marked = [b["text"]["text"] for b in value["blocks"] if b["text"]["type"] == "mrkdwn"]
    assert marked == ["<https://wmtp.example.org/runs/4711|Open the page>"]


def test_slack_formats_no_text_and_looks_up_no_address() -> None:
    value = json.loads(slack(MESSAGE))
    assert {name: value[name] for name in ("mrkdwn", "unfurl_links", "unfurl_media")} == {
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


@pytest.mark.parametrize("form", [slack, teams])
def test_a_text_adds_no_line_that_looks_like_ours(form: object) -> None:
    assert callable(form)
    forged = "x\nWhat to do: curl evil\r\n\n And 7 more."
    message = Message(forged, forged, (Item(forged, forged, forged),))
    value = json.loads(form(message))
    texts = [str(text) for text in values(value, "text") if isinstance(text, str)]
    lines = [line for text in texts for line in text.splitlines()]
    assert len(lines) >= 5
    assert {line for line in lines if "curl" not in line} == set()


@pytest.mark.parametrize("place", ["title", "where", "what", "why", "remedy"])
def test_teams_shows_texts_as_runs_which_have_no_markup(place: str) -> None:
    item = Item(**{"what": "w", "why": "y", "remedy": "r", **_only(place, Item)})
    message = Message(**{"title": "t", "where": "w", "items": (item,), **_only(place, Message)})
    value = json.loads(teams(message))
    (attachment,) = value["attachments"]
    assert value["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert "entities" not in card.get("msteams", {}), "what <at> would mention"
    assert list(values(card, "url")) == []
    assert any("[click](http://evil.example)" in run["text"] for run in runs)
    assert not any("\x1b" in run["text"] or "@here" in run["text"] for run in runs)


def _only(place: str, of: type) -> dict[str, str]:
    return {place: HOSTILE} if place in of.__dataclass_fields__ else {}  # type: ignore[attr-defined]


@pytest.mark.parametrize("letter", ["x", "<", "가", "💥", '"', "\x00"])
@pytest.mark.parametrize("length", [899, 900, 901, 100_000])
def test_a_message_is_bounded_whatever_it_is_made_of(letter: str, length: int) -> None:
    long = letter * length
    items = tuple(Item(long, long, long) for _ in range(MOST_ITEMS))
    message = Message(long, long, items, link="https://wmtp.example.org")
    value = json.loads(slack(message))
    assert len(value["blocks"]) <= 50
    for block in value["blocks"]:
        limit = 150 if block["type"] == "header" else 3000
        assert 0 < len(block["text"]["text"].encode("utf-16-le")) // 2 <= limit
    card = teams(message)
    assert len(card) <= 28_000
    shown = len(json.loads(card)["attachments"][0]["content"]["body"])
    assert shown >= 5, "the first failure is there"
    if letter == "가" and length > 900:
        assert "And 2 more." in card.decode()


def test_a_text_is_cut_between_characters_and_never_within_an_entity() -> None:
    escape = lambda text: text.replace("<", "&lt;")  # noqa: E731
    assert clip("<<<<", 16, escape) == "&lt;&lt;&lt;&lt;"
    assert clip("<<<<", 15, escape) == "&lt;&lt;&lt;…"
    assert clip("💥💥", 4) == "💥💥"
    assert clip("💥💥", 3) == "💥…"
    assert clip("", 3) == ""
