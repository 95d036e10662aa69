"""Upstream's rows written in other layouts that Parquet allows for the same data."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "binary_view": pa.binary(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "large dictionary": pa.dictionary(pa.int64(), pa.large_string()),
}
VIEWS = ("string_view", "binary_view")
INTEGERS: dict[str, pa.DataType] = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "int16": pa.int16(),
    "uint16": pa.uint16(),
    "uint64": pa.uint64(),
}
LISTS = ("list", "large_list", "list_view", "large_list_view")


@dataclass(frozen=True)
class Layout:
    """How a table is written. The defaults are upstream's own way."""

    text: str = "string"
    integer: str = "int64"
    lists: str = "list"
    list_of_structs: bool = False
    shuffled: int | None = None  # the seed of another order of columns and fields
    extras: bool = False  # columns and fields that nobody asked for
    writing: dict[str, Any] = field(default_factory=dict)  # arguments of `write_table`


def write_layout(path: Path, rows: list[dict[str, Any]], schema: pa.Schema, layout: Layout) -> Path:
    """Write `rows`, which `schema` describes as upstream does, in another layout."""
    table = pa.table(
        {
            name: _column([row[name] for row in rows], schema.field(name).type, layout)
            for name in _order(schema.names, layout)
        }
    )
    if layout.extras:
        table = table.add_column(0, "names", pa.array([["x"]] * len(rows)))
        table = table.append_column("solution", pa.array([{"name": 1}] * len(rows)))
    path.parent.mkdir(parents=True, exist_ok=True)
    writing = layout.writing
    if layout.text in VIEWS:
        table, writing = _with_views(table), {**writing, "store_schema": False}
    pq.write_table(table, path, **writing)
    return path


def _with_views(table: pa.Table) -> pa.Table:
    """`table` with a schema of views for readers: pyarrow reads lists of views, but writes none."""
    views = pa.schema([(each.name, _viewed(each.type)) for each in table.schema])
    stated = base64.b64encode(views.serialize().to_pybytes())
    return table.replace_schema_metadata({"ARROW:schema": stated})


def _viewed(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string(kind):
        return pa.string_view()
    if pa.types.is_binary(kind):
        return pa.binary_view()
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, _viewed(each.type)) for each in kind])
    for is_kind, make in (
        (pa.types.is_list, pa.list_),
        (pa.types.is_large_list, pa.large_list),
        (pa.types.is_list_view, pa.list_view),
        (pa.types.is_large_list_view, pa.large_list_view),
    ):
        if is_kind(kind):
            return make(_viewed(kind.value_type))
    return kind


def _column(values: list[Any], kind: pa.DataType, layout: Layout) -> pa.Array:
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        if all(pa.types.is_list(field.type) for field in kind) and layout.list_of_structs:
            inner = pa.struct(
                [(field.name, _type(field.type.value_type, layout)) for field in kind]
            )
            inner = _fields(inner, layout)
            return pa.array([_transposed(value, names) for value in values], _list(inner, layout))
        return pa.array(values, _type(kind, layout))
    return pa.array(values, _type(kind, layout))


def _transposed(value: dict[str, Any] | None, names: list[str]) -> list[dict[str, Any]] | None:
    if value is None or all(value[name] is None for name in names):
        return None
    lists = (value[name] or [] for name in names)
    return [dict(zip(names, each, strict=True)) for each in zip(*lists, strict=True)]


def _type(kind: pa.DataType, layout: Layout) -> pa.DataType:
    if pa.types.is_string(kind):
        return TEXTS[layout.text]
    if pa.types.is_integer(kind):
        return INTEGERS[layout.integer]
    if pa.types.is_list(kind):
        return _list(_type(kind.value_type, layout), layout)
    if pa.types.is_struct(kind):
        return _fields(pa.struct([(each.name, _type(each.type, layout)) for each in kind]), layout)
    return kind


def _fields(kind: pa.StructType, layout: Layout) -> pa.StructType:
    fields = {each.name: each for each in kind}
    ordered = [fields[name] for name in _order(list(fields), layout)]
    if layout.extras:
        ordered.insert(0, pa.field("comment", pa.string()))
    return pa.struct(ordered)


def _list(kind: pa.DataType, layout: Layout) -> pa.DataType:
    made: pa.DataType = {
        "list": pa.list_,
        "large_list": pa.large_list,
        "list_view": pa.list_view,
        "large_list_view": pa.large_list_view,
    }[layout.lists](kind)
    return made


def _order(names: list[str], layout: Layout) -> list[str]:
    if layout.shuffled is None:
        return names
    return random.Random(layout.shuffled).sample(names, len(names))
