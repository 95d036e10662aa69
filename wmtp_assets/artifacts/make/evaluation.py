"""What evaluation reads of whole problems: evaluation and tests files."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.types import Fetched
from wmtp_assets.catalog.contract import evaluation_of
from wmtp_assets.corpora.evaluation_files import write_evaluation, write_tests
from wmtp_assets.storage.preflight import require_space


def write_problems(task: Task) -> Made:
    """The evaluation file of a split: a line per problem. Raises CorpusError."""
    split = str(task.artifact.split)
    source = evaluation_of(task.project.catalog, task.artifact)
    shards = _shards(task)
    require_space(task.folder, source.text_bytes(shards), f"Writing {split}_eval.jsonl")
    written = write_evaluation(source, shards, task.folder, split, task.log.info)
    # A text that was repaired looks like one in which upstream has the replacement character.
    counts = {name: count for name, count in written.counts.items() if name != "texts_repaired"}
    return Made(counts, written.files)


def write_all_tests(task: Task) -> Made:
    """The tests files of a split: all tests of every problem, twice. Raises CorpusError."""
    split = str(task.artifact.split)
    source = evaluation_of(task.project.catalog, task.artifact)
    shards = _shards(task)
    # The Parquet file is compressed.
    require_space(task.folder, source.text_bytes(shards) * 3 // 2, f"Writing {split}_tests.json")
    written = write_tests(source, shards, task.folder, split, task.log.info)
    return Made(written.counts, written.files)


def _shards(task: Task) -> list[Path]:
    return list(task.input(task.artifact.inputs[0], Fetched).paths().values())
