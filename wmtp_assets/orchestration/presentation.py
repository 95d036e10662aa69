"""How values look on Dagster's pages: plain, with one picture.

The picture is an SVG in a data URI: Dagster shows a Markdown image of fewer than 1,000 characters
in place on an asset's page, and strips raw SVG.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import dagster as dg

from wmtp_assets.corpora.formats.code_contests import TRAINING_DIFFICULTIES

# The entry of a failed check's metadata that holds its hint.
WHAT_TO_DO = "what to do"

_LIMIT = 1000
_WIDTH, _HEIGHT = 7, 40  # of a bar and of the tallest one, in pixels


def _histogram_markdown(counts: Mapping[str, int], inside: range) -> str | None:
    """The counts as bars in the order given, those of `inside` dark; None where it grows too long.

    Only numbers reach the picture: labels that are not whole numbers are drawn as outside.
    """
    most = max(counts.values(), default=0)
    if not most:
        return None
    dark: list[str] = []
    light: list[str] = []
    for place, (label, count) in enumerate(counts.items()):
        height = max(1, round(_HEIGHT * count / most))
        bar = f"M{place * (_WIDTH + 1)} {_HEIGHT}v-{height}h{_WIDTH}v{height}"
        (dark if label.isdigit() and int(label) in inside else light).append(bar)
    picture = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{len(counts) * (_WIDTH + 1)}' "
        f"height='{_HEIGHT}'><path fill='#456' d='{''.join(dark)}'/>"
        f"<path fill='#e80' d='{''.join(light)}'/></svg>"
    )
    markdown = f"![difficulties](data:image/svg+xml,{quote(picture, safe='/:=')})"
    return markdown if len(markdown) < _LIMIT else None


def difficulties_picture(stats: Mapping[str, Any]) -> dg.MetadataValue[Any] | None:
    """The distribution of difficulties as bars, those beyond what training samples from marked.

    `stats` holds it as `difficulty_dist` or `histogram`: number of rows by difficulty.
    """
    counts = stats.get("difficulty_dist") or stats.get("histogram")
    if not isinstance(counts, dict):
        return None
    low, high = TRAINING_DIFFICULTIES
    markdown = _histogram_markdown(counts, range(low, high + 1))
    return dg.MetadataValue.md(markdown) if markdown else None


def column_schema(schema: Mapping[str, Any], prefix: str = "") -> dg.TableSchema:
    """The fields of a JSON Schema as columns, those of an inner object as `outer.inner`."""
    columns: list[dg.TableColumn] = []
    for name, field in schema["properties"].items():
        if field.get("type") == "object":
            columns += column_schema(field, f"{prefix}{name}.").columns
            continue
        kind = field.get("type", "string")
        if kind == "array":
            kind = f"array of {field['items']['type']}"
        present = dg.TableColumnConstraints(nullable=kind == "null")
        columns.append(dg.TableColumn(f"{prefix}{name}", kind, field.get("description"), present))
    return dg.TableSchema(columns)


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
