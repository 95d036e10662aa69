"""What a text is looked for by, where it is spelled otherwise: prose in other characters, programs
with what their syntax trees do not count."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_LIKE: Final = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
    **dict.fromkeys("\u3002\uff61", "."),
    **dict.fromkeys("\u2028\u2029\u0085", "\n"),
    **dict.fromkeys("\u2022\u2023\u00b7\u25aa\u25cf", "|"),
}


class _Plain(dict[int, str]):
    """By a character: the one that stands for it."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        found = self[code] = character if code < 128 else _plain_character(character)
        return found


def _plain_character(character: str) -> str:
    if character in _LIKE:
        return _LIKE[character]
    alike = unicodedata.normalize("NFKC", character)[:1]
    if alike.isascii() and alike != "\0":
        return alike.lower() or " "
    # White space, punctuation, symbols, and what is not to be seen.
    if unicodedata.category(character)[0] in "ZPSC":
        return " "
    return character.lower()[:1]


_PLAIN: Final = _Plain()


def plain(text: str) -> str:
    """A text in lower case, as long as it was, with ASCII's white space and punctuation in place of
    Unicode's: of quotes, dashes, spaces of any width, and what is full width."""
    return (text if text.isascii() else text.translate(_PLAIN)).lower()


# Whether `undressed` may change anything; searched in every text, and so begin with a character.
_PARAMETER: Final = re.compile(rb"def\s+\w+\s*\([^():]{0,400}+:")
_ASSIGNED: Final = re.compile(
    rb"\n[ \t]*+(?!(?:else|try|finally|except)\b)[\w.]++[ \t]*+:[ \t]*+(?:[A-Za-z_]|(?=[\n=]))"
)
_WITHIN: Final = re.compile(rb"\n[ \t]++(?:from|import)\s")
_IMPORT: Final = re.compile(
    rb"\n[ \t]*+(?:from\s[\w. \t]*+)?import\b(?:[ \t]*+\([^()]{0,4000}+\)|[^\n;]*+)"
)
_STATIC: Final = re.compile(rb"@\s*(?:static|class)method\b")
_CLASS: Final = re.compile(rb"\bclass\s+(\w{1,80})\s*(?:\([^()]{0,200}\))?\s*:")
_FIRST: Final = re.compile(rb"\(\s*(?:self|cls)\s*(?:,|(?=\)))")
_OBJECT: Final = re.compile(rb"(?<![\w.])(?:self|cls)\s*\.")
# `def` before the look for what is before it: what begins with a letter is found faster.
_SIGNATURE: Final = re.compile(
    rb"(def(?<!\wdef)\s+\w+\s*\()((?:[^()]|\([^()]{0,400}+\)){0,2000}+)\)\s*(?:->[^:\n]{0,400}+)?:"
)
_VARIABLE: Final = re.compile(
    rb"(\n[ \t]*+)(?!(?:else|try|finally|except)\b)([\w.]++)[ \t]*+:[ \t]*+[^\n=:{}()]{0,200}?="
    rb"(?!=)"
)
_COLON: Final = re.compile(rb"\n[ \t]*+(?!(?:else|try|finally|except)\b)[\w.]++[ \t]*+:")
_BARE: Final = re.compile(
    rb"\n[ \t]*+(?!(?:else|try|finally|except)\b)[\w.]++[ \t]*+:[ \t]*+[A-Za-z_][\w.]*+"
    rb"(?:\[[^\n{}()]{0,200}\])?[ \t]*+(?=\n)"
)
_ANNOTATED: Final = re.compile(rb"\s*(\*{0,2}\s*\w+)\s*:[^=]*")


def _dressed(code: bytes, imports: bool) -> bool:
    """Whether `undressed` may change a program; fast."""
    return (
        b"self" in code
        or b"cls" in code
        or b"->" in code
        or b"staticmethod" in code
        or b"classmethod" in code
        or (_IMPORT if imports else _WITHIN).search(code) is not None
        or _PARAMETER.search(code) is not None
        or _ASSIGNED.search(code) is not None
    )


def undressed(code: bytes, imports: bool = False) -> bytes | None:
    """A program without strings and comments (`code`) once more, without annotations and imports,
    and its methods as functions: without their class, `self` and decorators. None where that
    changes nothing; imports count where they are indented, or as `imports` says. Not exact: what it
    gives is compared with what it gives of others."""
    code = b"\n" + code
    if not _dressed(code, imports):
        return None
    text = code
    if b"import" in text:
        text = _IMPORT.sub(b"\n", text)
    if b"method" in text:
        text = _STATIC.sub(b" ", text)
    classes = _CLASS.findall(code) if b"class" in code else []
    if classes:
        text = _CLASS.sub(b" ", text)
    of_object = b"self" in text or b"cls" in text
    if of_object:
        text = _FIRST.sub(b"(", text)
    if b"def" in text:
        text = _SIGNATURE.sub(_signature, text)
    if _COLON.search(text) is not None:
        text = _BARE.sub(b"\n", _VARIABLE.sub(rb"\1\2 =", text))
    if of_object:
        text = _OBJECT.sub(b"", text)
    for name in classes:
        if name + b"." in text:
            text = re.sub(rb"\b%s\." % name, b"", text)
    return text if text != code else None


def _signature(found: re.Match[bytes]) -> bytes:
    if b":" not in found[2] and b"->" not in found[0]:
        return found[0]
    return found[1] + b",".join(_parameters(found[2])) + b"):"


def _parameters(text: bytes) -> list[bytes]:
    """Parameters without annotations."""
    parts, depth, begin = [], 0, 0
    for at, byte in enumerate(text):
        if byte in b"([{":
            depth += 1
        elif byte in b")]}":
            depth -= 1
        elif byte == ord(",") and not depth:
            parts.append(text[begin:at])
            begin = at + 1
    parts.append(text[begin:])
    return [
        _ANNOTATED.sub(rb"\1 ", part, count=1) if _ANNOTATED.match(part) else part for part in parts
    ]
