"""The small corpora: many problems, difficulties and both classes, the same on every machine."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.metadata_checks import check_metadata
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets_tests.corpora.conftest import (
    CODE_CONTESTS,
    build_codecontests,
    problem,
    rows_of,
    write_shard,
)


@pytest.fixture
def split(small_tokenizer: Path, tmp_path: Path) -> SplitReport:
    problems = [
        problem(
            name=f"p{at}",
            difficulty=(0, 1, 7, 8, 9, 12, 28)[at % 7],
            # The first problems have by far the most rows, as upstream's popular ones do.
            solutions=[(3, f"print({k})") for k in range(200 if at < 3 else 2)],
            incorrect_solutions=[(3, f"print(-{k})") for k in range(100 if at < 3 else at % 4)],
        )
        for at in range(80)
    ]
    shard = write_shard(tmp_path / "shard.parquet", problems)
    return build_codecontests([shard], small_tokenizer, tmp_path, "train")


def test_the_choice_spreads_over_problems_difficulties_and_classes(
    split: SplitReport, tmp_path: Path
) -> None:
    report = select_small(split.jsonl, split.index, tmp_path / "small", 100, seed=1)
    rows = rows_of(report.jsonl)
    assert len(rows) == 100
    assert (report.correct, report.incorrect) == (50, 50)
    by_problem = Counter(row["task_id"].split("_")[0] for row in rows)
    assert len(by_problem) >= 70
    assert max(by_problem.values()) <= 4
    by_difficulty = Counter(row["metadata"]["difficulty"] for row in rows)
    assert len(by_difficulty) == 7
    assert max(by_difficulty.values()) <= 2 * min(by_difficulty.values())


def test_rows_keep_their_bytes_and_order(split: SplitReport, tmp_path: Path) -> None:
    report = select_small(split.jsonl, split.index, tmp_path / "small", 32, seed=1)
    whole = split.jsonl.read_bytes().splitlines()
    chosen = report.jsonl.read_bytes().splitlines()
    places = [whole.index(line) for line in chosen]
    assert places == sorted(places)
    assert len(set(places)) == 32


def test_the_seed_decides(split: SplitReport, tmp_path: Path) -> None:
    def digest(seed: int, folder: str) -> str:
        report = select_small(split.jsonl, split.index, tmp_path / folder, 32, seed)
        return hashlib.sha256(report.jsonl.read_bytes()).hexdigest()

    # The digest is written down: another machine or library version must choose the same.
    expected = "8e2a80b9ceeafa4d548bd9b1997ec9c138c1dbd8ae82422f4237dec2c00e818c"
    assert digest(7, "a") == digest(7, "b") == expected
    assert digest(8, "c") != expected


def test_a_small_split_is_proven_like_any_other(
    split: SplitReport, small_tokenizer: Path, tmp_path: Path
) -> None:
    report = select_small(split.jsonl, split.index, tmp_path / "small", 32, seed=1)
    metadata = tmp_path / "small" / "train_small_metadata.json"
    write_metadata(report.index, metadata)
    findings = check_split(report.jsonl, CODE_CONTESTS, tokenizer=small_tokenizer, rows=32)
    findings += check_metadata(metadata, report.jsonl)
    failed = [finding.name for finding in findings if not finding.passed]
    assert failed == []


def test_all_rows_are_taken_when_there_are_no_more(split: SplitReport, tmp_path: Path) -> None:
    whole = split.jsonl.read_bytes()
    for wanted in (split.rows - 1, split.rows, split.rows + 1, 10_000):
        report = select_small(split.jsonl, split.index, tmp_path / str(wanted), wanted, seed=1)
        assert report.rows == min(wanted, split.rows)
        assert (report.jsonl.read_bytes() == whole) == (wanted >= split.rows)


def test_a_class_that_runs_out_is_filled_up_by_the_other(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    right = [(3, f"print({k})") for k in range(50)]
    shard = write_shard(tmp_path / "shard.parquet", [problem(solutions=right)])
    whole = build_codecontests([shard], small_tokenizer, tmp_path, "valid")
    report = select_small(whole.jsonl, whole.index, tmp_path / "small", 32, seed=1)
    assert (report.correct, report.incorrect) == (31, 1)


def test_a_jsonl_that_the_index_does_not_describe_is_refused(
    split: SplitReport, tmp_path: Path
) -> None:
    split.jsonl.write_bytes(b"\n" + split.jsonl.read_bytes())
    with pytest.raises(CorpusError, match="does not describe"):
        select_small(split.jsonl, split.index, tmp_path / "small", 32, seed=1)
    assert list((tmp_path / "small").iterdir()) == []
