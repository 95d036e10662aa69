"""From problems to lines: the one way that every row goes, whatever the process.

A unit of problems comes in; the bytes of its lines, and what the row index says of each line, come
out. Nothing is read or written here. Rows are handled as columns over the whole unit: a million
rows per minute leave no time for Python to look at each.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import records
from wmtp_assets.corpora.counting import TextCounter
from wmtp_assets.corpora.funnel import count_steps
from wmtp_assets.corpora.records import Problem

Integers = NDArray[np.int64]
# Columns of `Formatted.facts`.
FACTS = ("problem", "difficulty", "source", "cf_rating", "instruction_tokens", "input_tokens")


@dataclass(slots=True)
class Formatted:
    """Lines of a unit of problems, and their facts, line by line.

    `data` is a range between a worker and its parent: where the lines lie in their shared memory.
    `sizes` are the lines' bytes, `places` each line's row in `facts` (one row per problem, columns
    FACTS). `is_correct` holds 1 and 0; without classes (`classed` False) it means nothing.
    Difficulty, source and cf_rating are -1 where a problem has none.
    """

    data: bytes | memoryview | range
    classed: bool
    sizes: Integers
    places: Integers
    is_correct: NDArray[np.int8]
    languages: NDArray[np.int8]
    output_tokens: Integers
    flags: NDArray[np.uint8]
    facts: Integers
    funnel: Counter[str] = field(default_factory=Counter)


def format_problems(
    problems: Sequence[Problem], counter: TextCounter, max_tokens: int
) -> Formatted:
    """Format and filter every candidate row of `problems`, all of one dataset.

    A row stays if tokens(instruction) + tokens(input) + tokens(output) <= max_tokens.
    """
    funnel: Counter[str] = Counter()
    heads, problem_flags, facts = _shared(problems, counter, funnel)
    # What the rows of one class of one problem share: a group.
    groups = [solutions for problem in problems for solutions in problem.solutions]
    group_place = np.repeat(np.arange(len(problems)), [len(each.solutions) for each in problems])
    group = np.repeat(np.arange(len(groups)), [len(each.texts) for each in groups])
    raws = list(itertools.chain.from_iterable(each.texts for each in groups))
    suffixes = list(itertools.chain.from_iterable(each.suffixes for each in groups))
    languages = np.array(
        list(itertools.chain.from_iterable(each.languages for each in groups)), dtype=np.int8
    )
    left = max_tokens - facts[:, 4] - facts[:, 5]
    with_candidates = np.unique(group_place[group]).size
    funnel["problems_without_candidates"] = len(problems) - int(with_candidates)

    present = np.array([raw is not None for raw in raws], dtype=np.bool_)
    found = [raw or b"" for raw in raws]
    sizes = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    over = counter.surely_over(found, sizes, left[group_place[group]]) & present
    kept = np.flatnonzero(present & ~over)

    texts, repaired = _decoded([found[at] for at in kept.tolist()])
    tokens = np.array(counter.count_many(texts), dtype=np.int64)
    fits = tokens <= left[group_place[group[kept]]]
    all_of_them, too_long = group, group[kept[~fits]]
    kept, tokens, repaired = kept[fits], tokens[fits], repaired[fits]
    group = group[kept]
    places = group_place[group]

    texts = list(itertools.compress(texts, fits.tolist()))
    outputs = [records.quoted(text) for text in texts]
    suffixes = [suffixes[at] for at in kept.tolist()]
    which = group.tolist()
    befores = [each.tail_before for each in groups]
    afters = [each.tail_after for each in groups]
    lines = zip(
        [heads[place] for place in places.tolist()],
        outputs,
        [befores[at] for at in which],
        suffixes,
        [afters[at] for at in which],
        strict=True,
    )
    frames = np.array([len(each.tail_before) + len(each.tail_after) for each in groups], np.int64)
    frames += np.array([len(head) for head in heads], np.int64)[group_place]
    flags = problem_flags[places]
    flags[repaired] |= records.REPAIRED
    flags[_blank(texts)] |= records.EMPTY_OUTPUT
    steps = {
        "candidates": all_of_them,
        "null_solutions": all_of_them[~present],
        "too_long_by_bound": all_of_them[over],
        "too_long_by_count": too_long,
        "rows_with_empty_output": group[(flags & records.EMPTY_OUTPUT) != 0],
        "kept": group,
    }
    count_steps(funnel, groups, steps)
    for name, flag in (
        ("rows_repaired", records.REPAIRED),
        ("rows_with_empty_instruction", records.EMPTY_INSTRUCTION),
        ("rows_of_shared_names", records.SHARED_NAME),
    ):
        funnel[name] = int(np.count_nonzero(flags & flag))
    return Formatted(
        data="".join(itertools.chain.from_iterable(lines)).encode("ascii"),
        classed=all(each.is_correct is not None for each in groups),
        sizes=frames[group] + _lengths(outputs) + _lengths(suffixes),
        places=places,
        is_correct=np.array([bool(each.is_correct) for each in groups], dtype=np.int8)[group],
        languages=languages[kept],
        output_tokens=tokens,
        flags=flags,
        facts=facts,
        funnel=funnel,
    )


def _shared(
    problems: Sequence[Problem], counter: TextCounter, funnel: Counter[str]
) -> tuple[list[str], NDArray[np.uint8], Integers]:
    """What a problem's rows share: the head of their lines, their flags, and their facts."""
    texts, repaired = _decoded(
        [text for problem in problems for text in (problem.instruction, problem.input)]
    )
    tokens = counter.count_many(texts)
    flags = np.array([problem.flags for problem in problems], dtype=np.uint8)
    bad = repaired[0::2] | repaired[1::2]
    funnel["problems"] = len(problems)
    funnel["problems_repaired"] = int(bad.sum())
    funnel["problems_of_shared_names"] = int(np.count_nonzero(flags & records.SHARED_NAME))
    unmatched = sum(problem.matched is False for problem in problems)
    if any(problem.matched is not None for problem in problems):
        funnel["problems_unmatched"] = unmatched
    flags[bad] |= records.REPAIRED
    flags[_blank(texts[0::2])] |= records.EMPTY_INSTRUCTION
    facts = np.array(
        [
            (
                problem.ordinal,
                _index_value(problem.difficulty),
                _index_value(problem.source),
                _index_value(problem.cf_rating),
                tokens[2 * place],
                tokens[2 * place + 1],
            )
            for place, problem in enumerate(problems)
        ],
        dtype=np.int64,
    ).reshape(-1, len(FACTS))
    heads = [
        records.head_of(instruction, given)
        for instruction, given in zip(texts[0::2], texts[1::2], strict=True)
    ]
    return heads, flags, facts


def _index_value(value: int | None) -> int:
    return -1 if value is None else value


def _decoded(raws: list[bytes]) -> tuple[list[str], NDArray[np.bool_]]:
    """Texts, and which of them had to be repaired."""
    try:
        return [raw.decode("utf-8") for raw in raws], np.zeros(len(raws), dtype=np.bool_)
    except UnicodeDecodeError:
        pairs = [records.repaired_text(raw) for raw in raws]
        return [text for text, _ in pairs], np.array([bad for _, bad in pairs], dtype=np.bool_)


def _blank(texts: list[str]) -> NDArray[np.bool_]:
    return np.fromiter(map(records.is_blank, texts), dtype=np.bool_, count=len(texts))


def _lengths(texts: list[str]) -> Integers:
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
