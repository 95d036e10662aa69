"""What a reader of rows asks for, as the query of an address says it: checked, and written back.

| parameter | meaning |
| --- | --- |
| `class` | `correct` or `incorrect` |
| `difficulty` | upstream's number, or two with a hyphen: `7`, `3-9` |
| `tokens` | of instruction, input and output together: `512`, `0-1024` |
| `problem` | the problem's number in upstream's split |
| `flag` | `repaired`, `empty-output`, `shared-name`, or `none` |
| `page` | from 1 |
| `lang` | `en` or `ko` |

An empty value is as good as none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qsl, urlencode

from wmtp_assets.corpora import records
from wmtp_assets.errors import WmtpError, printable
from wmtp_assets.pages.language import LANGUAGES, Language

PAGE_ROWS: Final = 50
CLASSES: Final[Mapping[str, int]] = {"correct": 1, "incorrect": 0}
FLAGS: Final[Mapping[str, int]] = {
    "repaired": records.REPAIRED,
    "empty-output": records.EMPTY_OUTPUT,
    "shared-name": records.SHARED_NAME,
    "none": 0,
}
Range = tuple[int, int]
_MOST: Final = 1 << 31
_DIGITS: Final = 10


class QueryError(WmtpError):
    """The address asks for what it cannot ask for."""


@dataclass(frozen=True)
class RowQuery:
    """Conditions on rows, and the page of them; None is no condition. Ranges include both ends."""

    class_: str | None = None
    difficulty: Range | None = None
    tokens: Range | None = None
    problem: int | None = None
    flag: str | None = None
    page: int = 1
    lang: Language = "en"

    @property
    def anything(self) -> bool:
        """Whether there is a condition."""
        return replace(self, page=1, lang="en") != RowQuery()

    def values(self) -> dict[str, str]:
        """The parameters that say this, without those that say nothing."""
        given = {
            "class": self.class_ or "",
            "difficulty": _written(self.difficulty),
            "tokens": _written(self.tokens),
            "problem": "" if self.problem is None else str(self.problem),
            "flag": self.flag or "",
            "page": "" if self.page == 1 else str(self.page),
            "lang": "" if self.lang == "en" else self.lang,
        }
        return {name: value for name, value in given.items() if value}

    def address(self, path: str) -> str:
        """`path` with this query."""
        values = self.values()
        return f"{path}?{urlencode(values)}" if values else path


PARAMETERS: Final = ("class", "difficulty", "tokens", "problem", "flag", "page", "lang")


def read_query(asked: str) -> RowQuery:
    """The query that an address has behind its question mark. Raises QueryError."""
    given: dict[str, str] = {}
    try:
        pairs = parse_qsl(asked, keep_blank_values=True, max_num_fields=4 * len(PARAMETERS))
    except ValueError:
        pairs = [("...", "")]  # far too many: one that is not known is among them
    for name, value in pairs:
        if name not in PARAMETERS:
            raise QueryError(
                "There is no such parameter",
                expected=", ".join(PARAMETERS),
                found=printable(name[:80]),
                hint="Correct the address, or choose in the form.",
            )
        if name in given:
            raise QueryError(
                f"The parameter {name} is given more than once",
                expected="each parameter once",
                found=", ".join(printable(text[:40]) for text in (given[name], value)),
                hint="Leave one of them.",
            )
        given[name] = value.strip()
    page = _number("page", given.get("page", ""))
    if page == 0:
        raise _mistaken("page", "a number from 1", "0")
    return RowQuery(
        _one_of("class", given.get("class", ""), CLASSES),
        _range("difficulty", given.get("difficulty", "")),
        _range("tokens", given.get("tokens", "")),
        _number("problem", given.get("problem", "")),
        _one_of("flag", given.get("flag", ""), FLAGS),
        page or 1,
        _language(given.get("lang", "")),
    )


def read_language(asked: str) -> Language:
    """The language that a query asks for, whatever else it holds; English without a known one."""
    try:
        given = dict(parse_qsl(asked, max_num_fields=4 * len(PARAMETERS)))
        return _language(given.get("lang", ""))
    except (ValueError, QueryError):
        return "en"


def _language(value: str) -> Language:
    for known in LANGUAGES:
        if value == known:
            return known
    if value:
        raise _mistaken("lang", " or ".join(LANGUAGES), value)
    return "en"


def _one_of(name: str, value: str, known: Mapping[str, int]) -> str | None:
    if value and value not in known:
        raise _mistaken(name, " or ".join(known), value)
    return value or None


def _number(name: str, value: str) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS) or int(value) >= _MOST:
        raise _mistaken(name, "a whole number such as 7", value)
    return int(value)


def _range(name: str, value: str) -> Range | None:
    if not value:
        return None
    low, hyphen, high = value.partition("-")
    try:
        first = _number(name, low.strip())
        last = _number(name, high.strip()) if hyphen else first
    except QueryError:
        first = last = None
    if first is None or last is None or last < first:
        raise _mistaken(name, "a number, or the lower and the higher one: 7 or 3-9", value)
    return first, last


def _written(bounds: Range | None) -> str:
    if bounds is None:
        return ""
    return str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]}-{bounds[1]}"


def _mistaken(name: str, expected: str, found: str) -> QueryError:
    return QueryError(
        f"The parameter {name} cannot be read",
        expected=expected,
        found=printable(found[:80]),
        hint="Correct the address, or choose in the form.",
    )
