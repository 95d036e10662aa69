"""Near-duplicates of a split: solutions of one problem that are nearly the same text.

The rows are read once, problem by problem. Solutions of different problems are not compared, so
that memory is bounded by the largest problem, whose shingles take 8 bytes per token. Clusters are
numbered by their lowest row, and the same for any number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydantic_core import from_json

from wmtp_assets.corpora.annotations import write_annotation
from wmtp_assets.corpora.overlap import WHITE_SPACE
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.selection import Rows
from wmtp_assets.progress import following
from wmtp_assets.quality.clusters import THRESHOLD, cluster_texts
from wmtp_assets.quality.shingles import TOKENS, Shingles
from wmtp_assets.storage.digests import cores

_UNIT_BYTES = 4 << 20  # of lines that are read and compared together, where problems are small
_EXAMPLES: Final = 20
# Within a JSON string a quote has a backslash before it, so no text can hold these.
_OUTPUT, _AFTER = b'"output": "', b'", "task_id": "'


@dataclass
class LabelConflicts:
    """Solutions of one problem that are the same text, white space aside, and of both classes.

    `texts` counts them, `correct` and `incorrect` the rows that have them; `examples` are a correct
    and an incorrect row of each of the first.
    """

    texts: int = 0
    correct: int = 0
    incorrect: int = 0
    examples: list[tuple[int, int]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON, in the order in which it is stored."""
        return {
            "correct": self.correct,
            "examples": [list(pair) for pair in self.examples],
            "incorrect": self.incorrect,
            "texts": self.texts,
        }


@dataclass(frozen=True)
class Duplicates:
    """`cluster` is that of each row, int32: the lowest row of the cluster."""

    cluster: NDArray[np.int32]
    conflicts: LabelConflicts


