"""What every row must be, as pandera schemas over Arrow columns: one declared schema per dataset.

Lines are parsed into typed Arrow columns, a block at a time and without Python objects, so a type
that is not exactly the declared one (true for 1, a number for a text), a missing field and an
unknown one are refused while parsing; values are checked by pandera, column by column. schema.json
says the same to readers (a test compares the two).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd  # type: ignore[import-untyped]  # pandas ships no types
import pandera.pandas as pdr
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from wmtp_assets.corpora import records
from wmtp_assets.corpora.schema import DIFFICULTIES

_TEXT = pd.ArrowDtype(pa.string())
_BOOL = pd.ArrowDtype(pa.bool_())
_WHOLE = pd.ArrowDtype(pa.int64())
_TEXTS = pd.ArrowDtype(pa.list_(pa.string()))
_NULL = pd.ArrowDtype(pa.null())
_KEPT = 5  # lines of a block that are named

_LONG_ENOUGH = pdr.Check.str_length(min_value=1, name="at least 1")


def _texts_without_null(column: pd.Series[Any]) -> bool:
    """No list is empty, and none holds a null."""
    lists = pa.chunked_array(column.array.__arrow_array__())
    return (
        not pc.list_flatten(lists).null_count
        and not pc.any(pc.equal(pc.list_value_length(lists), 0)).as_py()
    )


_SHARED = {
    "instruction": pdr.Column(_TEXT),
    "input": pdr.Column(_TEXT),
    "output": pdr.Column(_TEXT),
}
_HAS_TESTS = {"metadata.has_tests": pdr.Column(_BOOL)}
_NO_DIFFICULTY = {"metadata.difficulty": pdr.Column(_NULL, nullable=True)}

SCHEMAS: Mapping[str, pdr.DataFrameSchema] = {
    records.CODECONTESTS: pdr.DataFrameSchema(
        {
            **_SHARED,
            "task_id": pdr.Column(
                _TEXT, pdr.Check.str_contains(r"_(?:in)?correct_[0-9]+$", name="_(in)correct_<i>")
            ),
            "is_correct": pdr.Column(_BOOL),
            "metadata.source": pdr.Column(_TEXT, pdr.Check.eq("code_contests")),
            "metadata.difficulty": pdr.Column(
                _WHOLE, pdr.Check.isin(DIFFICULTIES, name="one of upstream's values")
            ),
            **_HAS_TESTS,
        },
        strict=True,
    ),
    records.MBPP: pdr.DataFrameSchema(
        {
            **_SHARED,
            "task_id": pdr.Column(_TEXT, _LONG_ENOUGH),
            "test_list": pdr.Column(_TEXTS, pdr.Check(_texts_without_null, name="items")),
            "test_setup_code": pdr.Column(_TEXT),
            "metadata.source": pdr.Column(_TEXT, pdr.Check.eq("mbpp")),
            **_NO_DIFFICULTY,
            **_HAS_TESTS,
        },
        strict=True,
    ),
    records.HUMANEVAL: pdr.DataFrameSchema(
        {
            **_SHARED,
            "task_id": pdr.Column(_TEXT, _LONG_ENOUGH),
            "test": pdr.Column(_TEXT, _LONG_ENOUGH),
            "entry_point": pdr.Column(_TEXT, _LONG_ENOUGH),
            "metadata.source": pdr.Column(_TEXT, pdr.Check.eq("humaneval")),
            **_NO_DIFFICULTY,
            **_HAS_TESTS,
        },
        strict=True,
    ),
}


def parsed(block: bytes, dataset: str) -> pa.Table:
    """Lines of `dataset` as Arrow columns, nested fields by dotted name.

    Raises ArrowInvalid where a line is not JSON, or has another field, or one of another type.
    """
    read = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
    parse = pa.json.ParseOptions(explicit_schema=_ARROW[dataset], unexpected_field_behavior="error")
    return pa.json.read_json(pa.BufferReader(block), read, parse).flatten()


def value_faults(table: pa.Table, dataset: str, first: int) -> list[str]:
    """What the declared schema finds in parsed lines, as "line 7: difficulty: one of upstream's
    values"; lines count from 0, and `table` begins at line `first`."""
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    try:
        SCHEMAS[dataset].validate(frame, lazy=True)
    except pdr.errors.SchemaErrors as errors:
        found = []
        for case in errors.failure_cases.head(_KEPT).to_dict("records"):
            at = case["index"]
            if at is None:  # a check of a whole column: the line is looked for one at a time
                at = _first_line(frame, dataset)
            found.append(f"line {first + int(at)}: {case['column']}: {case['check']}")
        return found
    return []


def _first_line(frame: pd.DataFrame, dataset: str) -> int:
    for at in range(len(frame)):
        try:
            SCHEMAS[dataset].validate(frame.iloc[at : at + 1])
        except pdr.errors.SchemaError:
            return at
    return 0


def type_faults(record: Mapping[str, Any], dataset: str) -> list[str]:
    """Fields of one record that are missing, unknown, or not exactly of the declared type."""
    return _type_faults(record, _ARROW[dataset], "")


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


_PYTHON = {pa.string(): str, pa.bool_(): bool, pa.null(): type(None)}


def _arrow(schema: pdr.DataFrameSchema) -> pa.Schema:
    """The Arrow schema that lines are parsed by: the declared columns, nested again."""
    fields: list[pa.Field] = []
    inner: list[pa.Field] = []
    for name, column in schema.columns.items():
        kind = column.dtype.type.pyarrow_dtype
        outer, _, rest = name.partition(".")
        if rest:
            inner.append(pa.field(rest, kind))
        else:
            fields.append(pa.field(outer, kind))
    return pa.schema([*fields, pa.field("metadata", pa.struct(inner))])


_ARROW: Mapping[str, pa.Schema] = {name: _arrow(schema) for name, schema in SCHEMAS.items()}
