"""What a format's rows look like, as JSON Schema (schema.json) and as the features of a card.

Both follow from the format's `fields`, as do the Arrow and pandera schemas in `row_validation`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from wmtp_assets.corpora.dataset_format import DatasetFormat, Rule
from wmtp_assets.corpora.row_index import OPTIONAL

_FEATURES = {
    "string": "string",
    "boolean": "bool",
    "integer": "int64",
}
_KEYWORDS = {
    "string": {"type", "description", "minLength", "pattern"},
    "boolean": {"type", "description"},
    "integer": {"type", "description", "enum"},
    "array": {"type", "description", "items", "minItems"},
}
_RESERVED = {"instruction", "input", "output", "metadata"}
_RESERVED_IN_METADATA = {"source", "difficulty", "has_tests"}


def row_schema(dataset_format: DatasetFormat) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one line of a split."""
    metadata = {name: dict(rule) for name, rule in dataset_format.metadata_rules().items()}
    properties: dict[str, Any] = {
        "instruction": {"type": "string", "description": "The problem's statement."},
        "input": {"type": "string", "description": "Up to two public tests, or empty."},
        "output": {"type": "string", "description": "The solution."},
        **{name: dict(rule) for name, rule in dataset_format.fields.items()},
        "metadata": {
            "type": "object",
            "properties": metadata,
            "required": list(metadata),
            "additionalProperties": False,
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A row of {dataset_format.label}",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def row_features(dataset_format: DatasetFormat) -> list[dict[str, Any]]:
    """The features of a row, as a card declares them to `datasets.load_dataset`."""
    return _features(row_schema(dataset_format)["properties"])


def _features(rules: Mapping[str, Rule]) -> list[dict[str, Any]]:
    return [{"name": name, **_feature(rule)} for name, rule in rules.items()]


def _feature(rule: Rule) -> dict[str, Any]:
    if "const" in rule:
        return {"dtype": "string"}
    if rule["type"] == "object":
        return {"struct": _features(rule["properties"])}
    if rule["type"] == "array":
        return {"sequence": _FEATURES[rule["items"]["type"]]}
    return {"dtype": _FEATURES[rule["type"]]}


def declaration_fault(dataset_format: DatasetFormat) -> str | None:
    """Why the fields of a format cannot be checked, or None: a keyword outside of those that
    `row_validation` knows would stand in schema.json and be checked by nobody."""
    if "task_id" not in dataset_format.fields:
        return "fields has no task_id"
    rules = dataset_format.fields
    fault = _fault_of_rules(rules, _RESERVED) or _fault_of_rules(
        dataset_format.metadata_fields, _RESERVED_IN_METADATA
    )
    if fault is not None:
        return fault
    if rules["task_id"]["type"] != "string":
        return "task_id is not a string"
    if "is_correct" in rules and rules["is_correct"]["type"] != "boolean":
        return "is_correct is not a boolean"
    tests = dataset_format.tests_field
    if tests is not None and rules.get(tests, {}).get("type") not in ("string", "array"):
        return f"tests_field {tests!r} is no string or array among fields"
    foreign = set(dataset_format.index_columns) - set(OPTIONAL)
    if foreign:
        return f"index_columns has {sorted(foreign)}, which are not of {OPTIONAL}"
    missing = dataset_format.columns_used() - dataset_format.columns.keys()
    return f"columns lacks {sorted(missing)}" if missing else None


def _fault_of_rules(rules: Mapping[str, Rule], reserved: Collection[str]) -> str | None:
    for name, rule in rules.items():
        if name in reserved or "." in name:
            return f"{name} is not a name that a field may have"
        known = _KEYWORDS.get(rule.get("type", ""))
        if known is None:
            return f"{name} is of type {rule.get('type')!r}, not one of {', '.join(_KEYWORDS)}"
        if not rule.keys() <= known:
            return (
                f"{name} has {', '.join(sorted(rule.keys() - known))}, not one of {sorted(known)}"
            )
        if rule["type"] == "array" and rule.get("items") != {"type": "string"}:
            return f"{name} is a list of {rule.get('items')}, not of {{'type': 'string'}}"
    return None
