"""What is planted in the sample is found: by executing its rows, and by comparing their texts."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.corpora.opening import open_corpus
from wmtp_assets.corpora.reader import Corpus


@pytest.fixture(scope="module")
def train(project: Project) -> Corpus:
    return open_corpus(project.storage, "codecontests", "train")


def problem_of(corpus: Corpus, row: int) -> str:
    (found,) = corpus.take([row])
    return str(found["task_id"]).rpartition("_")[0]


def rates(project: Project, dataset: str, split: str) -> Any:
    folder = project.storage / "datasets_v2" / dataset / "quality"
    return json.loads((folder / f"{split}_verdicts.json").read_bytes())


@pytest.mark.parametrize(
    ("dataset", "split", "rows"),
    [
        ("mbpp", "train", 14),
        ("mbpp", "validation", 8),
        ("mbpp", "test", 16),
        ("humaneval", "test", 12),
    ],
)
def test_every_reference_passes(project: Project, dataset: str, split: str, rows: int) -> None:
    verdicts = rates(project, dataset, split)["verdicts"]["rows"]
    assert verdicts["passed"] == sum(verdicts.values()) == rows


def test_most_labels_hold_and_some_of_each_class_do_not(project: Project) -> None:
    found: Counter[str] = Counter()
    for split in ("train", "valid", "test"):
        document = rates(project, "codecontests", split)
        for one in document["rates"]:
            if one["by"] == "all":
                found[f"{one['class']} judged"] += one["judged"]
                found[f"{one['class']} wrong"] += one["judged"] - one["agree"]
        assert sum(document["apart"]["several_answers"].values()) > 0
        assert sum(document["apart"]["python2"].values()) > 0
    for label in ("correct", "incorrect"):
        assert 0 < found[f"{label} wrong"] < found[f"{label} judged"] / 4


def test_the_planted_leaks_are_found(train: Corpus) -> None:
    found = {
        (problem_of(train, one["row"]), one["dataset"], one["split"], one["how"])
        for one in train.annotations.file("leaks").table().to_pylist()
    }
    assert {one for one in found if one[1] != "codecontests"} == {
        ("p00018 The Best Window_correct", "humaneval", "test", "renamed"),
        ("p00032 AtCoder Sample Contest 32 - A Secret Note_correct", "mbpp", "test", "reformatted"),
    }
    assert ("PACK46_incorrect", "codecontests", "test", "verbatim") in found


def test_near_copies_are_in_one_cluster(train: Corpus) -> None:
    clusters = train.column("cluster")
    marked = [row for row in range(len(train)) if "# second attempt" in train[row]["output"]]
    assert len(marked) == 1
    same = [row for row, one in enumerate(clusters) if one == clusters[marked[0]]]
    assert len(same) > 1
    statistics = train.annotations.file("duplicates").facts["statistics"]
    assert statistics["label_conflicts"]["texts"] == 1
