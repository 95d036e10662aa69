"""From problems to lines: the one loop that every row goes through, whatever the process.

A unit of problems comes in; the bytes of its lines, and what the row index says of each line, come
out. Nothing is read or written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import records
from .records import Problem
from .tokens import TokenCounter

_quoted = records.quoted


@dataclass(slots=True)
class Formatted:
    """Lines of a unit of problems, and their facts, line by line.

    `problems` is the place in the unit of each line's problem; `facts` holds a tuple (ordinal,
    difficulty, source, cf_rating, instruction tokens, input tokens) a problem of the unit.
    """

    data: bytes = b""
    sizes: list[int] = field(default_factory=list)
    problems: list[int] = field(default_factory=list)
    is_correct: list[bool | None] = field(default_factory=list)
    languages: list[int] = field(default_factory=list)
    output_tokens: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    facts: list[tuple[int, int | None, int | None, int | None, int, int]] = field(
        default_factory=list
    )
    funnel: Counter[str] = field(default_factory=Counter)


def format_problems(
    problems: Sequence[Problem], counter: TokenCounter, max_tokens: int
) -> Formatted:
    """Format and filter every candidate row of `problems`.

    A row stays if tokens(instruction) + tokens(input) + tokens(output) <= max_tokens.
    """
    done = Formatted()
    funnel = done.funnel
    shared: list[tuple[str, str, bool]] = []
    for problem in problems:
        instruction, bad_instruction = records.repaired_text(problem.instruction)
        input_text, bad_input = records.repaired_text(problem.input)
        shared.append((instruction, input_text, bad_instruction or bad_input))
    shared_tokens = counter.count_many([text for texts in shared for text in texts[:2]])

    pieces: list[str] = []
    texts: list[str] = []  # solutions to be counted, over all problems of the unit
    rows: list[tuple[int, int, bool | None, int, str, int]] = []
    for place, problem in enumerate(problems):
        instruction_tokens, input_tokens = shared_tokens[2 * place : 2 * place + 2]
        left = max_tokens - instruction_tokens - input_tokens
        done.facts.append(
            (
                problem.ordinal,
                problem.difficulty,
                problem.source,
                problem.cf_rating,
                instruction_tokens,
                input_tokens,
            )
        )
        funnel["problems"] += 1
        funnel["problems_with_repaired_text"] += shared[place][2]
        funnel["problems_with_shared_name"] += bool(problem.flags & records.SHARED_NAME)
        problem_flags = problem.flags | (records.REPAIRED if shared[place][2] else 0)
        candidates = 0
        for solutions in problem.solutions:
            candidates += len(solutions.texts)
            for suffix, language, raw in zip(
                solutions.suffixes, solutions.languages, solutions.texts, strict=True
            ):
                if raw is None:
                    funnel["null_solutions"] += 1
                    continue
                flags = problem_flags
                if counter.surely_over(raw, left):
                    funnel["too_long_by_bound"] += 1
                    continue
                text, bad = records.repaired_text(raw)
                if bad:
                    flags |= records.REPAIRED
                if not text:
                    flags |= records.EMPTY_OUTPUT
                tail = f"{solutions.tail_before}{suffix}{solutions.tail_after}"
                rows.append((place, left, solutions.is_correct, language, tail, flags))
                texts.append(text)
        funnel["candidates"] += candidates
        funnel["problems_without_candidates"] += candidates == 0

    heads = [records.head_of(instruction, input_text) for instruction, input_text, _ in shared]
    for row, text, tokens in zip(rows, texts, counter.count_many(texts), strict=True):
        place, left, is_correct, language, tail, flags = row
        if tokens > left:
            funnel["too_long_by_count"] += 1
            continue
        line = f"{heads[place]}{_quoted(text)}{tail}"
        pieces.append(line)
        done.sizes.append(len(line))
        done.problems.append(place)
        done.is_correct.append(is_correct)
        done.languages.append(language)
        done.output_tokens.append(tokens)
        done.flags.append(flags)
        if flags:
            funnel["rows_repaired"] += bool(flags & records.REPAIRED)
            funnel["rows_with_empty_output"] += bool(flags & records.EMPTY_OUTPUT)
            funnel["rows_of_shared_names"] += bool(flags & records.SHARED_NAME)
    funnel["kept"] += len(pieces)
    done.data = "".join(pieces).encode("ascii")
    return done
