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


class Task(NamedTuple):
    text: str
    code: str
    tests: Sequence[str]
    setup: str = ""
    challenges: Sequence[str] = ()


_TASKS: Sequence[Task] = (
    Task(
        "Write a function to add up the squares of the even numbers of a list.",
        "def even_squares(numbers):\n    return sum(n * n for n in numbers if n % 2 == 0)",
        ("even_squares([1, 2, 3, 4]) == 20", "even_squares([]) == 0", "even_squares([7]) == 0"),
    ),
    Task(
        "Write a python function to count the vowels of a word.",
        "def count_vowels(word):\n\tcount = 0\n\tfor c in word.lower():\n"
        "\t\tif c in 'aeiou':\n\t\t\tcount += 1\n\treturn count",
        ("count_vowels('Banana') == 3", "count_vowels('rhythm') == 0", "count_vowels('') == 0"),
    ),
    Task(
        "Write a function to rotate a list to the left by k places.",
        "def rotate_left(items, k):\n    if not items:\n        return []\n"
        "    k %= len(items)\n    return items[k:] + items[:k]",
        (
            "rotate_left([1, 2, 3, 4], 1) == [2, 3, 4, 1]",
            "rotate_left([], 3) == []",
            "rotate_left([1, 2], 5) == [2, 1]",
        ),
    ),
    Task(
        "Write a function to find the node count of a binary tree. See the class in the setup.",
        "def count_nodes(root):\n    if root is None:\n        return 0\n"
        "    return 1 + count_nodes(root.left) + count_nodes(root.right)",
        (
            "count_nodes(root) == 3",
            "count_nodes(root.left) == 1",
            "count_nodes(None) == 0",
        ),
        "class Node:\n    def __init__(self, left=None, right=None):\n"
        "        self.left = left\n        self.right = right\n\nroot = Node(Node(), Node())",
    ),
    Task(
        "Write a function to tell how many times the word “café” or “naïve” occurs in a text.",
        "def count_accented(text):\n    words = text.split()\n"
        "    return words.count('café') + words.count('naïve')",
        (
            "count_accented('a naïve café') == 2",
            "count_accented('cafe') == 0",
            "count_accented('') == 0",
        ),
    ),
    Task(
        "Write a function to merge two sorted lists into one sorted list.",
        "def merge(a, b):\n    result = []\n    i = j = 0\n"
        "    while i < len(a) and j < len(b):\n        if a[i] <= b[j]:\n"
        "            result.append(a[i])\n            i += 1\n        else:\n"
        "            result.append(b[j])\n            j += 1\n"
        "    return result + a[i:] + b[j:]",
        (
            "merge([1, 4], [2, 3]) == [1, 2, 3, 4]",
            "merge([], [1]) == [1]",
            "merge([2, 2], [2]) == [2, 2, 2]",
        ),
        challenges=("merge([], []) == []",),
    ),
    Task(
        "Write a function to convert a number of seconds to hours, minutes and seconds.",
        "def split_seconds(total):\n    minutes, seconds = divmod(total, 60)\n"
        "    hours, minutes = divmod(minutes, 60)\n    return hours, minutes, seconds",
        (
            "split_seconds(3661) == (1, 1, 1)",
            "split_seconds(59) == (0, 0, 59)",
            "split_seconds(0) == (0, 0, 0)",
        ),
    ),
    Task(
        "Write a python function to find the first letter that occurs twice in a string.",
        "def first_repeated(text):\n    seen = set()\n    for c in text:\n        if c in seen:\n"
        "            return c\n        seen.add(c)\n    return None",
        (
            "first_repeated('abcabd') == 'a'",
            "first_repeated('abc') is None",
            "first_repeated('') is None",
        ),
    ),
    Task(
        "Write a function to check whether each row of a matrix has the same sum.",
        "def equal_rows(matrix):\n    return len({sum(row) for row in matrix}) <= 1",
        (
            "equal_rows([[1, 2], [3, 0]])",
            "not equal_rows([[1], [2]])",
            "equal_rows([])",
        ),
    ),
    Task(
        "Write a function to remove the elements of a tuple that are not numbers.",
        "def only_numbers(items):\n"
        "    return tuple(x for x in items if isinstance(x, (int, float)))",
        (
            "only_numbers((1, 'a', 2.5)) == (1, 2.5)",
            "only_numbers(()) == ()",
            "only_numbers(('b',)) == ()",
        ),
    ),
    Task(
        "Write a function to find the longest word of a sentence; the first one if there are two.",
        "def longest_word(sentence):\n    return max(sentence.split(), key=len, default='')",
        (
            "longest_word('to be or not') == 'not'",
            "longest_word('') == ''",
            "longest_word('aa bb') == 'aa'",
        ),
    ),
    Task(
        "Write a function to compute the area of a ring with radii r ≤ R, in units of π.",
        "def ring_area(r, R):\n    return R * R - r * r",
        ("ring_area(1, 2) == 3", "ring_area(0, 3) == 9", "ring_area(2, 2) == 0"),
    ),
    Task(
        "Write a function to list the divisors of a positive integer in order.",
        "def divisors(n):\n    return [d for d in range(1, n + 1) if n % d == 0]",
        ("divisors(6) == [1, 2, 3, 6]", "divisors(1) == [1]", "divisors(7) == [1, 7]"),
    ),
    Task(
        "Write a function to turn a snake_case name into a CamelCase one.",
        "def camel(name):\n    return ''.join(part.title() for part in name.split('_'))",
        ("camel('one_two') == 'OneTwo'", "camel('a') == 'A'", "camel('') == ''"),
    ),
    Task(
        "Write a function to count the inversions of a list.",
        "def inversions(a):\n    n = len(a)\n    return sum(a[i] > a[j] for i in range(n)"
        " for j in range(i + 1, n))",
        ("inversions([3, 1, 2]) == 2", "inversions([1, 2]) == 0", "inversions([]) == 0"),
        challenges=("inversions([4, 3, 2, 1]) == 6",),
    ),
    Task(
        "Write a function to group words by their length.",
        "def by_length(words):\n    groups = {}\n    for word in words:\n"
        "        groups.setdefault(len(word), []).append(word)\n    return groups",
        (
            "by_length(['a', 'bb', 'c']) == {1: ['a', 'c'], 2: ['bb']}",
            "by_length([]) == {}",
            "by_length(['']) == {0: ['']}",
        ),
    ),
)

# Upstream numbers prompt 1-10, test 11-510, validation 511-600, train 601-974.
_MBPP_SPLITS = {
    "prompt": (1, _TASKS[:2]),
    "test": (11, _TASKS),
    "validation": (511, _TASKS[2:10]),
    "train": (601, _TASKS[1:15]),
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
    for split, (first, tasks) in _MBPP_SPLITS.items():
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
