"""The index of references: which shingles make a text worth a closer look.

Each reference is one pattern or several: sets of shingles with weights, which are inverse document
frequencies in bits. A text is a candidate where it has enough of a pattern's weight; for that it
must have enough of the pattern's rarest shingles, and only those are looked for in every text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.quality.leaks.parsing import Parser
from wmtp_assets.quality.leaks.references import References
from wmtp_assets.quality.leaks.spelling import plain, undressed
from wmtp_assets.quality.leaks.tokens import (
    CodeStreams,
    Hashes,
    Numbers,
    Stream,
    distinct,
    lex_code,
    lex_prose,
    lex_seen,
    shingles,
    wholes,
    without_unseen,
)

ENOUGH: Final = 0.5  # of a pattern's weight, where not all is asked for
_LOOKED_FOR: Final = 0.75  # of a pattern's weight, the rarest first: more is not looked for at once
_RAREST: Final = 3  # shingles that are looked for of a pattern of which all is asked for
_SHORT: Final = 120.0  # bits: of a pattern with less, all is asked for
INFORMATIVE: Final = 30.0  # bits: a program with less must be the same with its names
_TELLING: Final = 12.0  # bits: one with less says nothing
_PROSE_WORDS: Final = 6  # fewer say nothing
_WHOLE_TOKENS: Final = 25  # of a program that is looked for as a whole
_DOCUMENTS: Final = 4096  # of the corpus, that frequencies are counted in
_SMOOTHING: Final = 1024  # documents: in a small corpus, nothing is rare by that alone
_BITS: Final = 22  # of a shingle that the map of all has
NAMED, SHAPED, PROSE = range(3)
INSTRUCTION, OUTPUT = "instruction", "output"
_SIGNATURE: Final = re.compile(r"\bdef\s+(\w{1,80})\s*\(([^()]{0,400})\)")
_PARAMETER: Final = re.compile(r"(?:^|,)\s*\*{0,2}(\w{1,80})")


@dataclass(frozen=True)
class Pattern:
    """What one stream of a reference's field is known by: its distinct shingles, ascending."""

    reference: int
    field: str
    keys: Hashes
    perfect: bool


class Members:
    """A set of 64-bit hashes, and what finds its members among many."""

    def __init__(self, keys: Hashes) -> None:
        self.keys = distinct(keys)
        self._map = np.zeros(1 << _BITS, np.bool_)
        self._map[self.keys >> np.uint64(64 - _BITS)] = True

    def find(self, values: Hashes) -> tuple[Numbers, Numbers]:
        """Where among `values` members stand, and which: places in `keys`."""
        # As signed numbers: numpy copies others before it looks them up.
        places = (values >> np.uint64(64 - _BITS)).view(np.int64)
        at = np.flatnonzero(self._map[places])
        if not self.keys.size or not at.size:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        found = values[at]
        places = np.minimum(np.searchsorted(self.keys, found), self.keys.size - 1)
        right = self.keys[places] == found
        return at[right], places[right]


