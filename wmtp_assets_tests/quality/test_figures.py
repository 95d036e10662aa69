"""The figures of a split are those of its files, counted here in another way."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from wmtp_assets.corpora.annotations import about, write_annotation
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.quality.figures.funnel import ALL, Funnel, Stated, funnel_of
from wmtp_assets.quality.figures.scales import NO_CLASS, scales_of
from wmtp_assets.quality.figures.split import Figures, as_json, figures_of
from wmtp_assets_tests.pages.planting import FOLDER, encoded, plant, row

FORMAT = FORMATS["code-contests"]
ROWS = 600


@pytest.fixture(scope="module")
def columns() -> dict[str, list[int]]:
    """Columns of an index: 40 problems of several sources, with lengths and classes."""
    chance = random.Random(7)
    problem = sorted(chance.randrange(40) for _ in range(ROWS))
    source = [(1, 2, 2, 6)[at % 4] for at in problem]
    return {
        "problem": problem,
        "source": source,
        "difficulty": [
            {1: 1 + p % 5, 2: 7 + p % 9, 6: 0}[s] for p, s in zip(problem, source, strict=True)
        ],
        "cf_rating": [
            800 + 100 * (p % 7) if s == 2 else 0 for p, s in zip(problem, source, strict=True)
        ],
        "is_correct": [chance.randrange(2) for _ in problem],
        "instruction_tokens": [100 + p for p in problem],
        "output_tokens": [chance.randrange(1, 900) for _ in problem],
    }


@pytest.fixture(scope="module")
def index(columns: dict[str, list[int]], tmp_path_factory: pytest.TempPathFactory) -> RowIndex:
    storage = tmp_path_factory.mktemp("figures")
    plant(storage, [encoded(row())] * ROWS, **columns)
    return RowIndex(storage / FOLDER / "train.index.parquet")


def stats_of(rows: int, **funnel: int) -> dict[str, Any]:
    return {"split": "train", "max_tokens": 2048, "funnel": {"kept": rows, **funnel}}


def test_difficulties_are_counted_by_source(index: RowIndex, columns: dict[str, list[int]]) -> None:
    found = scales_of(index).grades
    graded = list(zip(columns["source"], columns["difficulty"], strict=True))
    assert [(one.source, one.difficulty) for one in found] == sorted(set(graded))
    for one in found:
        of = one.source, one.difficulty
        rows = [at for at in range(ROWS) if graded[at] == of]
        classes = Counter("correct" if columns["is_correct"][at] else "incorrect" for at in rows)
        assert one.rows == classes
        assert one.problems == len({columns["problem"][at] for at in rows})
        rated = {
            columns["problem"][at]: columns["cf_rating"][at]
            for at in rows
            if columns["cf_rating"][at]
        }
        assert one.rated == len(rated)
        ends = (min(rated.values()), max(rated.values())) if rated else (None, None)
        assert (one.least, one.most) == ends


def test_lengths_are_counted_by_class(index: RowIndex, columns: dict[str, list[int]]) -> None:
    found = scales_of(index).lengths
    assert list(found) == ["correct", "incorrect"]
    for name, value in (("correct", 1), ("incorrect", 0)):
        lengths = sorted(
            columns["instruction_tokens"][at] + columns["output_tokens"][at]
            for at in range(ROWS)
            if columns["is_correct"][at] == value
        )
        one = found[name]
        assert (one.rows, one.most) == (len(lengths), lengths[-1])
        assert one.mean == pytest.approx(mean(lengths))
        assert one.median == lengths[-(-len(lengths) // 2) - 1]
        assert one.percentile_95 == lengths[-(-len(lengths) * 19 // 20) - 1]
        bins = Counter(length // 128 for length in lengths)
        assert list(one.bins) == [bins[at] for at in range(max(bins) + 1)]


@pytest.mark.parametrize("groups", [1, 7, 599, 1 << 18])
def test_scales_do_not_depend_on_how_many_rows_are_read_at_once(
    index: RowIndex, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scales_of(index)
    monkeypatch.setattr("wmtp_assets.quality.figures.scales.ROWS_PER_GROUP", groups)
    assert scales_of(index) == whole


def test_rows_without_class_and_difficulty_have_a_length(tmp_path: Path) -> None:
    plant(tmp_path, [encoded(row())] * 3, difficulty=[-1] * 3, source=[-1] * 3, problem=[0, 1, 2])
    index = RowIndex(tmp_path / FOLDER / "train.index.parquet")
    (grade,) = scales_of(index).grades
    assert (grade.source, grade.difficulty, grade.problems) == (None, None, 3)
    plant(tmp_path / "none", [])
    empty = scales_of(RowIndex(tmp_path / "none" / FOLDER / "train.index.parquet"))
    assert (list(empty.grades), empty.lengths) == ([], {})
    assert NO_CLASS == "rows"


def test_a_funnel_names_what_no_reason_explains_and_compares_with_a_publication() -> None:
    counted = {"problems": 100, "candidates": 28_112, "null_solutions": 2, "too_long_by_count": 700}
    funnel = funnel_of(stats_of(27_400, **counted), FORMAT)
    assert funnel.left_out() == {
        "null_solutions": 2, "too_long_by_count": 700, "other_reasons": 10,
    }  # fmt: skip
    assert funnel.stated == Stated(281.1, 28_110, 6, 28_112)
    assert Stated(281.1, 28_110, 6, 28_116).beyond == 0, "within rounding"
    assert Stated(281.1, 28_110, 6, 28_000).beyond == -110
    assert funnel.per_problem("kept") == 274.0
    assert funnel_of(stats_of(1, problems=1), FORMAT, as_published=False).stated is None
    assert funnel_of({"split": "train", "funnel": {}}, FORMAT).left_out() == {}


def test_the_published_counts_lose_what_the_publication_says() -> None:
    """The rows that were published for this dataset beside AlphaCode's table 1."""
    kept = {"train": (13_328, 3_691_981), "valid": (117, 14_725), "test": (165, 14_851)}
    lost = {
        split: 1 - rows / (FORMAT.python_solutions[split] * problems)
        for split, (problems, rows) in kept.items()
    }
    assert {split: round(100 * share, 1) for split, share in lost.items()} == {
        "train": 1.5, "valid": 8.3, "test": 7.5,
    }  # fmt: skip


