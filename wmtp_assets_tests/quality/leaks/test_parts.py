"""Leaks searched for in parts: the bytes of one search."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.engines.engine import EngineError, Worker
from wmtp_assets.quality.leaks.parts import RowsToSearch, joined, search_rows
from wmtp_assets.quality.leaks.references import Source
from wmtp_assets.quality.leaks.search import Counts
from wmtp_assets.quality.leaks.table import table_of, write_leaks, write_table
from wmtp_assets_tests.engines.work import require_form, require_tasks
from wmtp_assets_tests.quality.leaks.test_search import PROMPT, REFERENCES, SHORT, TASK
from wmtp_assets_tests.quality.leaks.worlds import corpus_of

ODD = {"output": "x = '\u2028é😀'\n" + TASK["output"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Source, bytes]:
    """A corpus, what is looked for in it, and the file of one search."""
    folder = tmp_path_factory.mktemp("parts")
    rows = [TASK, {}, PROMPT, {"output": TASK["output"].replace("changes", "n")}, SHORT, ODD] * 2
    corpus = corpus_of(folder / "train", "train", rows)
    source = Source("tasks", "test", corpus_of(folder / "tasks", "test", REFERENCES))
    write_leaks(corpus, [source], folder / "whole.parquet")
    return corpus, source, (folder / "whole.parquet").read_bytes()


@pytest.mark.parametrize("parts", [1, 3])
def test_any_number_of_parts_gives_the_same_bytes(
    world: tuple[Corpus, Source, bytes], tmp_path: Path, parts: int
) -> None:
    corpus, source, wanted = world
    whole = RowsToSearch(corpus.jsonl, [("tasks", "test", source.corpus.jsonl, False)], least=1)
    tasks = whole.tasks(parts)
    assert len(tasks) == parts
    assert sum(map(whole.size, tasks)) == len(corpus)
    results = [search_rows(task, Worker()) for task in json.loads(json.dumps(tasks))]
    require_tasks(search_rows, tasks)
    require_form(search_rows, results)
    counts = Counts()
    found = joined(json.loads(json.dumps(results)), counts)
    write_table(corpus, tmp_path / "leaks.parquet", table_of(found, counts, [source]))
    assert (tmp_path / "leaks.parquet").read_bytes() == wanted
    tasks[0]["conditions"] |= {"numpy": "1.0"}
    with pytest.raises(EngineError, match=r"numpy differs.*1\.0"):
        search_rows(tasks[0], Worker())
    assert len(replace(whole, least=20_000).tasks(parts)) == 1
