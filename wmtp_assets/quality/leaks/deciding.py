"""Whether a candidate is a leak, and of what kind: what the hashes of shingles cannot tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.quality.leaks.index import (
    INSTRUCTION,
    OUTPUT,
    program_text,
    prompt_texts,
    with_names_alike,
)
from wmtp_assets.quality.leaks.parsing import Parser
from wmtp_assets.quality.leaks.spelling import plain
from wmtp_assets.quality.leaks.tokens import lex_code
from wmtp_assets.quality.leaks.trees import Part, Program

EXCERPT: Final = 200  # characters
_WORD: Final = re.compile(r"[a-z0-9]+|[^\x00-\x7f]+")
_BEGINS: Final = re.compile(r"[.!?:;#\n|>\"*]|'{3}|\)\s+$")
_ENDS: Final = re.compile(r"[.!?;\n|]|</|\"{3}|'{3}")
_ENCLOSED: Final = (  # before and after a sentence that something encloses
    (re.compile(r"\"$"), re.compile(r"\"")),
    (re.compile(r"\($"), re.compile(r"[.!?]?\)")),
    (re.compile(r"\[$"), re.compile(r"\]")),
    (re.compile(r"\*$"), re.compile(r"\*")),
    (re.compile(r"_$"), re.compile(r"_")),
)
_LEAST_SIZE: Final = 7  # of anything: `def f(a): return b` is nothing that one has from anywhere
_RENAMED_SIZE: Final = 12  # of a function (`Part.size`); everybody writes smaller ones
_RENAMED_WHOLE: Final = 60  # of a program that is compared as a whole


class How(StrEnum):
    """How much of a text is as it was: all of it but white space at the ends of lines, all but
    layout, comments, docstrings and annotations (of prose: white space, case and punctuation), or
    all of that but names."""

    VERBATIM = "verbatim"
    REFORMATTED = "reformatted"
    RENAMED = "renamed"


@dataclass(frozen=True)
class Match:
    """A reference found in a text: `score` is the share of it, both excerpts EXCERPT characters at
    most."""

    how: How
    score: float
    excerpt: str
    excerpt_there: str


def decide_prose(text: str, reference: str, share: float) -> Match | None:
    """An instruction (or an answer in words) of a reference, which the text may hold: as whole
    sentences, since "words with a z" says something else than "words with a z, not at the end"."""
    for wanted in prompt_texts(reference):
        at = _sentences(text, wanted)
        if at is not None:
            how = How.REFORMATTED if _find(text, wanted) is None else How.VERBATIM
            return Match(how, 1.0, excerpt(text[at:]), excerpt(wanted))
    alike, alike_there = with_names_alike(text), with_names_alike(reference)
    if alike is not None and alike_there is not None:
        for wanted in prompt_texts(alike_there):
            if _sentences(alike, wanted) is not None:
                return Match(How.RENAMED, 1.0, _around(text, reference), excerpt(reference))
    if share < 1.0:
        return Match(How.RENAMED, round(share, 4), _around(text, reference), excerpt(reference))
    return None


def _sentences(text: str, wanted: str) -> int | None:
    """Where the words of `wanted` begin in `text`, ignoring case, as whole sentences."""
    text = plain(text)
    words = list(_WORD.finditer(text))
    own = [word[0] for word in words]
    there = _WORD.findall(plain(wanted))
    for at in (at for at in range(len(own) - len(there) + 1) if own[at] == there[0]):
        if own[at : at + len(there)] == there:
            end = at + len(there)
            before = text[words[at - 1].end() if at else 0 : words[at].start()]
            after = text[words[end - 1].end() : words[end].start() if end < len(own) else None]
            begins = not at or _BEGINS.search(before)
            ends = end == len(own) or _ENDS.search(after)
            if (begins and ends) or _enclosed(before, after):
                return words[at].start()
    return None


def _enclosed(before: str, after: str) -> bool:
    return any(begin.search(before) and end.match(after) for begin, end in _ENCLOSED)


def _find(text: str, wanted: str) -> int | None:
    """Where `wanted` begins in `text`; spaces at the ends of lines count for nothing."""
    pattern = r"[ \t\r]*\n".join(re.escape(line.rstrip()) for line in wanted.strip().split("\n"))
    found = re.search(rf"(?<!\w){pattern}(?!\w)", text)
    return None if found is None else found.start()


def _around(text: str, wanted: str) -> str:
    """The text from where it begins to say what `wanted` says."""
    words, own = _WORD.findall(plain(wanted)), plain(text)
    for begin in range(0, max(1, len(words) - 3)):
        pattern = r"[^a-z0-9]+".join(map(re.escape, words[begin : begin + 4]))
        found = re.search(pattern, own) if pattern else None
        if found is not None:
            return excerpt(text[found.start() :])
    return excerpt(text)


def excerpt(text: str) -> str:
    """The beginning of a text."""
    return text.strip()[:EXCERPT]


def decide_code(row: Row, reference: Row, parser: Parser, whole: bool) -> Match | None:
    """A reference's solution, which the output of a row may hold; `whole`: be."""
    there_text = reference[OUTPUT] if whole else program_text(reference, parser)
    there = parser.program(there_text) if there_text else None
    text = program_text(row, parser) or row[OUTPUT]
    program = parser.program(text)
    if there_text is None or there is None or there.whole is None or program is None:
        return _by_tokens(row[OUTPUT], reference[OUTPUT], whole)
    found = _by_trees(program, there, there.whole, whole)
    if found is None:
        # Of a program that is none in Python 3, some functions may be.
        return None if program.whole else _by_tokens(row[OUTPUT], reference[OUTPUT], whole)
    same, place, place_there = found
    if same and _find(text, reference[OUTPUT]) is not None:
        how = How.VERBATIM
    else:
        how = How.REFORMATTED if same else How.RENAMED
    return Match(how, 1.0, _lines(text, place), _lines(there_text, place_there))


