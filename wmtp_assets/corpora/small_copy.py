"""The small corpora: a hundred rows that look like the whole, for machines that train in minutes.

Chosen over many problems, difficulties and both classes rather than from the top: the two classes
take turns, within a class its difficulties, and within one the problem that gave the fewest rows.
The same seed gives the same rows on any machine.
"""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formatting import FACTS, Formatted
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.row_index import RowIndex, as_numpy
from wmtp_assets.corpora.writer import SplitWriter


def select_small(jsonl: Path, index: Path, out: Path, rows: int, seed: int) -> SplitReport:
    """Write `rows` rows of a split to {split}_small.jsonl, its index and statistics in `out`.

    `jsonl` and its row index `index` are a build's. Rows keep their bytes and upstream's order. All
    rows are taken if the split has no more. Raises CorpusError if the two files do not match.
    """
    source = RowIndex(index)
    split = str(source.facts["split"])
    chosen = chosen_rows(source, rows, seed)
    table = source.table().take(chosen)
    columns = {name: as_numpy(table[name]) for name in table.column_names}
    with SplitWriter(out, str(source.facts["dataset"]), split, f"{split}_small") as writer:
        writer.add(
            Formatted(
                data=_lines(jsonl, chosen, columns["offset"], columns["length"]),
                classed=table["is_correct"].null_count == 0,
                sizes=columns["length"].astype(np.int64),
                places=np.arange(table.num_rows),
                is_correct=columns["is_correct"],
                languages=columns["language"],
                output_tokens=columns["output_tokens"].astype(np.int64),
                flags=columns["flags"],
                facts=np.stack([columns[name].astype(np.int64) for name in FACTS], axis=1),
                funnel=Counter(kept=table.num_rows),
            )
        )
        return writer.finish(
            {
                "chosen_from": source.facts["jsonl"],
                "seed": seed,
                "max_tokens": source.facts["max_tokens"],
                "tokenizer_sha256": source.facts["tokenizer_sha256"],
            }
        )


def _lines(
    jsonl: Path, chosen: NDArray[np.int64], offsets: NDArray[Any], lengths: NDArray[Any]
) -> bytes:
    found = []
    with jsonl.open("rb") as file:
        for row, offset, length in zip(
            chosen.tolist(), offsets.tolist(), lengths.tolist(), strict=True
        ):
            file.seek(offset)
            line = file.read(length)
            if not line.endswith(b"}\n") or line.count(b"\n") != 1:
                raise CorpusError(
                    "The row index does not describe this JSONL file",
                    expected=f"line {row} at byte {offset:,}",
                    found=repr(line[-20:]),
                    where=jsonl,
                    hint="Materialize the split again.",
                )
            found.append(line)
    return b"".join(found)


def chosen_rows(source: RowIndex, rows: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the rows that `select_small` writes, in the order in which it does."""
    return np.sort(_choose(source, rows, seed))


def _choose(source: RowIndex, rows: int, seed: int) -> NDArray[np.int64]:
    if rows >= len(source):
        return np.arange(len(source))
    problem = source.column("problem")
    is_correct, difficulty = source.column("is_correct"), source.column("difficulty")
    order = ordering.shuffled(np.arange(len(source)), seed)
    turns = deque(
        _Turns(order[is_correct[order] == value], difficulty, problem, rows, seed)
        for value in np.unique(is_correct).tolist()
    )
    taken: list[int] = []
    times: Counter[int] = Counter()  # rows taken of each problem
    while len(taken) < rows:
        row = turns[0].next(times)
        if row is None:  # this class has no rows left: the other one gives the rest
            turns.popleft()
            continue
        taken.append(row)
        times[int(problem[row])] += 1
        turns.rotate(1)
    return np.array(taken, dtype=np.int64)


class _Turns:
    """The rows of one class: a row of each difficulty in turn."""

    def __init__(
        self,
        members: NDArray[np.int64],
        difficulty: NDArray[Any],
        problem: NDArray[Any],
        rows: int,
        seed: int,
    ) -> None:
        self._problem = problem
        # Difficulties start at -1 (none); a key needs a number from 0.
        values = ordering.shuffled(np.unique(difficulty[members]).astype(np.int64) + 1, seed) - 1
        self._queues = deque(
            _one_a_problem_first(members[difficulty[members] == value], problem, rows)
            for value in values.tolist()
        )

    def next(self, times: Counter[int]) -> int | None:
        """The next row, of the problem that has given the fewest; None when there are no more."""
        while self._queues:
            queue = self._queues[0]
            if not queue:
                self._queues.popleft()
                continue
            at = min(range(len(queue)), key=lambda at: (times[int(self._problem[queue[at]])], at))
            self._queues.rotate(-1)
            return queue.pop(at)
        return None


def _one_a_problem_first(members: NDArray[np.int64], problem: NDArray[Any], rows: int) -> list[int]:
    """As many of `members` as could be wanted: each problem's first, then the others."""
    _, firsts = np.unique(problem[members], return_index=True)
    firsts = np.sort(firsts)
    rest = np.setdiff1d(np.arange(members.size), firsts)
    queue: list[int] = members[np.concatenate((firsts, rest))][:rows].tolist()
    return queue
