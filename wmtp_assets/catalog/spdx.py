"""SPDX expressions: the standard identifiers of licences (https://spdx.org/licenses).

A licence that is not on SPDX's list is `LicenseRef-<name of your own>`, with a name and a link.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from license_expression import ExpressionError, Licensing, get_spdx_licensing

REF: Final = "LicenseRef-"
# What most repositories say; for others only, the list of SPDX is read.
_FREQUENT: Final = frozenset(
    {
        *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "CC0-1.0"),
        *("CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0"),
    }
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*\+?")
_OPERATORS: Final = frozenset({"AND", "OR", "WITH"})
_LONGEST: Final = 500  # characters of an expression


@dataclass(frozen=True)
class Expression:
    """An SPDX expression: its `text` as SPDX writes it, and the licences in it, each once."""

    text: str
    licences: tuple[str, ...]

    @property
    def own(self) -> tuple[str, ...]:
        """The licences of it that SPDX's list does not have."""
        return tuple(one for one in self.licences if one.startswith(REF))


@cache
def expression(text: str) -> Expression | None:
    """The SPDX expression that `text` is; None where it is none, but words."""
    if text in _FREQUENT:
        return Expression(text, (text,))
    words = text.replace("(", " ").replace(")", " ").split()
    if len(text) > _LONGEST or not words or not all(map(_IDENTIFIER.fullmatch, words)):
        return None
    named = [word for word in words if word not in _OPERATORS]
    if len(words) != 2 * len(named) - 1:  # the library would take two words for one licence
        return None
    spelled = {word: known for word in named if (known := _spelled(word)) is not None}
    if len(spelled) < len(set(named)):
        return None
    library = Licensing()
    try:
        tree = library.parse(" ".join(spelled.get(word, word) for word in _tokens(text)))
    except ExpressionError:
        return None
    return Expression(tree.render(), tuple(library.license_keys(tree)))


def combined(texts: list[str]) -> str | None:
    """The expression that all of `texts` hold for, each once; None where one is no expression."""
    known = [expression(text) for text in dict.fromkeys(texts)]
    parts = [one.text for one in known if one is not None]
    if len(parts) < len(known) or not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    return " AND ".join(f"({one})" if " OR " in one else one for one in parts)


def advice(text: str) -> str:
    """What to write in the place of words that are no expression."""
    words = re.findall(r"[A-Za-z0-9.+-]+", text)[:4]
    near = "-".join(words).lower()
    lowered = {known.lower(): known for known in _FREQUENT}
    close = difflib.get_close_matches(near, lowered, n=1, cutoff=0.8)
    first = f"`licence: {lowered[close[0]]}` if that is it, else an" if close else "an"
    return (
        f"write {first} SPDX identifier (https://spdx.org/licenses), or `licence: {REF}<name>` "
        "with `licence_name` and `licence_link`"
    )


def _tokens(text: str) -> list[str]:
    return text.replace("(", " ( ").replace(")", " ) ").split()


def _spelled(identifier: str) -> str | None:
    """An identifier as SPDX spells it, one of our own as it is; None where SPDX has none such."""
    if identifier in _FREQUENT:
        return identifier
    if identifier.startswith(REF):
        return identifier if len(identifier) > len(REF) and "+" not in identifier else None
    return _listed().get(identifier.lower())


@cache
def _listed() -> dict[str, str]:
    """SPDX's list: identifiers by their lower-case spelling, those of exceptions too."""
    known = get_spdx_licensing().known_symbols.values()
    names = {name.lower(): one.key for one in known for name in (*one.aliases, one.key)}
    return {name: key for name, key in names.items() if not key.startswith(REF)}
