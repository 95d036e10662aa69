"""Reading a corpus: any row at once, and the samples that training draws.

    corpus = wmtp_assets.open_corpus("storage", "codecontests", "train")
    sample = corpus.balanced(50_000, among=corpus.select(difficulty=(1, 11)), seed=7)
    rows = corpus.take(sharded(sample, rank, world))

Opening reads the index's footer and a line or two. Columns of the index are read when a query
needs them. Reads go by a map of the file or by position, never by a shared file offset, so a corpus
works after fork; pickled (to spawned workers) it is its paths.

A corpus is one edition of its split from beginning to end, whatever is published meanwhile, and so
are its copies in workers. `wmtp gc` leaves that edition alone for as long as a corpus of it lives.
The exception: a reader who cannot open the lock files below the storage (`.locks/sets/`, on a
read-only disk where nobody has read before) holds nothing, and must not outlive a `gc` elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import file_set
from wmtp_assets.corpora.annotated_rows import AnnotatedRows, Origin, meets
from wmtp_assets.corpora.annotations import JOINED, AnnotationFile, AnnotationKind
from wmtp_assets.corpora.bins import check_range
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.local_lines import GAP, SPAN, LocalLines
from wmtp_assets.corpora.problem_map import ProblemIndexMap, ProblemRows
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.corpora.row_parser import LineParser, Row
from wmtp_assets.corpora.samplers import firsts
from wmtp_assets.corpora.sampling import Sampling
from wmtp_assets.corpora.selection import Rows, RowsLike, row_number, row_numbers, whole_number
from wmtp_assets.corpora.views import Views
from wmtp_assets.storage.locks import Hold

if TYPE_CHECKING:
    from wmtp_assets.bucket.ranges import RemoteFile


def _again(
    jsonl: Path,
    hold: Hold | None,
    mapped: bool | None = None,
    origin: Origin | None = None,
    opened: Mapping[AnnotationKind, AnnotationFile] | None = None,
    whole: tuple[Path, Hold | None] | None = None,
) -> Corpus:
    """A corpus that was pickled. Raises CorpusError where its edition was removed meanwhile."""
    if hold is not None and not jsonl.exists():
        raise CorpusError(
            "The edition of this corpus is not here any more",
            found="removed by `wmtp gc` after the corpus was pickled and closed",
            where=jsonl,
            hint="open it anew with open_corpus.",
        )
    corpus = Corpus(jsonl, hold, mapped, origin)
    corpus.annotations.settle(opened or {}, whole)
    return corpus


class Corpus(Sampling, Views, Sequence[Row]):
    """The rows of one JSONL file with its row index and metadata beside it.

    `facts` says what the index is of: dataset, split, rows, digests and sizes. `hold` keeps the
    files where they are (see `one_edition`), `mmap` is as in `open_corpus`. `annotations` are what
    was found out about the rows; they are looked for beside `origin`, the contract's path.
    """

    _gap, _span = GAP, SPAN

    def __init__(
        self,
        jsonl: Path,
        hold: Hold | None = None,
        mmap: bool | None = None,
        origin: Origin | None = None,
    ) -> None:
        self._hold = hold
        self._mmap = mmap
        stem = jsonl.name.removesuffix(".jsonl")
        self.jsonl = jsonl
        self.metadata = jsonl.with_name(f"{stem}_metadata.json")
        self.row_index = RowIndex(jsonl.with_name(f"{stem}.index.parquet"))
        self.facts: Mapping[str, Any] = self.row_index.facts
        self._length = len(self.row_index)
        self._check_quickly()
        origin = origin or Origin.of(jsonl)
        self.annotations = AnnotatedRows(origin, self.facts, self._length)
        self._columns: dict[str, NDArray[Any]] = {}
        self._parser = LineParser()

    def _check_quickly(self) -> None:
        file_set.check_quickly(self.jsonl, self.metadata, self.row_index)

    def __reduce__(self) -> tuple[Callable[..., Corpus], tuple[object, ...]]:
        annotations = self.annotations
        return _again, (
            self.jsonl,
            self._hold,
            self._mmap,
            annotations.origin,
            annotations.opened,
            annotations.settled(),
        )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: Any) -> Any:
        """Row `at` as a dict, counted from the end if it is negative; for anything else that names
        rows (a slice, numbers, a mask: see `selection`) a list of rows.

        Raises RowNumberError, which is an IndexError.
        """
        if type(at) is not int:  # a row at a time is the hot path
            one = whole_number(at)
            if one is None:
                return self.take(at)
            at = one
        place = at if at >= 0 else at + self._length
        if not 0 <= place < self._length:
            row_number(at, self._length)
        read, offsets, lengths, problems = self._places
        problem, begin, size = problems[place], offsets[place], lengths[place]
        head = self._parser.heads.get(problem)
        if head is not None:  # of a problem that is known, only what follows its own texts
            row = self._parser.joined(head, read(begin + head[0], size - head[0]))
            if row is not None:
                return row
        return self._parser.row(problem, read(begin, size))

    def lines(self, indices: RowsLike) -> list[bytes]:
        """The bytes of rows, in the order asked for; read in file order, neighbours together.

        `indices` names rows in any way that `selection` knows. Raises RowNumberError.
        """
        wanted = row_numbers(indices, self._length)
        found: list[bytes] = [b""] * wanted.size
        for at, line in self._arriving(wanted):
            found[at] = line
        return found

    def _arriving(self, wanted: Rows) -> Iterator[tuple[int, bytes]]:
        """The lines of rows as they are read, in file order; each with its place in `wanted`."""
        order = np.argsort(wanted, kind="stable")
        places = wanted[order]
        begins = self.column("offset")[places]
        ends = begins + self.column("length")[places]
        spans = _spans(begins, ends, self._gap, self._span)
        begin_list, end_list, targets = begins.tolist(), ends.tolist(), order.tolist()
        ranges = [(begin_list[at], end_list[until - 1]) for at, until in spans]
        for (at, until), block in zip(spans, self._source.read_all(ranges), strict=True):
            first = begin_list[at]
            for here in range(at, until):
                yield targets[here], block[begin_list[here] - first : end_list[here] - first]

    def take(self, indices: RowsLike) -> list[Row]:
        """Rows in the order asked for; only their lines are read, in file order.

        `indices` names rows in any way that `selection` knows: row numbers, a slice, or a mask with
        a truth value for every row. Raises RowNumberError.
        """
        wanted = row_numbers(indices, self._length)
        problems = self.column("problem")[wanted].tolist()
        found: list[Row] = [{}] * wanted.size
        for at, line in self._arriving(wanted):
            found[at] = self._parser.row(problems[at], line)
        return found

    def column(self, name: str) -> NDArray[Any]:
        """A column of the row index, nulls as -1; `total_tokens` is the sum of the three.

        Or of an annotation: `JOINED` in `annotations` says which there are. Raises CorpusError for
        another name, and where these rows have no such annotation.
        """
        if name not in self._columns:
            if name == "total_tokens":
                parts = ("instruction_tokens", "input_tokens", "output_tokens")
                total = sum(self.row_index.column(part).astype(np.int32) for part in parts)
                self._columns[name] = np.asarray(total)
            elif name in JOINED:
                self._columns[name] = self.annotations.column(name)
            elif name not in self.row_index.names:
                raise CorpusError(
                    "The row index has no such column",
                    expected=", ".join((*self.row_index.names, "total_tokens", *JOINED)),
                    found=name,
                    where=self.row_index.path,
                )
            else:
                self._columns[name] = self.row_index.column(name)
        return self._columns[name]

    def select(
        self,
        *,
        correct: bool | None = None,
        difficulty: tuple[int, int] | None = None,
        tokens: tuple[int, int] | None = None,
        output_tokens: tuple[int, int] | None = None,
        cf_rating: tuple[int, int] | None = None,
        languages: Sequence[int] | None = None,
        sources: Sequence[int] | None = None,
        problems: Sequence[int] | None = None,
        exclude: RowsLike = (),
        exclude_flagged: bool = False,
        verdict: str | Sequence[str] | None = None,
        leaked: bool | None = None,
        one_per_cluster: bool = False,
    ) -> Rows:
        """Row numbers, ascending, of the rows that meet every condition given.

        Ranges include both ends; `tokens` is over the three fields together. `exclude` takes row
        numbers or a mask (of rows flagged by whoever reviewed them), `exclude_flagged` leaves out
        rows that the build flagged: repaired text, an empty output or instruction.

        `verdict` is one or several of `annotations.VERDICTS`, or "" for rows that were not
        executed; `leaked` is by the leaks found. `one_per_cluster` leaves of each cluster of
        near-duplicates the first row of either class that meets the other conditions
        (`one_per_cluster()` draws one instead).

        Raises CorpusError for a condition that no row could be held against.
        """
        keep = np.ones(self._length, dtype=np.bool_)
        if correct is not None:
            if not isinstance(correct, bool):
                raise CorpusError(
                    "correct must be True, False or None",
                    expected="True, False, or None for both",
                    found=repr(correct),
                    hint="Give one of these.",
                )
            keep &= self.column("is_correct") == int(correct)
        ranges = {
            "difficulty": difficulty,
            "total_tokens": tokens,
            "output_tokens": output_tokens,
            "cf_rating": cf_rating,
        }
        for name, bounds in ranges.items():
            if bounds is not None:
                check_range(bounds, f"The condition on {name}")
                values = self.column(name)
                keep &= (values >= bounds[0]) & (values <= bounds[1])
        members = {"language": languages, "source": sources, "problem": problems}
        for name, wanted in members.items():
            if wanted is not None:
                keep &= np.isin(self.column(name), _numbers(name, wanted))
        keep[row_numbers(exclude, self._length)] = False
        if exclude_flagged:
            keep &= (self.column("flags") & file_set.BAD_FLAGS) == 0
        for mask in meets(self.column, verdict, leaked):
            keep &= mask
        found = np.flatnonzero(keep)
        if not one_per_cluster:
            return found
        return found[firsts(self.column("cluster")[found], self.column("is_correct")[found])]

    @cached_property
    def problem_index_map(self) -> ProblemIndexMap:
        """The rows of each problem by class, equal to what the current contract's metadata file
        says under this name; from the row index and a line or two of each problem."""
        read_all = self._source.read_all
        return ProblemIndexMap(ProblemRows.of_index(self.row_index, self.jsonl, read_all))

    def verify(self) -> None:
        """Digest the JSONL and the metadata whole. Raises CorpusError naming the file that is
        not what the index was made for."""
        file_set.check_digests(self.jsonl, self.metadata, self.row_index)

    @cached_property
    def _source(self) -> LocalLines | RemoteFile:
        """What reads the bytes of the lines."""
        return LocalLines(self.jsonl, int(self.facts["jsonl"]["bytes"]), self._mmap)

    @cached_property
    def _places(self) -> tuple[Callable[[int, int], bytes], memoryview, memoryview, memoryview]:
        """What reads bytes from an offset on; and of every row its offset, length and problem.

        The columns are memoryviews because numpy would make a scalar of its own of every element
        asked for.
        """
        offsets, lengths, problems = map(self.column, ("offset", "length", "problem"))
        return self._source.reader(), offsets.data, lengths.data, problems.data

    def _classes(self) -> NDArray[Any]:
        if self._length and self.column("is_correct")[0] < 0:
            raise CorpusError(
                "The rows of this corpus have no class",
                where=self.jsonl,
                found=self.facts["dataset"],
            )
        return self.column("is_correct")


def _numbers(name: str, wanted: Iterable[object]) -> list[int]:
    """The whole numbers `wanted` of a column. Raises CorpusError for anything else."""
    given = [] if isinstance(wanted, (str, bytes)) or not isinstance(wanted, Iterable) else wanted
    found = [whole_number(value) for value in given]
    numbers = [value for value in found if value is not None]
    if given is not wanted or len(numbers) != len(found):
        raise CorpusError(
            f"The condition on {name} must be a list of whole numbers",
            expected="upstream's numbers, e.g. [1, 3]",
            found=repr(wanted),
            hint="Give integers in a list.",
        )
    return numbers


def _spans(
    begins: NDArray[np.int64], ends: NDArray[np.int64], gap: int, most: int
) -> list[tuple[int, int]]:
    """Neighbouring lines to be read together: [first, last) among lines in file order. At most
    `gap` unread bytes are between neighbours, and a span has `most` bytes, or one line."""
    spans: list[tuple[int, int]] = []
    if not begins.size:
        return spans
    apart = np.flatnonzero(begins[1:] - ends[:-1] > gap) + 1
    bounds = [0, *apart.tolist(), begins.size]
    begin_list, end_list = begins.tolist(), ends.tolist()
    for at, until in itertools.pairwise(bounds):
        first = at
        for here in range(at + 1, until):
            if end_list[here] - begin_list[first] > most:
                spans.append((first, here))
                first = here
        spans.append((first, until))
    return spans
