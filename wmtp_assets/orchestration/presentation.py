"""How values look on Dagster's pages: plain text, numbers, tables, and pictures of numbers.

What is said of an artifact is decided in `pages/asset/`, how pictures are drawn in
`pages/small_picture.py`; a check says what its finding says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from wmtp_assets.findings import short_digests
from wmtp_assets.pages.asset.values import Link, Picture, Table, Value
from wmtp_assets.pages.charts_of_rows import difficulty_chart
from wmtp_assets.pages.row_facets import NONE, Facets
from wmtp_assets.pages.row_query import CLASSES
from wmtp_assets.pages.small_picture import picture
from wmtp_assets.pages.text import below

# The entry of a failed check's metadata that holds its hint.
WHAT_TO_DO = "what to do"

# The entry of a materialization that says what is other than in the version before.
CHANGED = "changed"

_ACTS = re.compile(r"([\\`*\[\]<>|~$!&])")
_ADDRESS = re.compile(r":/|\bwww\.|@(?=[\w-]+\.)", re.IGNORECASE)
_BEGINS = re.compile(r"^(\d*)([#+.)=-])(?=[\s#=-]|$)")

_AS_DAGSTER = {"rows": "dagster/row_count"}


def difficulties_picture(counts: object) -> dg.MetadataValue[Any] | None:
    """A check's histogram, number of rows by difficulty and class, as bars with an axis."""
    if not isinstance(counts, dict):
        return None
    numbers = {
        int(value): _by_class(of_class) for value, of_class in counts.items() if _is_number(value)
    }
    classed = any(NONE not in of_class for of_class in numbers.values())
    chart = difficulty_chart(Facets(0, numbers, {}, {}), classed)
    markdown = None if chart is None else picture(chart, chart.x)
    return None if markdown is None else dg.MetadataValue.md(markdown)


def _by_class(counts: object) -> dict[int, int]:
    """Numbers of rows by class, as a chart takes them."""
    found: Mapping[object, Any] = counts if isinstance(counts, dict) else {"": counts}
    return {CLASSES.get(str(name), NONE): int(times) for name, times in found.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9


def plain_markdown(text: str) -> str:
    """A line of text that Markdown shows as it is: without links, pictures and markup.

    Dagster shows what a check found as Markdown in one place and as plain text in another, so only
    characters that Markdown acts on are escaped, and addresses are parted rather than escaped:
    Markdown makes links of bare ones too.
    """
    text = _ACTS.sub(r"\\\1", text)
    text = _ADDRESS.sub(lambda found: f"{found[0][:-1]} {found[0][-1]}", text)
    return _BEGINS.sub(r"\1\\\2", text)


def shown_facts(facts: Mapping[str, Value]) -> dict[str, dg.MetadataValue[Any]]:
    """The facts of an artifact as metadata, in their order: text is shown as it is, never as
    Markdown, and numbers are plotted over time."""
    return {_AS_DAGSTER.get(name, name): _shown(value) for name, value in facts.items()}


def _shown(value: Value) -> dg.MetadataValue[Any]:
    if isinstance(value, Table):
        return dg.MetadataValue.table(
            [dg.TableRecord(dict(row)) for row in value.rows], _schema(value)
        )
    if isinstance(value, Picture):
        return dg.MetadataValue.md(value.markdown)
    if isinstance(value, Link):
        return dg.MetadataValue.url(value.address)
    return metadata_value(value)


def column_schema(schema: Mapping[str, Any]) -> dg.TableSchema:
    """The fields of a JSON Schema as columns, those of an inner object as `outer.inner`."""
    return dg.TableSchema(list(_columns(schema, "")))


def _columns(schema: Mapping[str, Any], prefix: str) -> Iterator[dg.TableColumn]:
    every = dg.TableColumnConstraints(nullable=False)
    for name, rule in schema["properties"].items():
        if rule.get("type") == "object":
            yield from _columns(rule, f"{prefix}{name}.")
        else:
            described = rule.get("description")
            yield dg.TableColumn(f"{prefix}{name}", _type_of(rule), described, every)


def _type_of(rule: Mapping[str, Any]) -> str:
    kind: str = rule.get("type", "string")
    return f"array of {rule['items']['type']}" if kind == "array" else kind


def _schema(table: Table) -> dg.TableSchema:
    """The columns, in their order; of a table without rows, one (Dagster wants a schema)."""
    first = table.rows[0] if table.rows else {"nothing": ""}
    kinds = {int: "int", float: "float"}
    return dg.TableSchema(
        [dg.TableColumn(name, kinds.get(type(cell), "string")) for name, cell in first.items()]
    )


def on_page(root: Path | None, value: object) -> object:
    """A JSON value as a page shows it: digests of twelve digits, and paths below `root`, the
    storage's, relative to it."""
    if isinstance(value, str):
        return short_digests(value if root is None else below(root, value))
    if isinstance(value, dict):
        return {str(on_page(root, str(name))): on_page(root, one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [on_page(root, one) for one in value]
    return value


def metadata_value(value: object) -> dg.MetadataValue[Any]:
    """Shows a JSON value in the UI as plain text, number or tree: never as markup or a link."""
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False)
        return dg.MetadataValue.text(text) if len(text) <= 200 else dg.MetadataValue.json(value)
    return dg.MetadataValue.text(str(value))
