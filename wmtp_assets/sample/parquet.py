"""Parquet files as the Hub's datasets have them: an Arrow schema that follows from `features`.

The Hub keeps the features of a dataset as JSON in the schema's metadata, under `huggingface`; the
Arrow types are determined by them. Seen in the real files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets.sample.files import new_file

Feature: TypeAlias = Mapping[str, object]
Row: TypeAlias = dict[str, object]


def value(dtype: str) -> Feature:
    return {"dtype": dtype, "_type": "Value"}


def label(*names: str) -> Feature:
    """A ClassLabel: an int64, to which the names belong (or, for code_contests, do not)."""
    return {"names": list(names), "_type": "ClassLabel"}


def sequence(feature: Feature) -> Feature:
    """A list; of a struct, it is stored as a struct of parallel lists."""
    return {"feature": feature, "_type": "Sequence"}


def write_parquet(path: Path, features: Feature, rows: Sequence[Row]) -> None:
    """Write `rows` as one row group, as a shard on the Hub is."""
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([(name, _arrow_type(kind)) for name, kind in features.items()], metadata)
    table = pa.Table.from_pylist(list(rows), schema=schema)
    with new_file(path) as file:
        pq.write_table(table, file, row_group_size=max(1, len(rows)), compression="snappy")


def _arrow_type(feature: object) -> pa.DataType:
    fields = cast(Feature, feature)
    match fields.get("_type"):
        case "Value":
            return {
                "string": pa.string(),
                "int64": pa.int64(),
                "int32": pa.int32(),
                "float32": pa.float32(),
                "bool": pa.bool_(),
            }[str(fields["dtype"])]
        case "ClassLabel":
            return pa.int64()
        case "Sequence":
            inner = cast(Feature, fields["feature"])
            if "_type" in inner:
                return pa.list_(_arrow_type(inner))
            return pa.struct([(name, pa.list_(_arrow_type(item))) for name, item in inner.items()])
        case _:
            return pa.struct([(name, _arrow_type(item)) for name, item in fields.items()])