class Patterns:
    """The patterns of one stream."""

    def __init__(self, patterns: Sequence[Pattern], documents: Sequence[Stream]) -> None:
        every = [pattern.keys for pattern in patterns]
        self._all = Members(np.concatenate(every) if every else np.empty(0, np.uint64))
        bits = self._bits(every, documents)
        self.patterns: list[Pattern] = []
        self.weights: list[NDArray[np.float64]] = []
        triggers: list[tuple[Hashes, NDArray[np.float64]]] = []
        least: list[float] = []  # weight that a text must have
        others: list[float] = []  # weight of what is not among the triggers
        for pattern in patterns:
            weights = bits[np.searchsorted(self._all.keys, pattern.keys)]
            total = weights.sum()
            if total < (_TELLING if pattern.perfect else INFORMATIVE):
                continue
            if total < _SHORT:
                pattern = replace(pattern, perfect=True)
            order = np.argsort(-weights, kind="stable")
            rarest = np.cumsum(weights[order])
            count = _RAREST
            if not pattern.perfect:
                count = int(np.searchsorted(rarest, _LOOKED_FOR * total, "right")) + 1
            count = min(count, order.size)
            triggers.append((pattern.keys[order[:count]], weights[order[:count]]))
            least.append(total if pattern.perfect else ENOUGH * total)
            others.append(total - rarest[count - 1])
            self.patterns.append(pattern)
            self.weights.append(weights)
        keys = np.concatenate([own for own, _ in triggers] or [np.empty(0, np.uint64)])
        bits = np.concatenate([own for _, own in triggers] or [np.empty(0)])
        owners = np.repeat(np.arange(len(triggers)), [own.size for own, _ in triggers])
        order = np.argsort(keys, kind="stable")
        self._triggers = Members(keys)
        self._owners, self._owned = owners[order], bits[order]
        self._begins = np.append(np.searchsorted(keys[order], self._triggers.keys), keys.size)
        self._needed = np.array(least) - np.array(others) - 1e-6
        """By pattern: the weight that a text must have of its triggers."""

    def _bits(self, every: Sequence[Hashes], documents: Sequence[Stream]) -> NDArray[np.float64]:
        """The weight of every key: patterns are documents, too."""
        counts = np.zeros(self._all.keys.size, np.int64)
        total = _SMOOTHING + len(every)
        for own in every:
            counts[np.searchsorted(self._all.keys, own)] += 1
        for stream in documents:
            at, keys = self._all.find(stream.shingles())
            once = np.unique(stream.texts_at(at) * self._all.keys.size + keys)
            counts += np.bincount(once % self._all.keys.size, minlength=counts.size)
            total += stream.bounds.size - 1
        return np.log2(total / np.maximum(counts, 1))

    def candidates(self, stream: Stream) -> Iterator[tuple[int, Pattern, float]]:
        """Texts of the stream, patterns of which they have enough, and which share of each."""
        hashes = stream.shingles()
        at, keys = self._triggers.find(hashes)
        if not at.size:
            return
        counts = self._begins[keys + 1] - self._begins[keys]
        texts = np.repeat(stream.texts_at(at), counts)
        inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        places = np.repeat(self._begins[keys], counts) + inside
        pairs, of_pair = np.unique(
            texts * len(self.patterns) + self._owners[places], return_inverse=True
        )
        # A trigger that a text has twice counts twice, by which nothing is missed.
        has = np.bincount(of_pair, self._owned[places])
        pairs = pairs[has >= self._needed[pairs % len(self.patterns)]]
        last, own = -1, np.empty(0, np.uint64)
        for pair in pairs.tolist():
            text, number = divmod(pair, len(self.patterns))
            if text != last:
                last, own = text, np.sort(shingles(stream.of(text)))
            share = self._share(own, number) if own.size else 0.0
            if share >= (1.0 if self.patterns[number].perfect else ENOUGH):
                yield text, self.patterns[number], share

    def _share(self, own: Hashes, number: int) -> float:
        """How much of a pattern's weight is among the shingles `own`, which ascend."""
        keys, weights = self.patterns[number].keys, self.weights[number]
        there = own[np.minimum(np.searchsorted(own, keys), own.size - 1)] == keys
        return 1.0 if there.all() else min(float(weights[there].sum() / weights.sum()), 0.9999)


class Index:
    """All references, and how they are found."""

    def __init__(self, references: References, corpus: Corpus, parser: Parser) -> None:
        self.references = references
        found: dict[int, list[Pattern]] = {NAMED: [], SHAPED: [], PROSE: []}
        programs: list[tuple[Hashes, Numbers]] = []
        for number, source in enumerate(references.sources):
            seen: set[bytes] = set()
            for begin, rows in source.batches():
                first = references.first(number) + begin
                texts = _prompts(rows, first, seen)
                if not source.whole:
                    texts += _add_solutions(found, rows, first, parser)
                found[PROSE].extend(_prose_patterns(texts))
                if source.whole:
                    programs.append(_whole_programs([row[OUTPUT] for row in rows], first))
        documents = _documents(corpus)
        code = [
            lex_code([row[OUTPUT].encode(errors="replace") for row in rows]) for rows in documents
        ]
        prose = [
            lex_prose(
                [
                    plain(row[name]).encode(errors="replace")
                    for row in rows
                    for name in (INSTRUCTION, OUTPUT)
                ]
            )
            for rows in documents
        ]
        self.named = Patterns(found[NAMED], [one.named for one in code])
        self.shaped = Patterns(found[SHAPED], [one.shaped for one in code])
        self.prose = Patterns(found[PROSE], prose)
        hashes = np.concatenate([one for one, _ in programs] or [np.empty(0, np.uint64)])
        owners = np.concatenate([one for _, one in programs] or [np.empty(0, np.int64)])
        order = np.argsort(hashes, kind="stable")
        self._programs = Members(hashes)
        self._owners = owners[order]
        self._begins = np.append(np.searchsorted(hashes[order], self._programs.keys), hashes.size)

    def programs(self, stream: Stream) -> Iterator[tuple[int, list[int]]]:
        """Programs of the stream that may be a reference as a whole, and which references."""
        texts, keys = self._programs.find(wholes(stream))
        for text, key in zip(texts.tolist(), keys.tolist(), strict=True):
            yield text, self._owners[self._begins[key] : self._begins[key + 1]].tolist()


def _documents(corpus: Corpus) -> list[list[dict[str, str]]]:
    """A row of each of some problems, evenly over the corpus, in pieces."""
    if not len(corpus):
        return []
    firsts = np.flatnonzero(np.diff(corpus.column("problem"), prepend=-1))
    chosen = firsts[np.linspace(0, firsts.size - 1, min(firsts.size, _DOCUMENTS)).astype(np.int64)]
    return [corpus.take(chosen[at : at + 512]) for at in range(0, chosen.size, 512)]


