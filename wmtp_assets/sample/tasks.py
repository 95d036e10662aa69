"""The tasks of the sample's MBPP, by split. As upstream, a few are in two splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Task(NamedTuple):
    text: str
    code: str
    tests: Sequence[str]
    setup: str = ""
    challenges: Sequence[str] = ()


_TEST: Sequence[Task] = (
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

_VALIDATION: Sequence[Task] = (
    Task(
        "Write a function to find the second smallest of the distinct numbers of a list.",
        "def second_smallest(numbers):\n    distinct = sorted(set(numbers))\n"
        "    return distinct[1] if len(distinct) > 1 else None",
        (
            "second_smallest([3, 1, 2, 1]) == 2",
            "second_smallest([5, 5]) is None",
            "second_smallest([]) is None",
        ),
    ),
    Task(
        "Write a python function to check whether a year is a leap year.",
        "def is_leap(year):\n    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)",
        ("is_leap(2000)", "not is_leap(1900)", "is_leap(2024)"),
    ),
    Task(
        "Write a function to interpret a string of roman digits as a number.",
        "def from_roman(text):\n    worth = {'I': 1, 'V': 5, 'X': 10, 'L': 50, 'C': 100}\n"
        "    total = 0\n    for i, c in enumerate(text):\n"
        "        if i + 1 < len(text) and worth[c] < worth[text[i + 1]]:\n"
        "            total -= worth[c]\n        else:\n            total += worth[c]\n"
        "    return total",
        ("from_roman('XIV') == 14", "from_roman('XC') == 90", "from_roman('') == 0"),
    ),
    Task(
        "Write a function to drop every n-th element of a list.",
        "def drop_every(items, n):\n    return [item for i, item in enumerate(items, 1) if i % n]",
        (
            "drop_every([1, 2, 3, 4], 2) == [1, 3]",
            "drop_every('abc', 5) == ['a', 'b', 'c']",
            "drop_every([], 1) == []",
        ),
    ),
    Task(
        "Write a function to find the words that two sentences have in common, in order.",
        "def common_words(a, b):\n    return sorted(set(a.split()) & set(b.split()))",
        (
            "common_words('to be', 'be to') == ['be', 'to']",
            "common_words('a', 'b') == []",
            "common_words('', '') == []",
        ),
    ),
    Task(
        "Write a python function to compute the digital root of a number.",
        "def digital_root(n):\n    while n > 9:\n        n = sum(map(int, str(n)))\n    return n",
        ("digital_root(987) == 6", "digital_root(0) == 0", "digital_root(10) == 1"),
    ),
    Task(
        "Write a function to split a list into pieces of a given length.",
        "def pieces(items, size):\n"
        "    return [items[i:i + size] for i in range(0, len(items), size)]",
        (
            "pieces([1, 2, 3], 2) == [[1, 2], [3]]",
            "pieces([], 4) == []",
            "pieces([7], 1) == [[7]]",
        ),
    ),
    _TEST[9],
)

_TRAIN: Sequence[Task] = (
    Task(
        "Write a function to find the difference of the largest and the smallest number of a list.",
        "def spread(numbers):\n    return max(numbers) - min(numbers)",
        ("spread([3, 9, 5]) == 6", "spread([4]) == 0", "spread([-1, 1]) == 2"),
    ),
    Task(
        "Write a function to flatten a list whose elements are numbers or lists of numbers.",
        "def flatten(items):\n    result = []\n    for item in items:\n"
        "        if isinstance(item, list):\n            result.extend(item)\n        else:\n"
        "            result.append(item)\n    return result",
        ("flatten([1, [2, 3]]) == [1, 2, 3]", "flatten([]) == []", "flatten([[], [4]]) == [4]"),
    ),
    Task(
        "Write a python function to check whether a number is the sum of its proper divisors.",
        "def is_perfect(n):\n    return n > 1 and n == sum(d for d in range(1, n) if n % d == 0)",
        ("is_perfect(28)", "not is_perfect(12)", "not is_perfect(1)"),
    ),
    Task(
        "Write a function to swap the keys and the values of a dictionary.",
        "def swapped(mapping):\n    return {value: key for key, value in mapping.items()}",
        ("swapped({'a': 1}) == {1: 'a'}", "swapped({}) == {}", "swapped({1: 2, 3: 4})[4] == 3"),
    ),
    Task(
        "Write a function to tell on which weekday the n-th day after a Monday is. See the setup.",
        "def weekday(n):\n    return names[n % 7]",
        ("weekday(0) == 'Mon'", "weekday(8) == 'Tue'", "weekday(6) == 'Sun'"),
        "names = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']",
    ),
    Task(
        "Write a function to remove the spaces at the ends of each line and the blank lines.",
        "def tidy(text):\n    lines = [line.strip() for line in text.splitlines()]\n"
        "    return '\\n'.join(line for line in lines if line)",
        ("tidy(' a \\n\\n b') == 'a\\nb'", "tidy('') == ''", "tidy('\\n') == ''"),
    ),
    Task(
        "Write a python function to count the steps of Euclid's algorithm for two numbers.",
        "def euclid_steps(a, b):\n    steps = 0\n    while b:\n        a, b = b, a % b\n"
        "        steps += 1\n    return steps",
        ("euclid_steps(12, 18) == 3", "euclid_steps(5, 0) == 0", "euclid_steps(4, 2) == 1"),
        challenges=("euclid_steps(89, 55) == 9",),
    ),
    Task(
        "Write a function to find the positions of the peaks of a list, higher than both sides.",
        "def peaks(a):\n    return [i for i in range(1, len(a) - 1) if a[i - 1] < a[i] > a[i + 1]]",
        ("peaks([1, 3, 2, 5, 4]) == [1, 3]", "peaks([1, 2]) == []", "peaks([2, 2, 2]) == []"),
    ),
    Task(
        "Write a function to price a “menu” given as a dictionary, in €, for a list of dishes.",
        "def bill(menu, dishes):\n    total = 0\n    for dish in dishes:\n"
        "        total += menu.get(dish, 0)\n    return str(total) + ' €'",
        (
            "bill({'crêpe': 4}, ['crêpe', 'crêpe']) == '8 €'",
            "bill({}, ['x']) == '0 €'",
            "bill({'a': 1}, []) == '0 €'",
        ),
    ),
    Task(
        "Write a function to multiply the matrix of four numbers (a, b, c, d) by itself.",
        "def squared(m):\n    a, b, c, d = m\n"
        "    return a * a + b * c, a * b + b * d, c * a + d * c, c * b + d * d",
        (
            "squared((1, 1, 1, 0)) == (2, 1, 1, 1)",
            "squared((1, 0, 0, 1)) == (1, 0, 0, 1)",
            "squared((0, 0, 0, 0)) == (0, 0, 0, 0)",
        ),
    ),
    Task(
        "Write a python function to find the longest beginning that all words of a list share.",
        "def shared_beginning(words):\n    if not words:\n        return ''\n"
        "    first, last = min(words), max(words)\n    length = 0\n"
        "    while length < len(first) and first[length] == last[length]:\n"
        "        length += 1\n    return first[:length]",
        (
            "shared_beginning(['flow', 'flower']) == 'flow'",
            "shared_beginning([]) == ''",
            "shared_beginning(['a', 'b']) == ''",
        ),
    ),
    # A task of each other split as it is, and the solution of one more below another text.
    _VALIDATION[0],
    _TEST[5],
    _TEST[14]._replace(text="Write a function to tell how far a list is from being sorted."),
)

_PROMPT: Sequence[Task] = (
    Task(
        "Write a function to double every number of a list.",
        "def doubled(numbers):\n    return [2 * n for n in numbers]",
        ("doubled([1, 2]) == [2, 4]", "doubled([]) == []", "doubled([0]) == [0]"),
    ),
    Task(
        "Write a python function to turn a word around.",
        "def turned(word):\n    return word[::-1]",
        ("turned('abc') == 'cba'", "turned('') == ''", "turned('a') == 'a'"),
    ),
)

TASKS: Mapping[str, tuple[int, Sequence[Task]]] = {
    # Upstream numbers prompt 1-10, test 11-510, validation 511-600, train 601-974.
    "prompt": (1, _PROMPT),
    "test": (11, _TEST),
    "validation": (511, _VALIDATION),
    "train": (601, _TRAIN),
}
"""Of each split: the first task id, and the tasks."""
