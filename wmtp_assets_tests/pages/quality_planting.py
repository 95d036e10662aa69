"""Figures on quality of the sample's rows, from files in the form that they are published in."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.annotations import about, write_annotation
from wmtp_assets.corpora.opening import open_corpus
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.pages.facts import ReportFacts
from wmtp_assets.pages.quality_facts import QualityFacts
from wmtp_assets.quality.figures.split import Figures, figures_of

HOSTILE = "<script>alert(1)</script>\u202e\x00"


def rate(by: str, value: int | None, of: str, agree: int, judged: int) -> dict[str, Any]:
    """A rate with an interval of about the right width."""
    share = agree / judged if judged else 0.0
    half = 0.98 / judged**0.5 if judged else 0.0
    low, high = max(0.0, share - half), min(1.0, share + half)
    named = {"by": by, "value": value, "class": of, "agree": agree, "judged": judged}
    if not judged:
        return {**named, "rate": None, "low": None, "high": None}
    return {**named, "rate": share, "low": low, "high": high}


def rates_document(index: RowIndex, **changed: Any) -> dict[str, Any]:
    """The document of rates of the rows of an index, every second one drawn."""
    chance = random.Random(3)
    columns = {name: index.column(name) for name in ("is_correct", "source", "difficulty")}
    drawn = range(0, len(index), 2)
    kept: dict[tuple[str, int | None, str], list[int]] = {}
    for row in drawn:
        of = "correct" if columns["is_correct"][row] else "incorrect"
        holds = chance.random() < (0.9 if of == "correct" else 0.8)
        for by, value in (
            ("all", None),
            ("source", int(columns["source"][row])),
            ("difficulty", int(columns["difficulty"][row])),
        ):
            known = kept.setdefault((by, value, of), [0, 0])
            known[0] += holds
            known[1] += 1
    return {
        "about": about(index),
        "drawn": len(drawn),
        "executed": True,
        "protocol": {"seed": 42},
        "verdicts": {
            "correct": {"passed": 80, "failed": 9, "time": 3, "memory": 1, "not_runnable": 2},
            "incorrect": {"passed": 17, "failed": 76, "not_runnable": 3},
        },
        "rates": [rate(*key, *counts) for key, counts in sorted(kept.items(), key=str)],
        "apart": {"several_answers": {"correct": 3, "incorrect": 4}, "python2": {"correct": 2}},
        "parses": {"correct": {"yes": 90, "no": 5}, "incorrect": {"yes": 88, "no": 8}},
        "published": [
            {
                "what": "CodeContests-O's README",
                "figures": {"true_positive": 0.8505, "true_negative": 0.8152},
                "protocol": f"its own tests {HOSTILE}",
            }
        ],
        "failing": [{"row": 3, "task_id": HOSTILE, "verdict": "failed", "reason": HOSTILE}],
        **changed,
    }


def planted(project: Project, folder: Path, **changed: Any) -> Figures:
    """Figures of the sample's train split with verdicts, leaks and duplicates in `folder`."""
    corpus = open_corpus(project.store.root, "codecontests", "train")
    index = corpus.row_index
    verdicts = folder / "train_verdicts.json"
    verdicts.write_text(json.dumps(rates_document(index, **changed)))
    kinds = ("verbatim", "reformatted", "renamed")
    pairs = [
        (5 * at, ("mbpp", "humaneval")[at % 2], "test", at, kinds[at % 3], "output", 1.0,
         f"{HOSTILE} def f(n):\n    return n + {at}", f"def g(m):\n    return m + {at}")
        for at in range(24)
    ]  # fmt: skip
    names = ("row", "dataset", "split", "row_there", "how", "field", "score")
    columns = zip((*names, "excerpt", "excerpt_there"), zip(*pairs, strict=True), strict=True)
    leaks = folder / "train_leaks.parquet"
    whole = {name: list(values) for name, values in columns}
    searched = {"statistics": {"references": {"mbpp test": 500, HOSTILE: 1}}}
    write_annotation(leaks, "leaks", whole, index, searched)
    duplicates = folder / "train_duplicates.parquet"
    clusters = [at - at % 4 if at < 200 else at for at in range(len(corpus))]
    both = {"statistics": {"label_conflicts": {"texts": 1, "correct": 2, "incorrect": 3}}}
    write_annotation(duplicates, "duplicates", {"cluster": clusters}, index, both)
    artifact = project.artifacts["datasets/codecontests_train"]
    receipt = project.store.current(artifact.name)
    assert receipt is not None
    stats: Mapping[str, Any] = receipt.facts["stats"]
    row_format = format_of(project.catalog, artifact)
    return figures_of(index, stats, row_format, verdicts, leaks, duplicates)


def with_quality(facts: ReportFacts, quality: QualityFacts) -> ReportFacts:
    """The report's facts with other facts on the quality of its first split."""
    first, *others = facts.datasets
    split = dataclasses.replace(first.splits[0], quality=quality)
    changed = dataclasses.replace(first, splits=[split, *first.splits[1:]])
    return dataclasses.replace(facts, datasets=[changed, *others])