class _Text(NamedTuple):
    """A text in words that is looked for: the number of its reference, its field."""

    reference: int
    field: str
    text: str
    perfect: bool


def _prompts(rows: Sequence[Row], first: int, seen: set[bytes]) -> list[_Text]:
    """Instructions, each once of all rows that have it; and the longest of its paragraphs where
    that is most of it: the rest may be examples, or the name that a function should have."""
    found = []
    for at, row in enumerate(rows, first):
        text = row[INSTRUCTION]
        key = xxhash.xxh3_128_digest(text.encode(errors="surrogatepass"))
        if key in seen:
            continue
        seen.add(key)
        alike = with_names_alike(text)
        found += [_Text(at, INSTRUCTION, one, alike is None) for one in prompt_texts(text)]
        if alike is not None:
            found += [_Text(at, INSTRUCTION, one, True) for one in prompt_texts(alike)]
    return found


def prompt_texts(text: str) -> list[str]:
    """An instruction, and the longest of its paragraphs where that is most of it."""
    longest = max(text.split("\n\n"), key=len)
    return [text, longest] if longest != text and 2 * len(longest) >= len(text) else [text]


def with_names_alike(text: str) -> str | None:
    """A prompt that is a program, with numbers in place of its functions' and parameters' names;
    None where it defines no function."""
    names: dict[str, str] = {}
    for signature in _SIGNATURE.finditer(text):
        for name in (signature[1], *_PARAMETER.findall(signature[2])):
            names.setdefault(name, f"{len(names)}")
    if not names:
        return None
    return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), text)


def _prose_patterns(texts: Sequence[_Text]) -> Iterator[Pattern]:
    words = lex_prose([plain(one.text).encode(errors="replace") for one in texts])
    for at, one in enumerate(texts):
        own = words.of(at)
        if own.size >= _PROSE_WORDS:
            yield Pattern(one.reference, one.field, distinct(shingles(own)), one.perfect)


def _add_solutions(
    found: dict[int, list[Pattern]], rows: Sequence[Row], first: int, parser: Parser
) -> list[_Text]:
    """Adds the patterns of programs; returns the answers that are none."""
    answers: list[_Text] = []
    programs: list[tuple[int, bytes, frozenset[bytes]]] = []  # reference, text, names of its own
    for at, row in enumerate(rows, first):
        text = program_text(row, parser)
        if text is None:
            answers.append(_Text(at, OUTPUT, row[OUTPUT], True))
            continue
        program = parser.program(text)
        rebound = frozenset(name.encode() for name in (program.rebound if program else ()))
        bare = program.bare if program else ""
        for one in dict.fromkeys((text, bare or text)):
            programs.append((at, one.encode(errors="replace"), rebound))
    wanted: dict[frozenset[bytes], dict[tuple[int, bytes], None]] = {}  # in order, each once
    seen = without_unseen([encoded for _, encoded, _ in programs])
    for (at, _, rebound), code in zip(programs, seen, strict=True):
        for bare_code in (code, undressed(code, imports=True) or code):
            for renamed in (frozenset[bytes](), rebound):
                wanted.setdefault(renamed, {})[at, bare_code] = None
    known: set[tuple[int, int, bytes]] = set()
    for renamed, of_names in wanted.items():
        streams = lex_seen([one for _, one in of_names], renamed=renamed)
        for number, (at, _) in enumerate(of_names):
            for kind, stream in ((NAMED, streams.named), (SHAPED, streams.shaped)):
                keys = distinct(shingles(stream.of(number)))
                digest = (at, kind, xxhash.xxh3_128_digest(keys.tobytes()))
                if keys.size and digest not in known:
                    known.add(digest)
                    found[kind].append(Pattern(at, OUTPUT, keys, perfect=kind == NAMED))
    return answers


def program_text(row: dict[str, str], parser: Parser) -> str | None:
    """The program of a row: its output, or instruction and output where only both together are one,
    as of HumanEval. None where neither is."""
    for text in (row[OUTPUT], f"{row[INSTRUCTION]}\n{row[OUTPUT]}"):
        program = parser.program(text)
        if program is not None and program.whole is not None and program.whole.size > 1:
            return text
    return None


def _whole_programs(outputs: Sequence[str], first: int) -> tuple[Hashes, Numbers]:
    places, streams = lex_twice(outputs)
    enough = np.flatnonzero(np.diff(streams.bare.bounds) > _WHOLE_TOKENS)
    return wholes(streams.bare)[enough], np.array(places, np.int64)[enough] + first


def lex_twice(texts: Sequence[str]) -> tuple[list[int], CodeStreams]:
    """The tokens of programs, and then of those that hold what their syntax trees do not count,
    without it; and which text each of the stream's is."""
    programs = without_unseen([text.encode(errors="replace") for text in texts])
    places = list(range(len(programs)))
    for at, program in enumerate(programs.copy()):
        text = undressed(program)
        if text is not None:
            places.append(at)
            programs.append(text)
    return places, lex_seen(programs)
