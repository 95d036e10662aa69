"""Faults of what is found out about rows, as `breaks.py` has them of everything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets.corpora.annotations import SCHEMAS, AnnotationFile, AnnotationKind
from wmtp_assets_tests.artifact_checks.breaking import Change, document
from wmtp_assets_tests.remedies.breaks import also_flipped, made_from_others, remade

VERDICTS, NOT_EXECUTED = "datasets/codecontests_test_verdicts", "datasets/mbpp_validation_verdicts"
LEAKS, DUPLICATES = "datasets/mbpp_train_leaks", "datasets/codecontests_train_duplicates"
CARD = "datasets/humaneval_quality_card"  # of other verdicts than those that are broken

# Parquet's footer names the program that wrote it: its version may change, and all can be read.
WRITTEN_BY = b"parquet-cpp-arrow version "

Lines = list[dict[str, Any]]


def annotated(
    kind: AnnotationKind,
    lines: Callable[[Lines], object] = lambda lines: None,
    footer: Callable[[dict[str, Any]], object] = lambda facts: None,
) -> Change:
    """A change of an annotation's lines, and of what its footer states."""

    def at(folder: Path) -> None:
        (path,) = folder.glob("*.parquet")
        file = AnnotationFile(path, kind)
        found, facts = file.table().to_pylist(), file.facts
        lines(found)
        footer(facts)
        schema = SCHEMAS[kind].with_metadata({"wmtp": json.dumps(facts)})
        pq.write_table(pa.Table.from_pylist(found, schema=schema), path)

    return at


def of_other_rows(facts: dict[str, Any]) -> None:
    facts["about"]["jsonl"]["sha256"] = "0" * 64


def turned_round(lines: Lines) -> None:
    """One row is without a line, and what failed has passed."""
    lines.pop(3)
    other = {"passed": "failed", "failed": "passed"}
    for line in lines:
        line["verdict"] = other.get(line["verdict"], line["verdict"])


def not_executed(facts: dict[str, Any]) -> None:
    facts.update(executed=False, why="nothing can be confined there")


def mixed(lines: Lines) -> None:
    """The last row is in a cluster of another problem, and every other one alone."""
    for row, line in enumerate(lines):
        line["cluster"] = row
    lines[-1]["cluster"] = 0


def without_counts(facts: dict[str, Any]) -> None:
    of_other_rows(facts)
    del facts["statistics"]["clusters"]


def other_rate(folder: Path) -> None:
    (path,) = folder.glob("README.md")
    path.write_text(path.read_text("utf-8").replace("%", "per cent"), "utf-8")


# As in `breaks.py`, receipts of other inputs first.
QUALITY = [
    [made_from_others(name) for name in (VERDICTS, LEAKS, DUPLICATES, CARD)],
    [
        also_flipped(
            remade(
                VERDICTS,
                annotated("verdicts", turned_round, of_other_rows),
                checks="annotation_is_of_rows every_drawn_row_judged rates_follow verdicts_repeat",
            ),
            "test_verdicts.json",
        ),
        remade(
            NOT_EXECUTED,
            annotated("verdicts", footer=not_executed),
            document("validation_verdicts.json", not_executed),
            checks="rows_executed",
        ),
        also_flipped(
            remade(
                LEAKS,
                annotated("leaks", lambda lines: lines.pop(), of_other_rows),
                checks="annotation_is_of_rows leaks_found_again",
            ),
            "train_leaks.parquet",
            WRITTEN_BY,
        ),
        also_flipped(
            remade(
                DUPLICATES,
                annotated("duplicates", mixed, without_counts),
                checks="annotation_is_of_rows clusters_within_problems duplicates_add_up "
                "clusters_equal_every_pair rows_per_cluster",
            ),
            "train_duplicates.parquet",
            WRITTEN_BY,
        ),
        also_flipped(remade(CARD, other_rate, checks="derived_from_inputs"), "figures.json"),
    ],
]
