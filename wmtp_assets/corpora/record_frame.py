"""schema.json as a pandera schema, so that every record is held against the very file readers get.

JSON types are compared exactly (true is not 1), so frames hold Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd  # type: ignore[import-untyped]  # pandas ships no types
import pandera.pandas as pa

Predicate = Callable[[Any], bool]

_TYPES: dict[str, Predicate] = {
    "string": lambda value: type(value) is str,
    "boolean": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int,
    "null": lambda value: value is None,
    "array": lambda value: type(value) is list,
}


class RecordFrame:
    """Holds records against one JSON Schema, many at a time."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        columns = {}
        for name, rule in _flat(schema).items():
            nullable = rule.get("type") == "null"
            checks = [
                pa.Check(predicate, element_wise=True, name=what, ignore_na=False)
                for what, predicate in _predicates(rule)
            ]
            columns[name] = pa.Column(object, checks, nullable=nullable)
        self._names = list(columns)
        self._schema = pa.DataFrameSchema(columns, strict=True)

    def failures(self, records: Sequence[Mapping[str, Any]], first: int) -> list[str]:
        """What is wrong, as "line 7: output: string" (lines count from 0, starting at `first`)."""
        lines = range(first, first + len(records))
        flat = [_flattened(record) for record in records]
        frame = pd.DataFrame(flat, index=pd.Index(lines), dtype=object)
        frame = frame.reindex(columns=[*self._names, *frame.columns.difference(self._names)])
        try:
            self._schema.validate(frame, lazy=True)
        except pa.errors.SchemaErrors as errors:
            found = []
            for case in errors.failure_cases.to_dict("records"):
                if case["check"] == "column_in_schema":  # pandera tells the column, not the rows
                    name = case["failure_case"]
                    line = next(at for at, row in zip(lines, flat, strict=True) if name in row)
                    found.append(f"line {line}: {name}: a field that the schema does not know")
                    continue
                line = case["index"]
                where = f"line {line}: " if isinstance(line, int) else ""
                found.append(f"{where}{case['column']}: {case['check']}")
            # A field that is missing shows as one of a wrong type.
            return found
        return []


def _flat(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Properties by dotted name."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, rule in schema["properties"].items():
        if rule.get("type") == "object":
            found.update({f"{name}.{inner}": value for inner, value in _flat(rule).items()})
        else:
            found[name] = rule
    return found


def _flattened(record: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": deeper for inner, deeper in value.items()})
        else:
            flat[name] = value
    return flat


def _predicates(rule: Mapping[str, Any]) -> list[tuple[str, Predicate]]:
    found: list[tuple[str, Predicate]] = []
    if "const" in rule:
        wanted = rule["const"]
        found.append((f"must be {wanted!r}", lambda value: value == wanted))
    if "type" in rule:
        found.append((rule["type"], _TYPES[rule["type"]]))
    if "enum" in rule:
        allowed = frozenset(rule["enum"])
        found.append(
            ("one of the enumeration", lambda value: isinstance(value, int) and value in allowed)
        )
    if "pattern" in rule:
        pattern = re.compile(rule["pattern"])
        found.append(
            (rule["pattern"], lambda value: isinstance(value, str) and bool(pattern.search(value)))
        )
    least = rule.get("minLength", rule.get("minItems"))
    if least is not None:
        found.append(
            (
                f"at least {least}",
                lambda value: isinstance(value, (str, list)) and len(value) >= least,
            )
        )
    if "items" in rule:
        item = _TYPES[rule["items"]["type"]]
        found.append(
            ("items", lambda value: isinstance(value, list) and all(item(each) for each in value))
        )
    return found