def write_duplicates(
    corpus: Corpus,
    path: Path,
    workers: int | None = None,
    log: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Write the annotation of the rows of `corpus`; its statistics, which the file has as well."""
    found = find_duplicates(corpus, workers, log)
    stated = statistics(found.cluster, corpus.column("is_correct"))
    stated["label_conflicts"] = found.conflicts.document()
    facts = {"statistics": stated, "threshold": THRESHOLD, "tokens": TOKENS}
    write_annotation(path, "duplicates", {"cluster": found.cluster}, corpus.row_index, facts)
    return stated


def find_duplicates(
    corpus: Corpus, workers: int | None = None, log: Callable[[str], None] | None = None
) -> Duplicates:
    """The clusters of all rows. `workers` None: a thread per core; `log` gets lines on progress."""
    cluster = np.arange(len(corpus), dtype=np.int32)
    is_correct = corpus.column("is_correct")
    conflicts = LabelConflicts()
    waiting: deque[Future[list[_Compared]]] = deque()
    workers = workers or cores()
    done = 0

    def take() -> int:
        compared = waiting.popleft().result()
        for problem in compared:
            cluster[problem.rows] = problem.rows[problem.labels]
            _note(conflicts, problem, is_correct)
        return sum(problem.rows.size for problem in compared)

    what = f"near-duplicates of {corpus.facts['dataset']} {corpus.facts['split']}"
    corpus.column("length")  # before threads ask for it
    with (
        following(what, len(corpus), log or _unsaid, "rows") as at,
        ThreadPoolExecutor(workers, thread_name_prefix="duplicates") as pool,
    ):
        for unit in _units(corpus):
            waiting.append(pool.submit(_compared, corpus, unit))
            if len(waiting) > workers:
                done += take()
                at(done)
        while waiting:
            take()
    return Duplicates(cluster, conflicts)


def statistics(cluster: NDArray[Any], is_correct: NDArray[Any]) -> dict[str, Any]:
    """What clusters come to.

    clusters: how many rows remain with one per cluster. of_several: how many clusters have several
    rows, rows_of_several: how many rows these have, largest: how many the largest has. of_both:
    clusters with rows of both classes. correct, incorrect: the clusters with rows of that class,
    which is what remains with one per cluster and class.
    """
    sizes = np.bincount(cluster, minlength=cluster.size)
    several = sizes > 1
    correct, incorrect = (
        np.bincount(cluster[is_correct == value], minlength=cluster.size) > 0 for value in (1, 0)
    )
    return {
        "rows": int(cluster.size),
        "clusters": int(np.count_nonzero(sizes)),
        "of_several": int(np.count_nonzero(several)),
        "rows_of_several": int(sizes[several].sum()),
        "largest": int(sizes.max(initial=0)),
        "of_both": int(np.count_nonzero(correct & incorrect)),
        "correct": int(np.count_nonzero(correct)),
        "incorrect": int(np.count_nonzero(incorrect)),
    }


def problems_of(corpus: Corpus) -> Iterator[Rows]:
    """The rows of each problem, ascending, in the order of problems."""
    problem = corpus.column("problem")
    order = np.argsort(problem, kind="stable")
    ordered = problem[order]
    bounds = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if begin < end:
            yield order[begin:end]


def solutions_of(corpus: Corpus, rows: Rows) -> list[bytes]:
    """The outputs of some rows, in UTF-8."""
    parts = []
    for line in corpus.lines(rows):
        begin = line.find(_OUTPUT) + len(_OUTPUT)
        end = line.find(_AFTER, begin)
        if begin < len(_OUTPUT) or end < 0:  # fields in another order
            return [row["output"].encode() for row in corpus.take(rows)]
        parts.append(line[begin:end])
    if not parts:
        return []
    texts: list[str] = from_json(b'["' + b'","'.join(parts) + b'"]')
    return [text.encode() for text in texts]


@dataclass(frozen=True)
class _Compared:
    """The rows of a problem; for each the place of the first that is in its cluster; and hashes of
    their texts without white space (0: nothing else)."""

    rows: Rows
    labels: NDArray[np.int64]
    bare: NDArray[np.uint64]


def _units(corpus: Corpus) -> Iterator[list[Rows]]:
    """Problems with several rows, some of them together."""
    length = corpus.column("length")
    unit: list[Rows] = []
    size = 0
    for rows in problems_of(corpus):
        if rows.size < 2:
            continue
        size += int(length[rows].sum())
        unit.append(rows)
        if size >= _UNIT_BYTES:
            yield unit
            unit, size = [], 0
    if unit:
        yield unit


def _compared(corpus: Corpus, unit: Sequence[Rows]) -> list[_Compared]:
    """Compare the rows of each problem with each other."""
    rows = np.concatenate(unit)
    parts: list[Shingles] = []
    hashes: list[NDArray[np.uint64]] = []
    # A problem may have gigabytes of lines, of which only the outputs' shingles are kept.
    weight = np.cumsum(corpus.column("length")[rows].astype(np.int64))
    begin = 0
    while begin < rows.size:
        read = int(weight[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(weight, read + 2 * _UNIT_BYTES, "right")))
        texts = solutions_of(corpus, rows[begin:end])
        parts.append(Shingles.of(texts))
        hashes.append(np.fromiter(map(_bare, texts), np.uint64, len(texts)))
        begin = end
    shingles, bare = Shingles.joined(parts), np.concatenate(hashes)
    found = []
    begin = 0
    for problem in unit:
        end = begin + problem.size
        labels = cluster_texts(shingles.part(begin, end))
        found.append(_Compared(problem, labels, bare[begin:end]))
        begin = end
    return found


def _bare(text: bytes) -> int:
    bare = text.translate(None, WHITE_SPACE)
    return xxhash.xxh3_64_intdigest(bare) if bare else 0


def _note(conflicts: LabelConflicts, problem: _Compared, is_correct: NDArray[Any]) -> None:
    """Count the texts of one problem that have both classes."""
    classes = is_correct[problem.rows]
    right, wrong = (problem.bare[(classes == value) & (problem.bare != 0)] for value in (1, 0))
    both = np.intersect1d(right, wrong)
    conflicts.texts += both.size
    conflicts.correct += int(np.isin(right, both).sum())
    conflicts.incorrect += int(np.isin(wrong, both).sum())
    firsts = []
    for value in both.tolist():
        same = problem.bare == value
        rows = (problem.rows[np.flatnonzero(same & (classes == one))[0]] for one in (1, 0))
        firsts.append((int(next(rows)), int(next(rows))))
    room = _EXAMPLES - len(conflicts.examples)
    conflicts.examples += sorted(firsts)[: max(0, room)]


def _unsaid(_: str) -> None:
    """Where nobody asked for progress."""
