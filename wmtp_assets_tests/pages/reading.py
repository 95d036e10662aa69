"""A page as a program reads it: its elements, its words, and whatever in it could act or ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "input", "br", "hr"})
# Everything that our templates use. What is not here is neither needed nor expected.
_DOCUMENT = {"html", "head", "title", "style", "body", "nav", "main", "header", "footer"}
_TEXT = {
    "section",
    "h1",
    "h2",
    "h3",
    "h4",
    "p",
    "a",
    "strong",
    "em",
    "span",
    "bdi",
    "code",
    "pre",
    "div",
}
_LISTS = {"ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td"}
_FORM = {"form", "label", "select", "option", "button"}
_FOLDED = {"details", "summary"}
_PICTURE = {"figure", "figcaption", "svg", "g", "path", "rect", "text"}
ELEMENTS = VOID | _DOCUMENT | _TEXT | _LISTS | _FORM | _FOLDED | _PICTURE
ADDRESSES = frozenset({"href", "src", "action", "formaction", "xlink:href", "data", "poster"})


@dataclass
class Read(HTMLParser):
    """What a document holds. `faults` names what it must not: unknown elements, elements that are
    not closed in turn, handlers of events, styles of single elements."""

    words: str = ""
    addresses: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    classes: dict[str, int] = field(default_factory=dict)
    policy: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ELEMENTS:
            self.faults.append(f"<{tag}>")
        if tag not in VOID:
            self._open.append(tag)
        given = dict(attrs)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc", "srcset"):
                self.faults.append(f"<{tag} {name}>")
            if name in ADDRESSES:
                self.addresses.append(value or "")
        for one in (given.get("class") or "").split():
            self.classes[one] = self.classes.get(one, 0) + 1
        if tag == "meta" and given.get("http-equiv"):
            if given["http-equiv"] != "Content-Security-Policy":
                self.faults.append(f"<meta http-equiv={given['http-equiv']}>")
            self.policy = given.get("content") or ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words += data


def read_page(html: str) -> Read:
    """The document, read to its end."""
    reader = Read()
    reader.feed(html)
    reader.close()
    reader.faults += [f"<{tag}> is not closed" for tag in reader._open]
    return reader


def check_harmless(html: str) -> Read:
    """The document, which holds nothing that acts, and asks for nothing when it is opened."""
    found = read_page(html)
    assert found.faults == []
    assert found.policy.startswith("default-src 'none'; style-src 'sha256-")
    for address in found.addresses:
        assert address == "data:," or address.startswith(("/", "#", "https://huggingface.co/")), (
            address
        )
        assert not address.startswith("//")
    return found
