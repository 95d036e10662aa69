"""Each check passes on a sound split, and fails, naming the place, when its subject is broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.metadata_checks import check_metadata
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.findings import Finding
from wmtp_assets_tests.corpora.conftest import (
    BY_LABEL,
    CODE_CONTESTS,
    build_codecontests,
    problem,
    write_shard,
)


@pytest.fixture
def split(small_tokenizer: Path, tmp_path: Path) -> SplitReport:
    rows = [problem(name=f"p{at}", difficulty=1 + at) for at in range(10)]
    shard = write_shard(tmp_path / "shard.parquet", rows)
    report = build_codecontests([shard], small_tokenizer, tmp_path, "train")
    write_metadata(report.index, tmp_path / "train_metadata.json")
    (tmp_path / "schema.json").write_text(json.dumps(row_schema(CODE_CONTESTS), indent=2))
    return report


def _findings(split: SplitReport, tokenizer: Path | None = None) -> dict[str, Finding]:
    folder = split.jsonl.parent
    findings = check_split(
        split.jsonl,
        CODE_CONTESTS,
        tokenizer=tokenizer,
        schema=folder / "schema.json",
        rows=20,
        correct=10,
        incorrect=10,
    )
    findings += check_metadata(folder / "train_metadata.json", split.jsonl)
    return {finding.name: finding for finding in findings}


def _failed(split: SplitReport) -> set[str]:
    return {name for name, finding in _findings(split).items() if not finding.passed}


def test_a_sound_split_passes_every_check(split: SplitReport, small_tokenizer: Path) -> None:
    findings = _findings(split, small_tokenizer)
    assert [name for name, finding in findings.items() if not finding.passed] == []
    assert findings["token_sums"].details["recounted"] == 20
    assert {name for name, finding in findings.items() if not finding.blocking} == {
        "difficulty_in_training_range"
    }


def _edit(path: Path, old: bytes, new: bytes, place: int = 0) -> None:
    """Replace the `place`-th `old` in a file."""
    parts = path.read_bytes().split(old)
    assert len(parts) > place + 1
    path.write_bytes(old.join(parts[: place + 1]) + new + old.join(parts[place + 1 :]))


# (check that must fail, file, what is replaced, by what, which occurrence)
_BREAKAGES = [
    ("record_schema", "train.jsonl", b'"output"', b'"outpux"', 7),
    ("record_schema", "train.jsonl", b'"output": "print(3)"', b'"output": 33333333  ', 0),
    ("record_schema", "train.jsonl", b"{", b"[", 9),
    ("class_field", "train.jsonl", b'"is_correct": true', b'"is_correct": null', 3),
    ("class_field", "train.jsonl", b'"is_correct": true', b'"is_correct": "yy"', 3),
    ("row_counts", "train.jsonl", b'"is_correct": true', b'"is_correct":false', 3),
    ("difficulty_known", "train.jsonl", b'"difficulty": 10', b'"difficulty": 18', 0),
    ("difficulty_known", "train.jsonl", b'"difficulty": 9', b'"difficulty": -9', 0),
    ("index_describes_lines", "train.jsonl", b"Add", b"Ad", 4),
    ("index_describes_lines", "train.jsonl", b'"difficulty": 4', b'"difficulty": 5', 0),
    ("task_ids_unique", "train.jsonl", b"p3_correct_0", b"p4_correct_0", 0),
    ("stats_add_up", "train.jsonl", b"Add two", b"Add tow", 4),
    ("stats_add_up", "train_stats.json", b'"total": 20', b'"total": 21', 0),
    ("stats_add_up", "train_stats.json", b'"kept": 20', b'"kept": 19', 0),
    ("stats_add_up", "train_stats.json", b'"2": 20', b'"2": 21', 0),
    ("schema_describes_rows", "schema.json", b'"boolean"', b'"integer"', 0),
    ("metadata_matches_lines", "train_metadata.json", b"true", b"false", 4),
    ("metadata_matches_lines", "train_metadata.json", b'"difficulty": 4', b'"difficulty": 5', 0),
    ("metadata_matches_lines", "train_metadata.json", b'"metadata": [', b'"metadata":[', 0),
    ("metadata_stats_add_up", "train_metadata.json", b'"total": 20', b'"total": 2', 0),
]


@pytest.mark.parametrize(("name", "file", "old", "new", "place"), _BREAKAGES)
def test_a_broken_file_fails_its_check(
    split: SplitReport, name: str, file: str, old: bytes, new: bytes, place: int
) -> None:
    _edit(split.jsonl.parent / file, old, new, place)
    assert name in _failed(split)


def test_a_failure_names_the_line(split: SplitReport) -> None:
    _edit(split.jsonl, b'"is_correct": true', b'"is_correct": null', 3)
    found = _findings(split)
    assert "line 6" in str(found["record_schema"].found)
    assert "line 6" in str(found["index_describes_lines"].found)
    _edit(split.jsonl.parent / "train_metadata.json", b'"difficulty": 4', b'"difficulty": 5')
    assert "entry 6" in str(_findings(split)["metadata_matches_lines"].found)


def test_a_line_that_was_added_or_lost_is_noticed(split: SplitReport) -> None:
    lines = split.jsonl.read_bytes().splitlines(keepends=True)
    split.jsonl.write_bytes(b"".join(lines[:-1]))
    assert {"row_counts", "index_describes_lines", "metadata_matches_lines"} <= _failed(split)
    split.jsonl.write_bytes(b"".join([*lines, lines[0]]))
    expected = {"row_counts", "index_describes_lines", "metadata_matches_lines", "task_ids_unique"}
    assert expected <= _failed(split)


def test_difficulties_outside_the_training_range_are_shown_with_their_share(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    rows = [problem(name=f"p{at}", difficulty=(0, 7, 12, 28)[at % 4]) for at in range(8)]
    shard = write_shard(tmp_path / "shard.parquet", rows)
    report = build_codecontests([shard], small_tokenizer, tmp_path, "train")
    findings = {each.name: each for each in check_split(report.jsonl, CODE_CONTESTS)}
    shown = findings["difficulty_in_training_range"]
    assert (shown.passed, shown.blocking) == (True, False)
    assert shown.details["share_outside"] == 0.75
    both = {"correct": 2, "incorrect": 2}
    assert shown.details["histogram"] == {"0": both, "7": both, "12": both, "28": both}
    assert findings["difficulty_known"].passed


def test_rows_over_the_token_limit_are_noticed(split: SplitReport, small_tokenizer: Path) -> None:
    findings = check_split(split.jsonl, CODE_CONTESTS, tokenizer=small_tokenizer, max_tokens=10)
    assert not next(each for each in findings if each.name == "token_sums").passed


def test_tokens_that_another_tokenizer_counted_are_noticed(
    split: SplitReport, real_tokenizer: Path
) -> None:
    findings = check_split(split.jsonl, CODE_CONTESTS, tokenizer=real_tokenizer)
    assert not next(each for each in findings if each.name == "token_sums").passed


@pytest.mark.parametrize("file", ["train.jsonl", "train.index.parquet", "train_stats.json"])
def test_a_file_that_is_not_there_is_a_finding(split: SplitReport, file: str) -> None:
    (split.jsonl.parent / file).unlink()
    (finding,) = check_split(split.jsonl, CODE_CONTESTS)
    assert (finding.name, finding.passed) == ("row_counts", False)
    assert file in str(finding.found)


def test_metadata_that_is_not_there_is_a_finding(split: SplitReport) -> None:
    path = split.jsonl.parent / "train_metadata.json"
    path.unlink()
    (finding,) = check_metadata(path, split.jsonl)
    assert not finding.passed


def test_metadata_of_the_right_entries_in_another_layout_is_not_the_contracts(
    split: SplitReport,
) -> None:
    path = split.jsonl.parent / "train_metadata.json"
    path.write_text(json.dumps(json.loads(path.read_bytes())))
    findings = {each.name: each for each in check_metadata(path, split.jsonl)}
    assert "layout" in str(findings["metadata_matches_lines"].found)
    assert findings["metadata_stats_add_up"].passed


@pytest.mark.parametrize("dataset", ["codecontests", "mbpp", "humaneval"])
def test_every_dataset_has_a_schema_with_or_without_a_class(dataset: str) -> None:
    schema = row_schema(BY_LABEL[dataset])
    assert ("is_correct" in schema["required"]) == (dataset == "codecontests")
    assert schema["additionalProperties"] is False
    assert json.loads(json.dumps(schema)) == schema
