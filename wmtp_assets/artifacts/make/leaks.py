"""Leaks: the rows of a training split that hold what models are evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wmtp_assets.artifacts.facts import leak_facts
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.plans import plan_of
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.types import Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.engines.engine import chosen_engine
from wmtp_assets.engines.opening import open_engine
from wmtp_assets.engines.whole import results_of
from wmtp_assets.progress import following
from wmtp_assets.quality.leaks.parts import RowsToSearch, joined
from wmtp_assets.quality.leaks.references import Source
from wmtp_assets.quality.leaks.search import Counts
from wmtp_assets.quality.leaks.table import table_of, write_leaks, write_table


def leaks_file(artifact: Artifact) -> str:
    """The name of the file."""
    return f"{artifact.split}_leaks.parquet"


def sources_of(project: Project, artifact: Artifact, rows: Callable[[str], Path]) -> list[Source]:
    """What a split's rows are compared with; `rows` gives the JSONL of another split's artifact.

    Solutions of a set with many to a problem (whose rows have a class) count as whole programs.
    """
    found = []
    for name in artifact.inputs[1:]:
        one = project.artifacts[name]
        whole = format_of(project.catalog, one).classed
        found.append(Source(one.owner, str(one.split), Corpus(rows(name)), whole))
    return found


def search_rows(task: Task) -> Made:
    """A line per pair of a row and what it holds. Raises CorpusError; EngineError where the engine
    that was chosen cannot do it."""
    artifact = task.artifact
    corpus = Corpus(task.input(artifact.inputs[0], Split).jsonl)
    sources = sources_of(task.project, artifact, lambda name: task.input(name, Split).jsonl)
    path = task.folder / leaks_file(artifact)
    whole = rows_to_search(task)
    plan = plan_of(task, whole)
    alone = chosen_engine() == "local" or len(whole.tasks(2)) == 1  # too few to start anything
    if alone and not plan.parts:
        write_leaks(corpus, sources, path, task.log.info)
        return Made(leak_facts(path))
    counts = Counts()
    with (
        following(artifact.name, len(corpus), task.log.info, unit="rows") as at,
        open_engine(chosen_engine(), task.log.info) as engine,
    ):
        found = joined(results_of(whole, plan, engine, at), counts)
        write_table(corpus, path, table_of(found, counts, sources))
    return Made(leak_facts(path))


def rows_to_search(task: Task) -> RowsToSearch:
    """The rows of an artifact, and what is looked for in them."""
    sources = sources_of(task.project, task.artifact, lambda name: task.input(name, Split).jsonl)
    return RowsToSearch(
        task.input(task.artifact.inputs[0], Split).jsonl,
        [(one.dataset, one.split, one.corpus.jsonl, one.whole) for one in sources],
    )
