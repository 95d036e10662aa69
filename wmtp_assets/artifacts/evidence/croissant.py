"""croissant.json of a dataset: Croissant 1.1 (http://mlcommons.org/croissant/1.1), as JSON-LD.

Its files are named relative to its own folder, with their SHA-256; its record sets are the splits,
one each, and their fields those of a row. Properties of its extension for responsible AI are stated
as far as this package knows them. `datePublished` is left to who publishes the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from wmtp_assets.artifacts.evidence.dataset_card import DatasetEvidence, SplitEvidence, meaning_of
from wmtp_assets.catalog.licences import OwnerTerms
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.storage.atomic import json_bytes

VERSION: Final = "http://mlcommons.org/croissant/1.1"
RAI: Final = "http://mlcommons.org/croissant/RAI/1.0"
# The context that the specification gives; readers compare it.
_CONTEXT: Final[Mapping[str, object]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES: Final = {"string": "sc:Text", "boolean": "sc:Boolean", "integer": "cr:Int64"}
_FORMATS: Final = {
    ".jsonl": "application/jsonlines",
    ".json": "application/json",
    ".parquet": "application/x-parquet",
}


def croissant_json(dataset: DatasetEvidence) -> bytes:
    """croissant.json of a dataset's folder."""
    origin = dataset.terms.parts[0]
    organization = origin.repository.partition("/")[0]
    page = f"https://huggingface.co/datasets/{origin.repository}"
    upstream: dict[str, object] = {
        "url": f"{page}/tree/{origin.revision}",
        "creator": {
            "@type": "Organization",
            "name": organization,
            "url": f"https://huggingface.co/{organization}",
        },
    }
    document = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": [VERSION, RAI],
        "name": dataset.name,
        "description": _description(dataset),
        "version": f"{dataset.generation}.0.0+{dataset.rows_digest[:12]}",
        "license": _licences(dataset.terms, sample=dataset.sample),
        **({} if dataset.sample else upstream),
        **({"citeAs": dataset.citation} if dataset.citation else {}),
        **_responsible(dataset),
        "distribution": [one for split in dataset.with_rows for one in _files(split)],
        "recordSet": [
            _splits(dataset),
            *(_record_set(dataset, split) for split in dataset.with_rows),
        ],
    }
    return json_bytes(document)


def _description(dataset: DatasetEvidence) -> str:
    origin = dataset.terms.parts[0]
    if dataset.sample:
        return (
            f"Generated sample, not the real data, laid out like {origin.repository}: nothing of "
            "it is in it, and no licence of it applies."
        )
    return (
        f"Rows made from {origin.repository} at {origin.revision}: instruction, input and output, "
        "with the source's own labels."
    )


def _licences(terms: OwnerTerms, *, sample: bool) -> str | list[str]:
    if sample:
        return "Generated sample, no licence of the real repository"
    found = list(dict.fromkeys(part.link or part.licence for part in terms.parts))
    return found[0] if len(found) == 1 else found


def _responsible(dataset: DatasetEvidence) -> dict[str, object]:
    """What is known of how the rows came about; upstream's own collecting is upstream's to tell."""
    origin = dataset.terms.parts[0]
    left_out = [
        f"{split.name}: {count:,} of {split.funnel.count('candidates'):,} ({reason})"
        for split in dataset.splits
        for reason, count in split.left_out().items()
    ]
    collected = (
        "Generated by a program."
        if dataset.sample
        else f"Taken from {origin.repository} at {origin.revision}."
    )
    labelled = (
        "is_correct is the source's own verdict on each solution."
        if dataset.row_format.classed
        else "No row has a label: each task has its source's one solution."
    )
    return {
        "rai:dataCollection": collected,
        "rai:dataCollectionMissingData": (
            f"Solutions that became no row: {'; '.join(left_out)}." if left_out else "None."
        ),
        "rai:dataPreprocessingProtocol": [
            "One JSON object per solution, in the source's order; bytes that are not UTF-8 are "
            "replaced by U+FFFD.",
            f"Rows of more than {dataset.max_tokens:,} tokens are left out.",
        ],
        "rai:dataAnnotationProtocol": [labelled],
    }


def _files(split: SplitEvidence) -> list[dict[str, object]]:
    return [
        {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path,
            "contentUrl": file.path,
            "contentSize": f"{file.size} B",
            "encodingFormat": _FORMATS[file.path[file.path.rindex(".") :]],
            "sha256": file.sha256,
        }
        for file in (split.rows_file, *split.beside)
    ]


def _splits(dataset: DatasetEvidence) -> dict[str, object]:
    """The enumeration of splits, by which readers know which record set is for training."""
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": "splits/name",
                "name": "name",
                "dataType": "sc:Text",
            }
        ],
        "data": [{"splits/name": split.name} for split in dataset.with_rows],
    }


def _record_set(dataset: DatasetEvidence, split: SplitEvidence) -> dict[str, object]:
    rules = row_schema(dataset.row_format)["properties"]
    return {
        "@type": "cr:RecordSet",
        "@id": split.name,
        "name": split.name,
        "description": f"{split.rows} rows of the split {split.name}.",
        "key": {"@id": f"{split.name}/task_id"},
        "field": [_field(split, (name,), rule) for name, rule in rules.items()],
    }


def _field(split: SplitEvidence, path: Sequence[str], rule: Mapping[str, Any]) -> dict[str, object]:
    """A field of a row, or one within another: the column that has it, and where in its value."""
    column, *inner = path
    meaning = meaning_of(".".join(path), rule)
    field: dict[str, object] = {
        "@type": "cr:Field",
        "@id": f"{split.name}/{'/'.join(path)}",
        "name": path[-1],
        **({"description": meaning} if meaning else {}),
    }
    if rule.get("type") == "object":
        within = [_field(split, (*path, name), one) for name, one in rule["properties"].items()]
        return {**field, "subField": within}
    source: dict[str, object] = {
        "fileObject": {"@id": split.rows_file.path},
        "extract": {"column": column},
    }
    if inner:
        source["transform"] = {"jsonPath": f"$.{'.'.join(inner)}"}
    is_list = rule.get("type") == "array"
    item = rule["items"]["type"] if is_list else rule.get("type", "string")
    return {
        **field,
        "dataType": _TYPES[item],
        **({"isArray": True, "arrayShape": "-1"} if is_list else {}),
        "source": source,
    }
