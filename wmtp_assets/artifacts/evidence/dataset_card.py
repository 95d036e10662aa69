"""README.md of a dataset's folder, in the Hub's format: splits, fields, counts, origin, terms.

As the card of its rows' folder does, it declares files and features to `datasets`, and names the
rows' digest, by which `datasets` tells one edition from another (`corpora/card.py`). It declares
the number of rows too, which `load_dataset` then verifies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from huggingface_hub import DatasetCardData

from wmtp_assets.artifacts.evidence.terms import (
    SAMPLE,
    fields_of,
    front_matter,
    licence_fields,
    table,
    terms_section,
)
from wmtp_assets.catalog.licences import OwnerTerms
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.schema import row_features, row_schema
from wmtp_assets.markdown import as_code
from wmtp_assets.quality.figures.funnel import Funnel
from wmtp_assets.storage.digests import digest_of

# What a funnel calls the reasons for which candidates are no rows, in words.
_REASONS: Final[Mapping[str, str]] = {
    "null_solutions": "null",
    "too_long_by_bound": "too long",
    "too_long_by_count": "too long",
    "other_reasons": "for other reasons",
}
# What a field is that every format with it declares by its type alone; schema.json says no more.
_MEANINGS: Final[Mapping[str, str]] = {
    "is_correct": "The source's own verdict on the solution.",
    "metadata.source": "The dataset that the row is from.",
    "metadata.difficulty": "The source's number; of code_contests it is no scale across sites.",
    "metadata.has_tests": "Whether the source has tests, or a checker, for the problem.",
}
_SIZES: Final = (
    *((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")),
    *((1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M")),
)


@dataclass(frozen=True)
class SplitFile:
    """A file of a split: its place in the dataset's folder, its bytes, and its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SplitEvidence:
    """A split, by its receipt: `rows_file` are its rows, `beside` what describes them; `correct`
    and `incorrect` are None where rows have no class, `funnel` is by its statistics."""

    name: str
    rows_file: SplitFile
    beside: Sequence[SplitFile]
    rows: int
    correct: int | None
    incorrect: int | None
    funnel: Funnel

    def left_out(self) -> dict[str, int]:
        """Candidates for rows that became none, by reason in words."""
        found: dict[str, int] = {}
        for name, count in self.funnel.left_out().items():
            found[_REASONS[name]] = found.get(_REASONS[name], 0) + count
        return found


@dataclass(frozen=True)
class DatasetEvidence:
    """A dataset with the rows of one generation: all that its card and Croissant file say.

    `folder` is its folder below the storage, `max_tokens` the limit of a row's tokens; `generation`
    counts from 1.
    """

    name: str
    row_format: DatasetFormat
    generation: int
    folder: str
    splits: Sequence[SplitEvidence]
    max_tokens: int
    terms: OwnerTerms
    sample: bool = False

    @property
    def with_rows(self) -> list[SplitEvidence]:
        """The splits that have rows: readers refuse a file without any."""
        return [split for split in self.splits if split.rows]

    @property
    def citation(self) -> str:
        """The publication that describes the source; of a sample, none does."""
        return "" if self.sample else self.row_format.citation

    @property
    def rows_digest(self) -> str:
        """SHA-256 that is another one when the rows of any split are others."""
        return digest_of({split.name: split.rows_file.sha256 for split in self.splits})


def dataset_card(dataset: DatasetEvidence) -> bytes:
    """The card of a dataset's folder."""
    rows = sum(split.rows for split in dataset.splits)
    origin = dataset.terms.parts[0]
    data = DatasetCardData(
        pretty_name=dataset.name,
        size_categories=next((word for most, word in _SIZES if rows < most), "n>1T"),
        task_categories=["text-generation"],
        source_datasets=None if dataset.sample else [f"extended|{origin.repository}"],
        configs=[
            {
                "config_name": "default",
                "description": f"Rows {dataset.rows_digest}",
                "data_files": [
                    {"split": split.name, "path": split.rows_file.path}
                    for split in dataset.with_rows
                ],
            }
        ],
        dataset_info={
            "features": row_features(dataset.row_format),
            "splits": [
                {"name": split.name, "num_examples": split.rows} for split in dataset.with_rows
            ],
        },
        **cast("dict[str, Any]", licence_fields(dataset.terms, sample=dataset.sample)),
    )
    parts = [
        front_matter(fields_of(data)),
        f"# {dataset.name}\n",
        *([f"{SAMPLE}\n"] if dataset.sample else []),
        f"Solutions of tasks, {'laid out like' if dataset.sample else 'made from'} "
        f"{as_code(origin.repository)} at {as_code(origin.revision)}: one JSON object per line, in "
        "the source's order.\n",
        _splits(dataset),
        _fields(dataset),
        _left_out(dataset),
        _labels(dataset),
        f"## How to load it\n\n```python\n{loading(dataset)}\n```\n",
        "`croissant.json` describes the same files and fields to readers of "
        "[Croissant](http://mlcommons.org/croissant/1.1).\n",
        *([f"## Citation\n\n{dataset.citation}\n"] if dataset.citation else []),
        terms_section(dataset.terms, sample=dataset.sample),
    ]
    return "\n".join(parts).encode()


