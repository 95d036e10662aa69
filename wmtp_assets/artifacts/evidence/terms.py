"""Licences in a card: the fields at its top that the Hub knows, and a section for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import yaml
from huggingface_hub import CardData

from wmtp_assets.catalog import spdx
from wmtp_assets.catalog.licences import OwnerTerms, Terms
from wmtp_assets.markdown import as_code, as_markdown, plain

SAMPLE: Final = (
    "**Generated sample, not the real data.** Nothing of the repositories that it is laid out like "
    "is in it, and no licence of theirs applies to it."
)
# What the Hub calls licences of SPDX's list (https://huggingface.co/docs/hub/repositories-licenses);
# any other is `other` there.
_HUB: Final[Mapping[str, str]] = {
    one: one.lower()
    for one in (
        *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0"),
        *("CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0"),
    )
}
_WORDS: Final = 1000  # characters of a catalog's free text


def licence_fields(terms: OwnerTerms, *, sample: bool) -> dict[str, str]:
    """`license` of a card, and its name and link where the Hub has no word for it.

    Of several licences the name is the expression that holds for the whole folder, and the link
    that of the first one which is on no list.
    """
    if sample:
        return {"license": "other", "license_name": "generated-sample"}
    if terms.licence is not None and terms.licence in _HUB:
        return {"license": _HUB[terms.licence]}
    together = dict.fromkeys(part.licence for part in terms.parts)
    only = terms.parts[0] if len(together) == 1 else None
    name = (only.name if only else None) or terms.licence or "; ".join(together)
    links = [part.link for part in terms.parts if part.link]
    own = [part.link for part in terms.parts if part.link and spdx.REF in part.licence]
    fields = {"license": "other", "license_name": plain(name, _WORDS)}
    return {**fields, "license_link": (own or links)[0]} if links else fields


def terms_section(terms: OwnerTerms, *, sample: bool) -> str:
    """The section of a card about licences; of a sample, that there are none."""
    if sample:
        return "## Terms\n\nNo licence of the repositories that are named here applies.\n"
    lines = [f"- {_part(part)}" for part in terms.parts]
    if len({part.licence for part in terms.parts}) > 1:
        whole = as_code(terms.licence) if terms.licence else "all of them together"
        lines.append(f"- The folder as a whole: {whole}.")
    return "## Terms\n\n" + "\n".join(lines) + "\n"


def _part(part: Terms) -> str:
    origin = f"{as_code(part.repository)} at {as_code(part.revision)}"
    licence = as_code(part.licence) if part.spdx else as_markdown(part.licence, _WORDS)
    if part.name:
        licence += f", {as_markdown(part.name, _WORDS)}"
    said = [f"{part.what.capitalize()} of {origin}: {licence}"]
    if part.link:
        said[0] += f" (<{part.link}>)"
    said.append(f"Redistribution: {as_markdown(part.redistribution, _WORDS)}")
    said.append(part.use.capitalize())
    if part.gated:
        said.append("Gated: to be accepted on the repository's page")
    return ". ".join(said) + "."


def fields_of(data: CardData) -> dict[str, Any]:
    """The fields of a card as the Hub names them; what was left open is left out."""
    return cast("dict[str, Any]", data.to_dict())  # type: ignore[no-untyped-call]


def front_matter(fields: Mapping[str, Any]) -> str:
    """The block at the top of a card."""
    return f"---\n{yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True)}---\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown on one line."""
    return "\n".join([_row(head), _row(["---"] * len(head)), *map(_row, rows)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    # A bar ends a cell, within a code span too, where nothing else is escaped.
    escaped = (cell.replace("\\|", "|").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
