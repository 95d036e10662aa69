"""The search for leaks in parts, on whatever engine: tasks and results as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.engines.conditions import installation, require
from wmtp_assets.engines.engine import Function, Result, Task, Worker
from wmtp_assets.engines.forms import MEASURE, NUMBER, RUN, Named, gives, takes
from wmtp_assets.engines.parts import divided, rows_of, runs_of
from wmtp_assets.quality.leaks.deciding import How, Match
from wmtp_assets.quality.leaks.references import Source
from wmtp_assets.quality.leaks.search import Counts, Leak, find_leaks
from wmtp_assets.quality.leaks.table import WITH_EXCERPTS

LEAST_ROWS: Final = 20_000
"""Of a part: each indexes all references anew, which takes seconds."""


@takes(
    {
        "corpus": str,
        "sources": [{"dataset": str, "split": str, "corpus": str, "whole": bool}],
        "rows": [RUN],
        "conditions": Named(str),
    }
)
@gives(
    {  # the fields of each `search.Leak`, those of its match at the end
        "leaks": [(NUMBER, str, str, NUMBER, str, str, frozenset(How), MEASURE, str, str)],
        "not_parsed": [str],
    }
)
def search_rows(task: Task, worker: Worker) -> Result:
    """Searches the rows of a task.

    Raises EngineError where the installation is another one here, CorpusError where a file is
    damaged.
    """
    require(task["conditions"], installation())
    sources = [
        Source(one["dataset"], one["split"], Corpus(Path(one["corpus"])), one["whole"])
        for one in task["sources"]
    ]
    counts, corpus = Counts(), Corpus(Path(task["corpus"]))
    leaks = find_leaks(corpus, sources, counts, rows=rows_of(task["rows"]), workers=worker.cores)
    found = [_as_plain(leak) for leak in islice(leaks, WITH_EXCERPTS)]
    found += [_as_plain(leak.without_excerpts()) for leak in leaks]
    return {"leaks": found, "not_parsed": sorted(counts.not_parsed)}


@dataclass(frozen=True)
class RowsToSearch:
    """The rows of a split that are searched, as a whole that can be divided
    (`engines.whole.Whole`); no part has fewer than `least` rows, if there are as many."""

    corpus: Path
    sources: Sequence[tuple[str, str, Path, bool]]
    """Dataset, split, JSONL, and whether its outputs are looked for as whole programs only."""
    least: int = LEAST_ROWS
    function: Function = search_rows

    @property
    def fetched(self) -> Mapping[Path, str]:
        """As of `Whole`: none, for splits are versions."""
        return {}

    def identity(self) -> Task:
        """As of `Whole`."""
        return {
            "corpus": str(self.corpus),
            "sources": [
                {"dataset": dataset, "split": split, "corpus": str(corpus), "whole": whole}
                for dataset, split, corpus, whole in self.sources
            ],
        }

    def tasks(self, parts: int) -> list[Task]:
        """As of `Whole`: divided between problems, whose rows share texts."""
        problems = np.asarray(Corpus(self.corpus).column("problem"))
        found = divided(np.arange(problems.size, dtype=np.int64), problems, parts, self.least)
        more = {"conditions": installation()}
        return [{**self.identity(), **more, "rows": runs_of(part)} for part in found]

    def size(self, task: Task) -> int:
        """As of `Whole`: rows."""
        return sum(size for _, size in task["rows"])


def joined(results: Iterable[Result], counts: Counts) -> Iterator[Leak]:
    """The leaks of all parts in order; afterwards `counts` has the texts that nothing parsed."""
    for one in results:
        counts.not_parsed.update(one["not_parsed"])
        for values in one["leaks"]:
            yield _of_plain(values)


def _as_plain(leak: Leak) -> list[Any]:
    match = leak.match
    return [
        *(leak.row, leak.dataset, leak.split, leak.row_there, leak.field, leak.field_there),
        *(str(match.how), match.score, match.excerpt, match.excerpt_there),
    ]


def _of_plain(values: list[Any]) -> Leak:
    row, dataset, split, row_there, field, field_there, how, *match = values
    return Leak(row, dataset, split, row_there, field, field_there, Match(How(how), *match))
