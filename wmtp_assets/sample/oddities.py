"""What upstream's code_contests is known to hold, planted in the sample one oddity per problem.

Each function changes one problem; ODDITIES and EXACT say which, by the problem's number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wmtp_assets.sample.problems import draw
from wmtp_assets.sample.programs import CPP, JAVA, PYTHON2, PYTHON3, other_program
from wmtp_assets.sample.row import Problem, add_program

TOKEN_LIMIT = 2048
"""The contract's filter: a row of exactly this many tokens stays."""


def _no_solutions(problem: Problem) -> None:
    problem["solutions"] = {"language": [], "solution": []}


def _no_incorrect(problem: Problem) -> None:
    problem["incorrect_solutions"] = {"language": [], "solution": []}


def _nothing_at_all(problem: Problem) -> None:
    _no_solutions(problem)
    _no_incorrect(problem)


def _only_compiled(problem: Problem) -> None:
    problem["solutions"] = {
        "language": [CPP, JAVA],
        "solution": [other_program(CPP, 3), other_program(JAVA, 3)],
    }


def _crlf(problem: Problem) -> None:
    problem["description"] = problem["description"].replace("\n", "\r\n")
    texts = problem["solutions"]["solution"]
    problem["solutions"]["solution"] = [text.replace("\n", "\r\n") for text in texts]


def _nul(problem: Problem) -> None:
    add_program(problem["incorrect_solutions"], PYTHON3, "print(input())\n# written on paper\0\0\n")


def _tabs(problem: Problem) -> None:
    texts = problem["solutions"]["solution"]
    problem["solutions"]["solution"] = [text.replace("    ", "\t") for text in texts]


def _unicode(problem: Problem) -> None:
    remark = "# été – naïve Lösung 解答 🐍 e\u0301 \u200b\u2028 ends here, \u2581 and \x7f do not\n"
    solutions = problem["solutions"]
    solutions["solution"] = [
        remark + text if language == PYTHON3 else text
        for language, text in zip(solutions["language"], solutions["solution"], strict=True)
    ]


def _empty_sides(problem: Problem) -> None:
    """The first pair has no input, the second no output, the third is whole."""
    tests = problem["public_tests"]
    problem["public_tests"] = {
        "input": ["", *tests["input"][:1], *tests["input"]],
        "output": [*tests["output"][:1], "", *tests["output"]],
    }


def _no_public_tests(problem: Problem) -> None:
    problem["public_tests"] = {"input": [], "output": []}


def _long_description(problem: Problem) -> None:
    """No row of this problem passes the filter, whatever its solution."""
    problem["description"] += "\n\nNote\n\n" + "\n".join(
        f"In step {step} the rule of the first part holds again, for the numbers {step} and"
        f" {step + 1} of the list, unless they were taken before."
        for step in range(1, 61)
    )


def _long_input(problem: Problem) -> None:
    """One word of thousands of letters, which is no palindrome."""
    line = " ".join(str(number % 31) for number in draw("a long public test", 1600))
    problem["public_tests"]["input"][0] = f"1\n{line}\n"
    problem["public_tests"]["output"][0] = "NO\n"


def _long_solutions(problem: Problem) -> None:
    """Answers looked up in a table: longer than the filter by far."""
    table = ", ".join(str(number) for number in draw("a table of answers", 900))
    for texts in (problem["solutions"], problem["incorrect_solutions"]):
        add_program(texts, PYTHON3, f"TABLE = [{table}]\nprint(TABLE[int(input())])\n")
        add_program(texts, PYTHON2, f"TABLE = [{table}]\nprint TABLE[input()]\n")


def _thorough_remarks(problem: Problem) -> None:
    """More bytes than the filter's tokens, but fewer tokens: only counting decides."""
    remarks = "".join(
        f"# The answer for the first {part} values is the number of the values that are not"
        " taken in the order of the input.\n"
        for part in range(1, 24)
    )
    for texts in (problem["solutions"], problem["incorrect_solutions"]):
        texts["solution"] = [
            remarks + text if language in (PYTHON2, PYTHON3) else text
            for language, text in zip(texts["language"], texts["solution"], strict=True)
        ]


def _named(name: str) -> Callable[[Problem], None]:
    def rename(problem: Problem) -> None:
        problem["name"] = name

    return rename


ODDITIES: Mapping[int, Callable[[Problem], None]] = {
    # Equal names: 1 is CODECHEF's and 2 ATCODER's; 20 and 36 are both CODECHEF's.
    1: _named("Sum of Remainders"),
    2: _named("Sum of Remainders"),
    20: _named("PALINDROME"),
    36: _named("PALINDROME"),
    4: _crlf,
    6: _no_solutions,
    8: _nul,
    9: _thorough_remarks,
    11: _unicode,
    13: _empty_sides,
    15: _long_description,
    17: _no_incorrect,
    19: _tabs,
    21: _no_public_tests,
    23: _long_solutions,
    26: _nothing_at_all,
    28: _only_compiled,
    31: _thorough_remarks,
    33: _long_input,
    40: _unicode,
    45: _no_solutions,
    50: _long_solutions,
    55: _crlf,
    61: _no_incorrect,
    63: _unicode,
    66: _long_solutions,
    74: _no_solutions,
    77: _thorough_remarks,
    79: _crlf,
}

EXACT: Sequence[tuple[int, str, int, int]] = (
    # Problem, list, which of its Python programs, and the row's tokens after padding.
    (3, "solutions", 0, TOKEN_LIMIT),
    (3, "solutions", 1, TOKEN_LIMIT + 1),
    (3, "incorrect_solutions", 0, TOKEN_LIMIT),
    (3, "incorrect_solutions", 1, TOKEN_LIMIT + 1),
    (37, "solutions", 0, TOKEN_LIMIT - 1),
    (37, "incorrect_solutions", 0, TOKEN_LIMIT + 2),
    (64, "solutions", 0, TOKEN_LIMIT),
    (64, "solutions", 1, TOKEN_LIMIT + 1),
    (80, "incorrect_solutions", 0, TOKEN_LIMIT),
    (80, "incorrect_solutions", 1, TOKEN_LIMIT + 1),
)


def pad(problem: Problem, where: str, index: int, tokens: int, count: Callable[[str], int]) -> None:
    """Lengthen a program until its row has exactly `tokens` tokens.

    The row's three parts are counted apart, as the contract says. What stands after a newline is
    counted on its own (a newline is a byte piece), so remarks of known length can be added.
    """
    tests = problem["public_tests"]
    shown = "\n\n".join(
        f"Input: {given}\nOutput: {wanted}"
        for given, wanted in zip(tests["input"][:2], tests["output"][:2], strict=True)
    )
    texts = problem["solutions"] if where == "solutions" else problem["incorrect_solutions"]
    python = [
        position
        for position, language in enumerate(texts["language"])
        if language in (PYTHON2, PYTHON3)
    ]
    text = texts["solution"][python[index]]
    missing = tokens - count(problem["description"]) - count(shown) - count(text)
    remark = "\n# checked by hand for the first values"
    cost = count("#" + remark) - count("#")
    texts["solution"][python[index]] = text + missing // cost * remark + missing % cost * "\n"
