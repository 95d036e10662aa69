"""What rows of problems with correct and incorrect solutions share: how a class of them ends."""

from __future__ import annotations

import json
from collections.abc import Sequence

from wmtp_assets.corpora import records
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.records import Solutions


def solutions_of(
    dataset_format: DatasetFormat,
    task_name: str,
    is_correct: bool,
    difficulty: int,
    has_tests: bool,
    indices: Sequence[int],
    languages: list[int],
    texts: list[bytes | None],
    others: int,
) -> Solutions:
    """One class of a problem; `indices` are places in the problem's full list, in which `others`
    solutions are in languages that give no row."""
    kind = "correct" if is_correct else "incorrect"
    facts = json.dumps(dataset_format.metadata_of(difficulty, has_tests, {}))
    return Solutions(
        is_correct=is_correct,
        tail_before=f', "task_id": {records.quoted(task_name)[:-1]}_{kind}_',
        tail_after=f'", "is_correct": {json.dumps(is_correct)}, "metadata": {facts}}}\n',
        suffixes=[str(index) for index in indices],
        languages=languages,
        texts=texts,
        others=others,
    )
