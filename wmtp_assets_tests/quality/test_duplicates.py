"""Near-duplicates of a split: clusters within each problem, and what they come to."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from wmtp_assets.corpora.annotations import AnnotationFile
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality import duplicates
from wmtp_assets.quality.duplicates import (
    find_duplicates,
    problems_of,
    solutions_of,
    statistics,
    write_duplicates,
)
from wmtp_assets_tests.corpora.conftest import (
    build_codecontests,
    problem,
    train_tokenizer,
    write_shard,
)
from wmtp_assets_tests.quality import near_copies

ODD = ['print("a\\", ")', 'x = \'", "task_id": "\'\nprint(x)', "größe = '\u2028\\n'", "\tprint()"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Forty problems of up to sixty solutions of either class, two of them of one name."""
    folder = tmp_path_factory.mktemp("duplicates")
    draw = random.Random(4)
    problems = []
    for at in range(40):
        texts = near_copies.solutions(draw, draw.choice((1, 2, 5, 60)))
        if at == 7:
            texts += ODD
        classes = [draw.random() < 0.5 for _ in texts]
        found = {
            key: [(3, text) for text, one in zip(texts, classes, strict=True) if one == correct]
            for key, correct in (("solutions", True), ("incorrect_solutions", False))
        }
        if at == 9:  # both classes have one text, but for white space
            found["solutions"].append((3, "print(  1)\nprint(2)"))
            found["incorrect_solutions"].append((3, "print(1)\r\n  print(2)"))
        problems.append(problem(name=f"{min(at, 38)}_A. Sum", **found))
    shard = write_shard(folder / "0.parquet", problems)
    tokenizer = train_tokenizer(folder, "small")
    build_codecontests([shard], tokenizer, folder, "train")
    return Corpus(folder / "train.jsonl")


def test_outputs_are_those_of_the_rows(corpus: Corpus) -> None:
    wanted = [row["output"].encode() for row in corpus]
    assert {text.encode() for text in ODD} <= set(wanted)
    assert solutions_of(corpus, np.arange(len(corpus))) == wanted
    assert solutions_of(corpus, np.empty(0, np.int64)) == []


def test_outputs_are_found_in_whatever_order_fields_are(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_AFTER", b'", "never": "')
    assert solutions_of(corpus, np.arange(9)) == [row["output"].encode() for row in corpus[:9]]


def test_clusters_are_within_problems_as_every_pair_says(corpus: Corpus) -> None:
    found = find_duplicates(corpus, workers=2)
    texts = [row["output"].encode() for row in corpus]
    wanted = np.arange(len(corpus))
    for rows in problems_of(corpus):
        wanted[rows] = rows[near_copies.clusters([texts[row] for row in rows.tolist()])]
    assert found.cluster.tolist() == wanted.tolist()
    assert found.cluster.dtype == np.int32
    assert 10 < (wanted != np.arange(len(corpus))).sum() < len(corpus) // 2
    identical = len(texts) - len(set(texts))
    assert identical > 0, "some of which are in different problems"


def test_any_number_of_threads_and_any_units_give_the_same_bytes(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_duplicates(corpus, tmp_path / "one.parquet", workers=1)
    monkeypatch.setattr(duplicates, "_UNIT_BYTES", 3000)  # a problem is read in several pieces
    write_duplicates(corpus, tmp_path / "many.parquet", workers=5)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "many.parquet").read_bytes()


def test_statistics_count_clusters_and_texts_of_both_classes(
    corpus: Corpus, tmp_path: Path
) -> None:
    path = tmp_path / "train_duplicates.parquet"
    stated = write_duplicates(corpus, path)
    file = AnnotationFile(path, "duplicates")
    assert file.facts["statistics"] == stated
    cluster = np.array(file.table()["cluster"].to_pylist())
    groups: dict[int, list[int]] = {}
    for row, at in enumerate(cluster.tolist()):
        groups.setdefault(at, []).append(int(corpus.column("is_correct")[row]))
    several = [group for group in groups.values() if len(group) > 1]
    bare = {}
    for at, row in enumerate(corpus):
        name = row["task_id"].rsplit("_", 2)[0]
        problem_row = (int(corpus.column("problem")[at]), name, "".join(row["output"].split()))
        bare.setdefault(problem_row, []).append((bool(row["is_correct"]), at))
    both = {
        text: rows for text, rows in bare.items() if {True, False} == {right for right, _ in rows}
    }
    examples = sorted(
        [min(at for right, at in rows if right), min(at for right, at in rows if not right)]
        for rows in both.values()
    )
    assert stated == {
        "rows": len(corpus),
        "clusters": len(groups),
        "of_several": len(several),
        "rows_of_several": sum(map(len, several)),
        "largest": max(map(len, several)),
        "of_both": sum({0, 1} == set(group) for group in several),
        "correct": sum(1 in group for group in groups.values()),
        "incorrect": sum(0 in group for group in groups.values()),
        "label_conflicts": {
            "texts": len(both),
            "correct": sum(right for rows in both.values() for right, _ in rows),
            "incorrect": sum(not right for rows in both.values() for right, _ in rows),
            "examples": examples[:20],
        },
    }
    assert len(both) > 20, "more than examples are kept"
    assert any("print(1)" in text for _, _, text in both)


def test_of_no_rows_there_is_nothing() -> None:
    assert set(statistics(np.empty(0, np.int32), np.empty(0, np.int8)).values()) == {0}
