"""Leaks: the rows of a training split that hold what models are evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wmtp_assets.artifacts.facts import leak_facts
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.types import Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality.leaks.references import Source
from wmtp_assets.quality.leaks.table import write_leaks


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
    """A line per pair of a row and what it holds. Raises CorpusError."""
    artifact = task.artifact
    corpus = Corpus(task.input(artifact.inputs[0], Split).jsonl)
    sources = sources_of(task.project, artifact, lambda name: task.input(name, Split).jsonl)
    path = task.folder / leaks_file(artifact)
    write_leaks(corpus, sources, path, task.log.info)
    return Made(leak_facts(path))
