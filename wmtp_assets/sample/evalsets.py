"""MBPP and HumanEval in miniature: own tasks in the Hub's parquet layout.

As upstream, nearly every MBPP solution has CRLF line ends, a few need `test_setup_code` to run
after them, and some texts are not ASCII.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wmtp_assets.sample.files import write_readme
from wmtp_assets.sample.parquet import Row, sequence, value, write_parquet
from wmtp_assets.sample.tasks import TASKS, Task

MBPP = "datasets/google-research-datasets/mbpp"
HUMANEVAL = "datasets/openai/openai_humaneval"

_MBPP_FEATURES = {
    "task_id": value("int32"),
    "text": value("string"),
    "code": value("string"),
    "test_list": sequence(value("string")),
    "test_setup_code": value("string"),
    "challenge_test_list": sequence(value("string")),
}
_HUMANEVAL_FEATURES = {
    "task_id": value("string"),
    "prompt": value("string"),
    "canonical_solution": value("string"),
    "test": value("string"),
    "entry_point": value("string"),
}


class Function(NamedTuple):
    """`body` is the canonical solution, `checks` the asserted expressions over `candidate`."""

    head: str
    says: str
    body: str
    checks: Sequence[str]


_FUNCTIONS: Sequence[Function] = (
    Function(
        "running_total(numbers: list) -> list",
        "Return the list of the sums of all beginnings of numbers.\n"
        "    >>> running_total([1, 2, 3])\n    [1, 3, 6]",
        "total = 0\nresult = []\nfor n in numbers:\n    total += n\n    result.append(total)\n"
        "return result",
        ("candidate([1, 2, 3]) == [1, 3, 6]", "candidate([]) == []"),
    ),
    Function(
        "is_anagram(a: str, b: str) -> bool",
        "Do both words have the same letters?\n    >>> is_anagram('listen', 'silent')\n    True",
        "return sorted(a) == sorted(b)",
        ("candidate('listen', 'silent')", "not candidate('a', 'aa')"),
    ),
    Function(
        "strip_accents(text: str) -> str",
        "Replace é, è and ê by e.\n    >>> strip_accents('élève')\n    'eleve'",
        "for letter in 'éèê':\n    text = text.replace(letter, 'e')\nreturn text",
        ("candidate('élève') == 'eleve'", "candidate('') == ''"),
    ),
    Function(
        "collatz_steps(n: int) -> int",
        "Count the steps until n becomes 1 when it is halved if even, else 3n + 1 is taken.\n"
        "    >>> collatz_steps(6)\n    8",
        "steps = 0\nwhile n != 1:\n    n = n // 2 if n % 2 == 0 else 3 * n + 1\n    steps += 1\n"
        "return steps",
        ("candidate(6) == 8", "candidate(1) == 0"),
    ),
    Function(
        "transpose(matrix: list) -> list",
        "Swap rows and columns.\n    >>> transpose([[1, 2], [3, 4]])\n    [[1, 3], [2, 4]]",
        "return [list(column) for column in zip(*matrix)]",
        ("candidate([[1, 2], [3, 4]]) == [[1, 3], [2, 4]]", "candidate([]) == []"),
    ),
    Function(
        "closest_to_zero(numbers: list) -> int",
        "Return the number with the least |x|; of -x and x the positive one.\n"
        "    >>> closest_to_zero([4, -2, 2])\n    2",
        "return min(numbers, key=lambda x: (abs(x), -x))",
        ("candidate([4, -2, 2]) == 2", "candidate([-3]) == -3"),
    ),
    Function(
        "encode_runs(text: str) -> list",
        "List each run of equal letters as (letter, length).\n"
        "    >>> encode_runs('aab')\n    [('a', 2), ('b', 1)]",
        "runs = []\nfor c in text:\n    if runs and runs[-1][0] == c:\n"
        "        runs[-1] = (c, runs[-1][1] + 1)\n    else:\n        runs.append((c, 1))\n"
        "return runs",
        ("candidate('aab') == [('a', 2), ('b', 1)]", "candidate('') == []"),
    ),
    Function(
        "temperature(kelvin: float) -> str",
        "Write a temperature in whole °C with a true minus sign.\n"
        "    >>> temperature(263.15)\n    '−10 °C'",
        "degrees = round(kelvin - 273.15)\n"
        "return ('−' if degrees < 0 else '') + str(abs(degrees)) + ' °C'",
        ("candidate(263.15) == '−10 °C'", "candidate(273.15) == '0 °C'"),
    ),
    Function(
        "missing_number(numbers: list) -> int",
        "The numbers 0 to n are given in any order, but for one. Which?\n"
        "    >>> missing_number([0, 3, 1])\n    2",
        "n = len(numbers)\nreturn n * (n + 1) // 2 - sum(numbers)",
        ("candidate([0, 3, 1]) == 2", "candidate([]) == 0"),
    ),
    Function(
        "interleave(a: list, b: list) -> list",
        "Take from a and b in turn until both are used up.\n"
        "    >>> interleave([1, 2, 3], [9])\n    [1, 9, 2, 3]",
        "result = []\nfor i in range(max(len(a), len(b))):\n"
        "    result.extend(a[i:i + 1] + b[i:i + 1])\nreturn result",
        ("candidate([1, 2, 3], [9]) == [1, 9, 2, 3]", "candidate([], []) == []"),
    ),
    Function(
        "balanced(text: str) -> bool",
        "Is every bracket closed in order?\n    >>> balanced('([])')\n    True",
        "stack = []\nfor c in text:\n    if c in '([':\n        stack.append(c)\n"
        "    elif not stack or stack.pop() + c not in ('()', '[]'):\n        return False\n"
        "return not stack",
        ("candidate('([])')", "not candidate('(]')", "candidate('')"),
    ),
    Function(
        "digits_of(n: int, base: int) -> list",
        "The digits of n in a base, the highest first.\n    >>> digits_of(6, 2)\n    [1, 1, 0]",
        "digits = []\nwhile n:\n    digits.append(n % base)\n    n //= base\n"
        "return digits[::-1] or [0]",
        ("candidate(6, 2) == [1, 1, 0]", "candidate(0, 10) == [0]"),
    ),
)


def write_evalsets(root: Path) -> None:
    """Write MBPP's four splits and HumanEval's one below `root`."""
    for split, (first, tasks) in TASKS.items():
        rows = [_mbpp_row(first + position, task) for position, task in enumerate(tasks)]
        write_parquet(root / MBPP / f"full/{split}-00000-of-00001.parquet", _MBPP_FEATURES, rows)
    write_readme(root / MBPP, "small tasks with tests")
    rows = [_humaneval_row(position, function) for position, function in enumerate(_FUNCTIONS)]
    path = root / HUMANEVAL / "openai_humaneval/test-00000-of-00001.parquet"
    write_parquet(path, _HUMANEVAL_FEATURES, rows)
    write_readme(root / HUMANEVAL, "small functions with tests")


def _mbpp_row(task_id: int, task: Task) -> Row:
    return {
        "task_id": task_id,
        "text": task.text,
        # All but 2 of upstream's 974 have CRLF; here one in eight has none.
        "code": task.code if task_id % 8 == 1 else task.code.replace("\n", "\r\n"),
        "test_list": [f"assert {test}" for test in task.tests],
        "test_setup_code": task.setup.replace("\n", "\r\n"),
        "challenge_test_list": [f"assert {test}" for test in task.challenges],
    }


def _humaneval_row(position: int, function: Function) -> Row:
    checks = "".join(f"    assert {check}\n" for check in function.checks)
    lines = function.body.splitlines()
    return {
        "task_id": f"HumanEval/{position}",
        "prompt": f'def {function.head}:\n    """{function.says}\n    """\n',
        "canonical_solution": "".join(f"    {line}\n" for line in lines),
        "test": f"\n\nMETADATA = {{}}\n\n\ndef check(candidate):\n{checks}\n",
        "entry_point": function.head.partition("(")[0],
    }