def _by_trees(
    program: Program, there: Program, all_there: Part, whole: bool
) -> tuple[bool, Part, Part] | None:
    """Whether the names are the same, and where both are; None where it is not in the program."""
    outermost = [part for part in there.parts if part.outermost]
    if whole or not outermost:
        if program.whole is None:
            return None
        pairs = [(program.whole, all_there)]
        least = _RENAMED_WHOLE
    else:
        by_renamed: dict[str, Part] = {}
        by_both: dict[tuple[str, str], Part] = {}
        for part in program.parts:
            by_renamed.setdefault(part.renamed, part)
            by_both.setdefault((part.exact, part.renamed), part)
        pairs = []
        for wanted in outermost:
            mine = by_both.get((wanted.exact, wanted.renamed)) or by_renamed.get(wanted.renamed)
            if mine is None:
                return None
            pairs.append((mine, wanted))
        least = _RENAMED_SIZE
    if any(mine.renamed != wanted.renamed for mine, wanted in pairs):
        return None
    same = all(mine.exact == wanted.exact for mine, wanted in pairs)
    if sum(wanted.size for _, wanted in pairs) < (_LEAST_SIZE if same else least):
        return None
    mine, wanted = max(pairs, key=lambda pair: pair[1].size)
    return same, mine, wanted


def _by_tokens(text: str, wanted: str, whole: bool) -> Match | None:
    """Of what is no Python 3: the same tokens, names included, one after the other."""
    streams = lex_code([text.encode(errors="replace"), wanted.encode(errors="replace")]).named
    own, there = streams.of(0), streams.of(1)
    if not there.size or (whole and own.size != there.size):
        return None
    at = own.tobytes().find(there.tobytes())
    while at >= 0 and at % own.itemsize:
        at = own.tobytes().find(there.tobytes(), at + 1)
    if at < 0:
        return None
    verbatim = _find(text, wanted)
    how = How.REFORMATTED if verbatim is None else How.VERBATIM
    return Match(how, 1.0, excerpt(text[verbatim or 0 :]), excerpt(wanted))


def _lines(text: str, part: Part) -> str:
    return excerpt("\n".join(text.splitlines()[part.first - 1 : part.last]))


__all__ = ["EXCERPT", "INSTRUCTION", "OUTPUT", "How", "Match", "decide_code", "decide_prose"]
