"""A dataset format is one object: nothing else knows its name, and what it declares is checked."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wmtp_assets
from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.reader import CatalogError
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.columns import Integer, Kind, Text
from wmtp_assets.corpora.dataset_format import TASK_ID, Rule
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formats import FORMATS, register
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.metadata_checks import check_metadata
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.solved_tasks import SolvedTasks
from wmtp_assets.corpora.source_comparison import SplitSource, check_rebuilt, check_source
from wmtp_assets_tests.corpora.conftest import rows_of

PACKAGE = Path(wmtp_assets.__file__).parent


def test_no_format_is_named_outside_of_its_module() -> None:
    names = {name for each in FORMATS.values() for name in (each.name, each.label, each.source)}
    named = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent != PACKAGE / "corpora/formats"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert named == []


class Graded(SolvedTasks):
    """Tasks with a difficulty and without a class, which no shipped format has."""

    name = "graded"
    label = "graded"
    source = "graded"
    columns: ClassVar[Mapping[str, Kind]] = {
        "id": Text(),
        "question": Text(),
        "answer": Text(),
        "difficulty": Integer(),
        "check": Text(),
    }
    id_column = "id"
    instruction = "question"
    solution = "answer"
    fields: ClassVar[Mapping[str, Rule]] = {"task_id": TASK_ID, "check": {"type": "string"}}
    tests_field = "check"
    difficulties = (1, 2, 3)
    index_columns = ("difficulty",)
    growth = 8
    row_bytes = 500


ROWS = [
    {"id": f"q{at}", "question": "Why?", "answer": f"{at}", "difficulty": level, "check": "True"}
    for at, level in enumerate((3, 1, 2, 2, 1))
]


def _split(tmp_path: Path, tokenizer: Path, rows: list[dict[str, Any]]) -> tuple[SplitSource, Path]:
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(rows), shard)
    source = SplitSource(Graded(), "test", [shard], tokenizer, 2048)
    report = build_split(source.format, [shard], tokenizer, tmp_path, "test")
    return source, report.jsonl


def test_rows_may_have_a_difficulty_without_a_class(small_tokenizer: Path, tmp_path: Path) -> None:
    source, jsonl = _split(tmp_path, small_tokenizer, ROWS)
    metadata = tmp_path / "test_metadata.json"
    write_metadata(tmp_path / "test.index.parquet", metadata)
    findings = [
        *check_split(jsonl, source.format, tokenizer=small_tokenizer, rows=5),
        *check_metadata(metadata, jsonl),
        check_source(jsonl, source),
        check_rebuilt(jsonl, source, metadata),
    ]
    assert [(each.name, each.found) for each in findings if not each.passed] == []
    assert [row["metadata"]["difficulty"] for row in rows_of(jsonl)] == [3, 1, 2, 2, 1]
    assert json.loads(metadata.read_bytes())["metadata"][0] == {"difficulty": 3}
    corpus = Corpus(jsonl)
    assert corpus.column("difficulty").tolist() == [3, 1, 2, 2, 1]
    assert (
        set(corpus.column("is_correct").tolist()) == set(corpus.column("source").tolist()) == {-1}
    )


@pytest.mark.parametrize("level", [0, 4])
def test_a_difficulty_that_the_format_does_not_have_is_found(
    small_tokenizer: Path, tmp_path: Path, level: int
) -> None:
    source, jsonl = _split(
        tmp_path, small_tokenizer, [*ROWS, {**ROWS[0], "id": "x", "difficulty": level}]
    )
    failed = {each.name: each for each in check_split(jsonl, source.format) if not each.passed}
    assert failed.keys() == {"record_schema", "difficulty_known", "schema_describes_rows"}
    assert failed["difficulty_known"].expected == "upstream's values: 1-3"


@pytest.mark.parametrize("level", [-1, 1 << 15])
def test_a_difficulty_that_the_index_cannot_hold_is_refused_by_row(
    small_tokenizer: Path, tmp_path: Path, level: int
) -> None:
    odd = {**ROWS[0], "id": "x", "difficulty": level}
    with pytest.raises(CorpusError, match="out of range") as refusal:
        _split(tmp_path, small_tokenizer, [*ROWS, odd])
    assert "shard.parquet, row 5" in str(refusal.value)


_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no task_id": ({"fields": {"check": {"type": "string"}}}, "no task_id"),
    "a field that every row has": (
        {"fields": {"task_id": TASK_ID, "output": {"type": "string"}}},
        "output",
    ),
    "a field with a dot": ({"fields": {"task_id": TASK_ID, "a.b": {"type": "string"}}}, "a.b"),
    "a type that rows cannot have": (
        {"fields": {"task_id": TASK_ID, "check": {"type": "number"}}},
        "number",
    ),
    "a rule without a type": ({"fields": {"task_id": TASK_ID, "check": {}}}, "None"),
    "a keyword that nothing checks": (
        {"fields": {"task_id": TASK_ID, "check": {"type": "string", "maxLength": 3}}},
        "maxLength",
    ),
    "a field of metadata that every row has": (
        {"metadata_fields": {"has_tests": {"type": "boolean"}}},
        "has_tests",
    ),
    "a field of metadata of a type that rows cannot have": (
        {"metadata_fields": {"score": {"type": "number"}}},
        "number",
    ),
    "a field of metadata that no column has": (
        {"metadata_fields": {"score": {"type": "string"}}},
        "score",
    ),
    "a list of numbers": (
        {"fields": {"task_id": TASK_ID, "check": {"type": "array", "items": {"type": "integer"}}}},
        "integer",
    ),
    "a task id that is a number": (
        {"fields": {"task_id": {"type": "integer"}, "check": {"type": "string"}}},
        "task_id",
    ),
    "a class that is a text": (
        {
            "fields": {
                "task_id": TASK_ID,
                "check": {"type": "string"},
                "is_correct": {"type": "string"},
            }
        },
        "is_correct",
    ),
    "tests in no field": ({"tests_field": "answer"}, "answer"),
    "an index column that is not read": ({"index_columns": ("cf_rating",)}, "cf_rating"),
    "an index column that the index does not have": ({"index_columns": ("check",)}, "check"),
    "a field that no column has": (
        {"fields": {"task_id": TASK_ID, "check": {"type": "string"}, "more": {"type": "string"}}},
        "more",
    ),
    "an instruction that is not read": ({"instruction": "prompt"}, "prompt"),
    "a task id that is not read": ({"id_column": "task_id"}, "task_id"),
    "the name of another": ({"name": "mbpp"}, "mbpp"),
    "the label of another": ({"label": "codecontests"}, "CodeContests"),
}


@pytest.mark.parametrize("what", _FAULTS)
def test_a_declaration_that_cannot_be_checked_is_refused(what: str) -> None:
    attributes, words = _FAULTS[what]
    faulty = type("Faulty", (Graded,), attributes)()
    before = dict(FORMATS)
    with pytest.raises(CorpusError) as refusal:
        register(faulty)
    for word in (words, "What to do"):
        assert word in str(refusal.value)
    assert dict(FORMATS) == before


def test_a_layout_that_is_no_format_is_named_with_those_that_are(tmp_path: Path) -> None:
    text = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")
    path = tmp_path / "catalog.yaml"
    path.write_text(text.replace("layout: humaneval", "layout: human-eval"), encoding="utf-8")
    line = text[: text.index("layout: humaneval")].count("\n") + 1
    with pytest.raises(CatalogError) as refusal:
        load_catalog(path)
    for words in (f"{path}:{line}", "datasets.humaneval.layout", "'human-eval'", *FORMATS):
        assert words in str(refusal.value)