def loading(dataset: DatasetEvidence) -> str:
    """Python that loads every split with the types of its fields, whatever the rows hold."""
    features = row_features(dataset.row_format)
    files = {
        split.name: f"storage/{dataset.folder}/{split.rows_file.path}"
        for split in dataset.with_rows
    }
    typed = "\n".join(f"    {one['name']!r}: {_typed(one)}," for one in features)
    named = "\n".join(f"    {name!r}: {path!r}," for name, path in files.items())
    lists = "List, " if "List(" in typed else ""
    text = (
        f"from datasets import Features, {lists}Value, load_dataset\n"
        f"features = Features({{\n{typed}\n}})\n"
        f"files = {{\n{named}\n}}\n"
        'rows = load_dataset("json", data_files=files, features=features)'
    )
    return text.replace("'", '"')  # names and paths of a catalog hold neither


def _typed(feature: Mapping[str, Any]) -> str:
    if "struct" in feature:
        inner = ", ".join(f"{one['name']!r}: {_typed(one)}" for one in feature["struct"])
        return f"{{{inner}}}"
    if "sequence" in feature:
        return f"List(Value({feature['sequence']!r}))"
    return f"Value({feature['dtype']!r})"


def _splits(dataset: DatasetEvidence) -> str:
    classed = dataset.row_format.classed
    counts = ("correct", "incorrect") if classed else ()
    lines = [
        (
            split.name,
            f"{split.rows:,}",
            *(f"{getattr(split, name):,}" for name in counts),
            f"{split.rows_file.size:,}",
            as_code(split.rows_file.sha256),
        )
        for split in dataset.splits
    ]
    return "## Splits\n\n" + table(("split", "rows", *counts, "bytes", "SHA-256"), lines)


def _fields(dataset: DatasetEvidence) -> str:
    rules = row_schema(dataset.row_format)["properties"]
    lines = []
    for name, rule in rules.items():
        within = rule["properties"] if rule.get("type") == "object" else {"": rule}
        lines += [
            (as_code(field), _type(inner), meaning_of(field, inner))
            for field, inner in (
                (f"{name}.{one}".rstrip("."), inner) for one, inner in within.items()
            )
        ]
    return "## Fields\n\n" + table(("field", "type", "meaning"), lines)


def _type(rule: Mapping[str, Any]) -> str:
    if "const" in rule:
        return f"always {as_code(str(rule['const']))}"
    return "list of strings" if rule["type"] == "array" else str(rule["type"])


def meaning_of(field: str, rule: Mapping[str, Any]) -> str:
    """What a field is, in words: by its rule, or by its name, such as metadata.difficulty."""
    return str(rule.get("description") or _MEANINGS.get(field, ""))


def _left_out(dataset: DatasetEvidence) -> str:
    lines = []
    for split in dataset.splits:
        counts = [f"{count:,} {word}" for word, count in split.left_out().items()]
        if others := split.funnel.count("other_languages"):
            counts.append(f"beside {others:,} in other languages")
        if counts:
            candidates = split.funnel.count("candidates")
            lines.append(f"- {split.name}: of {candidates:,} candidates {', '.join(counts)}")
    if not lines:
        return "## What was left out\n\nNothing: every candidate for a row became one.\n"
    return (
        "## What was left out\n\nSolutions that became no row; too long are those of more than "
        f"{dataset.max_tokens:,} tokens with their statement:\n\n" + "\n".join(lines) + "\n"
    )


def _labels(dataset: DatasetEvidence) -> str:
    if dataset.row_format.classed:
        said = "`is_correct` is the source's own verdict on a solution, which tests decided there."
    else:
        said = "Each task has its source's one solution, taken as correct; rows have no class."
    where = (
        " What executing solutions, comparing with evaluation sets and comparing rows with each "
        "other found is in `quality/`, if the catalog asked for it: nothing of it is repeated here."
    )
    return f"## Labels\n\n{said}{where}\n"
