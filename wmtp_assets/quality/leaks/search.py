"""One pass over a corpus: every row that holds a reference.

Texts are looked at once however many rows have them: an instruction is the same in all rows of its
problem. Blocks of rows are searched on every core (numpy works without the interpreter's lock), and
what is found is looked at closely in the order of the rows.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.selection import Rows
from wmtp_assets.quality.leaks.deciding import Match, decide_code, decide_prose
from wmtp_assets.quality.leaks.index import (
    INSTRUCTION,
    OUTPUT,
    Index,
    lex_twice,
    with_names_alike,
)
from wmtp_assets.quality.leaks.parsing import Parser
from wmtp_assets.quality.leaks.references import References, Source
from wmtp_assets.quality.leaks.spelling import plain
from wmtp_assets.quality.leaks.tokens import Stream, lex_prose
from wmtp_assets.storage.digests import cores

_BLOCK: Final = 1 << 20  # bytes of lines that are searched together: their tokens fit in caches
_MOST: Final = 8  # references that one field of a row is said to hold


@dataclass(frozen=True)
class Leak:
    """A row that holds a reference: in `field`, that of the reference called `field_there`."""

    row: int
    dataset: str
    split: str
    row_there: int
    field: str
    field_there: str
    match: Match

    def without_excerpts(self) -> Leak:
        """The same, but for the texts."""
        return replace(self, match=replace(self.match, excerpt="", excerpt_there=""))


@dataclass
class Counts:
    """How much was looked at."""

    rows: int = 0
    texts: int = 0
    candidates: int = 0
    not_parsed: set[str] = dataclasses.field(default_factory=set)
    """Digests of the texts at which a parser died or did not answer."""


@dataclass(frozen=True)
class _Block:
    """Rows, and their different texts by field, each with where it stands."""

    numbers: Rows
    rows: list[Row]
    texts: dict[str, dict[str, list[int]]]


Candidate = tuple[int, int, str, float]  # text, reference, its field, share


def find_leaks(
    corpus: Corpus,
    sources: Sequence[Source],
    counts: Counts | None = None,
    log: Callable[[str], None] = lambda _: None,
    rows: Rows | None = None,
    workers: int | None = None,
) -> Iterator[Leak]:
    """The rows of `corpus` that hold a row of `sources`, in the order of the rows; `counts` says
    afterwards how much was looked at. At most eight references are named of a row's field. With
    `rows` (int64, ascending), only these are searched, with the same result for each. `workers` is
    one per core if it is None.

    Memory: some hundred megabytes, whatever the corpus' size.
    """
    counts = counts if counts is not None else Counts()
    references = References(sources)
    with Parser() as parser:
        index = Index(references, corpus, parser)
        log(f"{len(references):,} rows of {len(sources)} splits are indexed")
        workers = workers or cores()
        waiting: deque[tuple[_Block, Future[dict[str, list[Candidate]]]]] = deque()
        closer = _Closer(references, parser, counts)
        with ThreadPoolExecutor(workers) as pool:
            for block in _blocks(corpus, rows):
                counts.rows += len(block.rows)
                counts.texts += sum(map(len, block.texts.values()))
                waiting.append((block, pool.submit(_candidates, block, index)))
                if len(waiting) > workers:
                    done, future = waiting.popleft()
                    yield from closer.leaks(done, future.result())
            for done, future in waiting:
                yield from closer.leaks(done, future.result())
        counts.not_parsed |= parser.not_parsed


def _blocks(corpus: Corpus, wanted: Rows | None) -> Iterator[_Block]:
    lengths = corpus.column("length")
    numbers = np.arange(len(corpus)) if wanted is None else wanted
    ends = np.cumsum(lengths[numbers], dtype=np.int64)
    first = 0
    while first < numbers.size:
        before = int(ends[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(ends, before + _BLOCK, "right")))
        rows = corpus.take(numbers[first:end])
        outputs: dict[str, list[int]] = {}
        instructions: dict[str, list[int]] = {}
        for at, row in enumerate(rows):
            outputs.setdefault(row[OUTPUT], []).append(at)
            instructions.setdefault(row[INSTRUCTION], []).append(at)
        yield _Block(numbers[first:end], rows, {INSTRUCTION: instructions, OUTPUT: outputs})
        first = end


def _candidates(block: _Block, index: Index) -> dict[str, list[Candidate]]:
    """What may be found in each of the block's texts: by field."""
    found: dict[str, list[Candidate]] = {}
    for field, texts in block.texts.items():
        own = found[field] = []
        shares: dict[tuple[int, int, str], float] = {}
        for of, stream in _prose(field, list(texts)):
            for at, pattern, share in index.prose.candidates(stream):
                key = (of[at], pattern.reference, pattern.field)
                shares[key] = max(share, shares.get(key, 0.0))
        own += [(*key, share) for key, share in sorted(shares.items())]
        if field == OUTPUT:
            places, streams = lex_twice(list(texts))
            known: set[tuple[int, int]] = set()
            for patterns, stream in (
                (index.named, streams.named),
                (index.shaped, streams.shaped),
            ):
                for text, pattern, _ in patterns.candidates(stream):
                    known.add((places[text], pattern.reference))
            for text, whole in index.programs(streams.bare):
                known.update((places[text], reference) for reference in whole)
            own += [(text, reference, "", 1.0) for text, reference in sorted(known)]
    return found


