"""The command about licences: which model and dataset is under which terms."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wmtp_assets.cli.common import DONE, add_json, open_project, show

if TYPE_CHECKING:
    from wmtp_assets.catalog.licences import OwnerTerms, Terms


def register(commands: Any) -> None:
    """Adds this command to the parser."""
    licences = commands.add_parser(
        "licences", help="list the terms of each model and dataset; fetches nothing"
    )
    add_json(licences)
    licences.set_defaults(run=_licences, starts_over=True)


def _licences(given: argparse.Namespace) -> int:
    from wmtp_assets.catalog.licences import every_terms, words_of

    project = open_project()
    catalog = project.catalog
    every = every_terms(catalog, project.artifacts.values())
    notes = {
        name: note for name, upstream in catalog.upstreams().items() if (note := words_of(upstream))
    }
    value = {
        "catalog": catalog.name,
        "sample": catalog.is_sample,
        "terms": [one.to_json() for one in every],
        "write_instead": notes,
    }
    show(given.json, value, page(every, notes, sample=catalog.is_sample))
    return DONE


def page(every: Sequence[OwnerTerms], notes: Mapping[str, str], *, sample: bool) -> str:
    """The terms as a person reads them, in at most 100 columns but for names that are longer;
    `notes` says what to write for a licence in words."""
    parts = {_said(part): part for one in every for part in one.parts}
    numbers = {said: f"[{number}]" for number, said in enumerate(parts, 1)}
    head = ["Generated sample: nothing of the real repositories is in it.", ""] if sample else []
    rows = [("name", "what", "from", "assets", "licence")]
    rows += [
        (one.owner, part.what, part.repository, str(len(part.artifacts)), numbers[_said(part)])
        for one in every
        for part in one.parts
    ]
    lines = [*head, *_table(rows), ""]
    for said in parts:
        lines += _wrapped(f"{numbers[said]} ", said)
    together = [one for one in every if one.licence and len({p.licence for p in one.parts}) > 1]
    if together:
        lines += ["", "Of several licences, a folder is under all of them:"]
        lines += [f"  {one.owner}: {one.licence}" for one in together]
    if notes and not sample:
        lines += ["", "Licences in words, which no program understands:"]
        for name, note in notes.items():
            lines += _wrapped(f"  {name}: ", note)
    return "\n".join(lines)


def _said(part: Terms) -> str:
    gated = "Gated: to be accepted on the repository's page" if part.gated else ""
    redistribution = f"Redistribution: {part.redistribution}"
    said = (part.title, part.link, redistribution, part.use.capitalize(), gated)
    return ". ".join(one for one in said if one)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _wrapped(first: str, text: str) -> list[str]:
    return textwrap.wrap(
        first + text,
        100,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
