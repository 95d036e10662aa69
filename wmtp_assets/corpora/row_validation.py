"""What every row must be, as Arrow and pandera schemas that follow from the format's `fields`.

Lines are parsed into typed Arrow columns, a block at a time and without Python objects, so a type
that is not exactly the declared one (true for 1, a number for a text), a missing field and an
unknown one are refused while parsing; values are checked by pandera, column by column. schema.json
says the same to readers (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd
import pandera.pandas as pdr
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from wmtp_assets.corpora.dataset_format import DatasetFormat, Rule
from wmtp_assets.corpora.schema import row_schema

_KEPT = 5  # lines of a block that are named
_ARROW = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "array": pa.list_(pa.string()),
}
_PYTHON = {pa.string(): str, pa.bool_(): bool}


@cache
def arrow_schema(dataset_format: DatasetFormat) -> pa.Schema:
    """The schema that lines are parsed by."""
    return pa.schema(_arrow_fields(row_schema(dataset_format)["properties"]))


def _arrow_fields(rules: Mapping[str, Rule]) -> list[pa.Field]:
    return [
        pa.field(
            name,
            pa.struct(_arrow_fields(rule["properties"]))
            if rule.get("type") == "object"
            else _arrow_type(rule),
        )
        for name, rule in rules.items()
    ]


def _arrow_type(rule: Rule) -> pa.DataType:
    return _ARROW["string" if "const" in rule else rule["type"]]


@cache
def frame_schema(dataset_format: DatasetFormat) -> pdr.DataFrameSchema:
    """The schema that parsed lines are checked by, nested fields by dotted name."""
    columns: dict[str, pdr.Column] = {}
    for name, rule in row_schema(dataset_format)["properties"].items():
        if rule.get("type") == "object":
            columns |= {f"{name}.{each}": _column(it) for each, it in rule["properties"].items()}
        else:
            columns[name] = _column(rule)
    return pdr.DataFrameSchema(columns, strict=True)


def _column(rule: Rule) -> pdr.Column:
    return pdr.Column(pd.ArrowDtype(_arrow_type(rule)), _checks(rule))


def _checks(rule: Rule) -> list[pdr.Check]:
    checks = []
    if "const" in rule:
        checks.append(pdr.Check.eq(rule["const"]))
    if "enum" in rule:
        checks.append(pdr.Check.isin(rule["enum"], name="one of upstream's values"))
    if "minLength" in rule:
        least = rule["minLength"]
        checks.append(pdr.Check.str_length(min_value=least, name=f"at least {least}"))
    if "pattern" in rule:
        pattern = rule["pattern"]
        checks.append(pdr.Check(_matching, name=f"matches {pattern}", pattern=pattern))
    if rule.get("type") == "array":
        least = rule.get("minItems", 0)
        checks.append(pdr.Check(_lists_of_texts, name="items", least=least))
    return checks


def _matching(column: pd.Series[Any], *, pattern: str) -> pd.Series[Any]:
    found = pc.match_substring_regex(pa.chunked_array(column.array.__arrow_array__()), pattern)
    return pd.Series(pd.arrays.ArrowExtensionArray(found), index=column.index)


def _lists_of_texts(column: pd.Series[Any], *, least: int) -> bool:
    """No list has fewer than `least` elements, and none holds a null."""
    lists = pa.chunked_array(column.array.__arrow_array__())
    return (
        not pc.list_flatten(lists).null_count
        and not pc.any(pc.less(pc.list_value_length(lists), least)).as_py()
    )


def parsed(block: bytes, dataset_format: DatasetFormat) -> pa.Table:
    """Lines as Arrow columns, nested fields by dotted name.

    Raises ArrowInvalid where a line is not JSON, or has another field, or one of another type.
    """
    read = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
    schema = arrow_schema(dataset_format)
    parse = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return pa.json.read_json(pa.BufferReader(block), read, parse).flatten()


def value_faults(table: pa.Table, dataset_format: DatasetFormat, first: int) -> list[str]:
    """What the declared schema finds in parsed lines, as "line 7: difficulty: one of upstream's
    values"; lines count from 0, and `table` begins at line `first`."""
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    schema = frame_schema(dataset_format)
    try:
        schema.validate(frame, lazy=True)
    except pdr.errors.SchemaErrors as errors:
        found = []
        for case in errors.failure_cases.head(_KEPT).to_dict("records"):
            at = case["index"]
            if at is None:  # a check of a whole column: the line is looked for one at a time
                at = _first_line(frame, schema)
            found.append(f"line {first + int(at)}: {case['column']}: {case['check']}")
        return found
    return []


def _first_line(frame: pd.DataFrame, schema: pdr.DataFrameSchema) -> int:
    for at in range(len(frame)):
        try:
            schema.validate(frame.iloc[at : at + 1])
        except pdr.errors.SchemaError:
            return at
    return 0


def type_faults(record: Mapping[str, Any], dataset_format: DatasetFormat) -> list[str]:
    """Fields of one record that are missing, unknown, or not exactly of the declared type."""
    return _type_faults(record, arrow_schema(dataset_format), "")


def _type_faults(record: Mapping[str, Any], fields: Any, prefix: str) -> list[str]:
    known = {field.name: field.type for field in fields}
    unknown = record.keys() - known.keys()
    found = [f"{prefix}{name}: a field that the schema does not know" for name in sorted(unknown)]
    for name, kind in known.items():
        if name not in record:
            found.append(f"{prefix}{name}: missing")
        elif pa.types.is_struct(kind) and isinstance(record[name], dict):
            found += _type_faults(record[name], kind, f"{prefix}{name}.")
        elif not _is_of(record[name], kind):
            found.append(f"{prefix}{name}: {kind}")
    return found


def _is_of(value: object, kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return type(value) is list and all(_is_of(each, kind.value_type) for each in value)
    if pa.types.is_int64(kind):
        return type(value) is int and -(2**63) <= value < 2**63
    return type(value) is _PYTHON.get(kind)