def _prose(field: str, texts: Sequence[str]) -> Iterator[tuple[Sequence[int], Stream]]:
    """The words of texts, and which text each of the stream's is; of instructions that define a
    function, also with their names alike."""
    yield range(len(texts)), lex_prose([plain(text).encode(errors="replace") for text in texts])
    if field == INSTRUCTION:
        alike = {at: with_names_alike(text) for at, text in enumerate(texts)}
        some = [(at, text) for at, text in alike.items() if text is not None]
        yield (
            [at for at, _ in some],
            lex_prose([plain(text).encode(errors="replace") for _, text in some]),
        )


class _Closer:
    """Looks at candidates closely."""

    def __init__(self, references: References, parser: Parser, counts: Counts) -> None:
        self._references = references
        self._parser = parser
        self._counts = counts

    def leaks(self, block: _Block, candidates: dict[str, list[Candidate]]) -> Iterator[Leak]:
        found: list[Leak] = []
        for field, of_field in candidates.items():
            texts = list(block.texts[field].items())
            of_text: dict[int, list[tuple[int, str, Match]]] = {}
            for text, number, field_there, share in of_field:
                self._counts.candidates += 1
                row = block.rows[texts[text][1][0]]
                match = self._match(row, texts[text][0], number, field_there, share)
                if match is not None:
                    of_text.setdefault(text, []).append((number, field_there or OUTPUT, match))
            for text, matches in of_text.items():
                chosen = _best(matches)
                for at in texts[text][1]:
                    for number, field_there, match in chosen:
                        there = self._references[number]
                        found.append(
                            Leak(
                                int(block.numbers[at]),
                                there.source.dataset,
                                there.source.split,
                                there.at,
                                field,
                                field_there,
                                match,
                            )
                        )
        found.sort(key=lambda leak: leak.row)
        yield from found

    def _match(
        self, row: Row, text: str, number: int, field_there: str, share: float
    ) -> Match | None:
        reference = self._references[number]
        if field_there:
            return decide_prose(text, reference.row[field_there], share)
        return decide_code(row, reference.row, self._parser, reference.source.whole)


_ORDER: Final = ("verbatim", "reformatted", "renamed")


def _best(matches: list[tuple[int, str, Match]]) -> list[tuple[int, str, Match]]:
    """The best of what was found in one text, each reference's field once."""
    ordered = sorted(
        matches, key=lambda one: (_ORDER.index(one[2].how), -one[2].score, one[0], one[1])
    )
    once = {(number, field): (number, field, match) for number, field, match in reversed(ordered)}
    return sorted(
        once.values(), key=lambda one: (_ORDER.index(one[2].how), -one[2].score, one[0], one[1])
    )[:_MOST]
