"""README.md of a folder of rows: it declares, as on the Hub, which files `datasets` reads.

Without it `datasets.load_dataset(folder)` takes the files of the most frequent kind, which is the
row index, and infers each field's type from the first rows that it meets. An empty split must not
be declared: `datasets` refuses one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from wmtp_assets.corpora.schema import row_schema

_DTYPES = {
    "string": "string",
    "boolean": "bool",
    "integer": "int64",
    "null": "int64",  # a difficulty that no row has: the same type as where rows have one
}


def dataset_card(dataset: str, files: Mapping[str, str]) -> bytes:
    """The card of `dataset` (codecontests, mbpp or humaneval); `files` maps splits to file names.

    Raises CorpusError for any other dataset.
    """
    schema = row_schema(dataset)
    front = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": file} for split, file in files.items()],
            }
        ],
        "dataset_info": {"features": _features(schema)},
    }
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n"
        f"# {dataset}\n\n"
        "`datasets.load_dataset` reads the rows that this file declares. Every other file of this "
        "folder is\nabout them: what each row is, and where it lies.\n"
    ).encode()


def _features(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **_feature(rule)} for name, rule in schema["properties"].items()]


def _feature(rule: Mapping[str, Any]) -> dict[str, Any]:
    kind = rule.get("type", "string" if isinstance(rule.get("const"), str) else None)
    if kind == "object":
        return {"struct": _features(rule)}
    if kind == "array":
        return {"sequence": _DTYPES[rule["items"]["type"]]}
    return {"dtype": _DTYPES[kind]}