def rates(index: RowIndex) -> dict[str, Any]:
    """A document of rates as it is written beside verdicts."""
    return {
        "about": about(index),
        "drawn": 40,
        "executed": True,
        "protocol": {"seed": 42},
        "verdicts": {"correct": {"passed": 18, "failed": 2}, "incorrect": {"failed": 20}},
        "rates": [
            {"by": "all", "value": None, "class": "correct", "agree": 18, "judged": 20,
             "rate": 0.9, "low": 0.699, "high": 0.972},
            {"by": "source", "value": 2, "class": "correct", "agree": 0, "judged": 0,
             "rate": None, "low": None, "high": None},
        ],
        "apart": {"several_answers": {"correct": 3, "incorrect": 1}},
        "parses": {"correct": {"yes": 19, "no": 1}},
        "published": [
            {"what": "elsewhere", "figures": {"true_positive": 0.85}, "protocol": "its tests"}
        ],
    }  # fmt: skip


def write_all(folder: Path, index: RowIndex, clusters: list[int]) -> dict[str, Path]:
    """Verdicts, leaks and duplicates of the rows of `index`."""
    paths = {
        "verdicts": folder / "train_verdicts.json",
        "leaks": folder / "train_leaks.parquet",
        "duplicates": folder / "train_duplicates.parquet",
    }
    paths["verdicts"].write_text(json.dumps(rates(index)))
    conflicts = {"texts": 2, "correct": 3, "incorrect": 2, "examples": [[1, 2]]}
    facts = {"statistics": {"label_conflicts": conflicts}}
    write_annotation(paths["duplicates"], "duplicates", {"cluster": clusters}, index, facts)
    pairs = [(at // 2, "mbpp", "test", at, "verbatim", "output") for at in range(50)]
    pairs += [(30, "humaneval", "test", 1, "renamed", "output")]
    whole = list(zip(*pairs, strict=True))
    names = ("row", "dataset", "split", "row_there", "how", "field")
    count = len(pairs)
    write_annotation(
        paths["leaks"],
        "leaks",
        {
            **dict(zip(names, map(list, whole), strict=True)),
            "score": [1.0] * count,
            "excerpt": ["<script>"] * count,
            "excerpt_there": ["def f"] * count,
        },
        index,
        {"statistics": {"references": {"mbpp test": 500}}},
    )
    return paths


def test_annotations_are_counted(
    index: RowIndex, columns: dict[str, list[int]], tmp_path: Path
) -> None:
    clusters = [at - at % 3 if at < 300 else at for at in range(ROWS)]
    paths = write_all(tmp_path, index, clusters)
    found = figures_of(index, stats_of(ROWS), FORMAT, **paths)
    assert found.troubles == {}
    assert found.leaks is not None
    assert (found.leaks.pairs, found.leaks.rows) == (51, 26)
    assert [(one.dataset, one.pairs, one.rows) for one in found.leaks.counts] == [
        ("humaneval", 1, 1),
        ("mbpp", 50, 25),
    ]
    assert len(found.leaks.shown) == 20
    assert {one.dataset for one in found.leaks.shown} == {"mbpp", "humaneval"}, "none is hidden"
    classes: dict[int, set[int]] = {}
    for at, cluster in enumerate(clusters):
        classes.setdefault(cluster, set()).add(columns["is_correct"][at])
    kinds = Counter(
        "both" if len(each) == 2 else "correct" if 1 in each else "incorrect"
        for each in classes.values()
    )
    assert found.clusters is not None
    assert found.clusters.classes == kinds
    assert (found.clusters.clusters, found.clusters.largest) == (400, 3)
    assert found.clusters.sizes == {1: 300, 3: 100}
    assert found.clusters.conflicts == {"texts": 2, "correct": 3, "incorrect": 2}
    assert found.leaks.references == {"mbpp test": 500}
    assert found.labels is not None
    assert found.labels.by("all")[None]["correct"].low == 0.699
    assert found.labels.by("source")[2]["correct"].rate is None
    document = json.loads(json.dumps(as_json(found)))
    assert document["labels"]["rates"][0]["agree"] == 18
    assert document["funnel"]["kept_per_problem"] == 0
    assert document["scales"]["grades"][0]["source"] == 1


def test_what_is_about_other_rows_is_said_and_the_rest_is_given(
    index: RowIndex, tmp_path: Path
) -> None:
    plant(tmp_path / "other", [encoded(row())] * ROWS)
    other = RowIndex(tmp_path / "other" / FOLDER / "train.index.parquet")
    other.facts["jsonl"] = {"sha256": "1" * 64, "bytes": 5}
    paths = write_all(tmp_path, other, list(range(ROWS)))
    found = figures_of(index, stats_of(ROWS), FORMAT, **paths)
    assert set(found.troubles) == {"labels", "leaks", "clusters"}
    assert all("other rows" in one.problem and one.hint for one in found.troubles.values())
    assert (found.labels, found.leaks, found.clusters) == (None, None, None)
    assert found.scales is not None
    assert len(as_json(found)["troubles"]) == 3


RATE = {
    "by": "all",
    "value": None,
    "class": "correct",
    "agree": 1,
    "judged": 1,
    "low": 0,
    "high": 1,
}
BROKEN: dict[str, Any] = {
    "no object": [],
    "no rates": {"rates": None},
    "a rate that is no fraction": {"rates": [{**RATE, "rate": 1.5}]},
    "a count that is no number": {"verdicts": {"correct": {"passed": "many"}}},
    "a count without end": {"drawn": float("inf")},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_document_of_rates_that_is_none_is_refused(
    index: RowIndex, tmp_path: Path, name: str
) -> None:
    change = BROKEN[name]
    value = {**rates(index), **change} if isinstance(change, dict) else change
    path = tmp_path / "train_verdicts.json"
    path.write_text(json.dumps(value))
    found = figures_of(index, stats_of(ROWS), FORMAT, verdicts=path)
    assert "not a document of rates" in found.troubles["labels"].problem
    assert found.troubles["labels"].where == path


def test_nothing_is_claimed_where_nothing_was_found_out(index: RowIndex, tmp_path: Path) -> None:
    found = figures_of(index, stats_of(ROWS), FORMAT, verdicts=tmp_path / "none")
    assert isinstance(found, Figures)
    assert found.labels is None
    assert set(found.troubles) == {"labels"}
    assert Funnel(0, 0, {}).per_problem("kept") == 0
    assert Funnel(0, 0, {"kept": {ALL: 3}}).columns == [ALL]
