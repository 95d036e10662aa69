"""Small contest problems of our own: statements, right and wrong programs, and their answers.

A family is one task with a number `k` in it; each `k` and each teller of the story gives another
problem. Every program text of a family's `right` really solves it (a test runs them), every text
of `wrong` fails on some input, as contest submissions do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Case: TypeAlias = str
"""One line of input: integers separated by spaces, or one lowercase word."""

TELLERS = ("Mira", "Tomasz", "Zoë", "Oluwaseun", "Björn", "小明", "Ирина", "Aarav")


@dataclass(frozen=True)
class Family:
    """`right` and `wrong` are bodies of `def answer(a)`; `a` is a list of ints or a word."""

    title: str
    statement: str
    asked: str
    words: bool
    solve: Callable[[str, int], str]
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def _numbers(function: Callable[[list[int], int], int]) -> Callable[[str, int], str]:
    return lambda case, k: str(function([int(part) for part in case.split()], k))


def _longest_run(a: list[int], k: int) -> int:
    best = run = 0
    for value in a:
        run = run + 1 if value <= k else 0
        best = max(best, run)
    return best


FAMILIES: Sequence[Family] = (
    Family(
        "Counting Multiples",
        "{who} has a list of integers and likes the number {k} very much.",
        "the number of elements that are divisible by {k}",
        False,
        _numbers(lambda a, k: sum(value % k == 0 for value in a)),
        (
            "return sum(1 for x in a if x % {k} == 0)",
            "count = 0\nfor x in a:\n    if x % {k} == 0:\n        count += 1\nreturn count",
            "return len([x for x in a if not x % {k}])",
        ),
        (
            "return sum(x for x in a if x % {k} == 0)",
            "count = 0\nfor x in a[1:]:\n    if x % {k} == 0:\n        count += 1\nreturn count",
            "return len([x for x in a if x % {k}])",
        ),
    ),
    Family(
        "Heavy Parcels",
        "{who} weighs parcels. A parcel is heavy when its weight is greater than {k} kilograms.",
        "the total weight of the heavy parcels, or 0 if there is none",
        False,
        _numbers(lambda a, k: sum(value for value in a if value > k)),
        (
            "return sum(x for x in a if x > {k})",
            "total = 0\nfor x in a:\n    if x > {k}:\n        total += x\nreturn total",
        ),
        (
            "return sum(x for x in a if x >= {k})",
            "total = 0\nfor x in a:\n    if x > {k}:\n        total += 1\nreturn total",
            "return sum(a) - {k}",
        ),
    ),
    Family(
        "Pairs of Friends",
        "Every child in the class of {who} holds a card. Two children are friends when the numbers"
        " on their cards add up to {k}.",
        "the number of pairs of friends",
        False,
        _numbers(
            lambda a, k: sum(x + y == k for i, x in enumerate(a) for y in a[:i]),
        ),
        (
            "seen = {{}}\npairs = 0\nfor x in a:\n    pairs += seen.get({k} - x, 0)\n"
            "    seen[x] = seen.get(x, 0) + 1\nreturn pairs",
            "n = len(a)\nreturn sum(1 for i in range(n) for j in range(i + 1, n)"
            " if a[i] + a[j] == {k})",
        ),
        (
            "n = len(a)\nreturn sum(1 for i in range(n) for j in range(i, n)"
            " if a[i] + a[j] == {k})",
            "return sum(1 for x in a if {k} - x in a)",
            "left, right = 0, len(a) - 1\npairs = 0\nwhile left < right:\n"
            "    if a[left] + a[right] == {k}:\n        pairs += 1\n"
            "    left, right = left + 1, right - 1\nreturn pairs",
        ),
    ),
    Family(
        "A Quiet Stretch",
        "{who} measured the noise in front of the house once an hour. An hour is quiet when the"
        " value is at most {k} decibels.",
        "the greatest number of quiet hours in a row",
        False,
        _numbers(_longest_run),
        (
            "best = run = 0\nfor x in a:\n    run = run + 1 if x <= {k} else 0\n"
            "    best = max(best, run)\nreturn best",
            "marks = ''.join('1' if x <= {k} else '0' for x in a)\n"
            "return max(len(part) for part in marks.split('0'))",
        ),
        (
            "best = run = 0\nfor x in a:\n    run = run + 1 if x < {k} else 0\n"
            "    best = max(best, run)\nreturn best",
            "return sum(1 for x in a if x <= {k})",
        ),
    ),
    Family(
        "Carrying Sand",
        "There are heaps of sand in the yard, and {who} carries them away one heap after the other"
        " with a cart that holds {k} buckets. Sand of different heaps is never mixed.",
        "the smallest number of trips",
        False,
        _numbers(lambda a, k: sum(-(-value // k) for value in a)),
        (
            "return sum((x + {k} - 1) // {k} for x in a)",
            "trips = 0\nfor heap in a:\n    trips += heap // {k}\n    if heap % {k}:\n"
            "        trips += 1\nreturn trips",
            "return sum(-(-x // {k}) for x in a)",
        ),
        (
            "return (sum(a) + {k} - 1) // {k}",
            "return sum(x // {k} for x in a)",
            "return sum(x // {k} + 1 for x in a)",
        ),
    ),
    Family(
        "Different Remainders",
        "{who} divides every number of a list by {k} and writes the remainders on a blackboard,"
        " each one only if it is not there yet.",
        "how many remainders there are on the blackboard",
        False,
        _numbers(lambda a, k: len({value % k for value in a})),
        (
            "return len(set(x % {k} for x in a))",
            "board = []\nfor x in a:\n    if x % {k} not in board:\n        board.append(x % {k})\n"
            "return len(board)",
        ),
        (
            "return len(set(a))",
            "return len(set(x // {k} for x in a))",
            "return min({k}, len(a))",
        ),
    ),
    Family(
        "The Best Window",
        "The window of {who}'s shop shows some of the goods. Moving the window by one place hides"
        " one of them and shows the next; {k} neighbours are seen at a time, or all of them if"
        " there are fewer.",
        "the greatest total price that can be seen at once",
        False,
        _numbers(lambda a, k: max(sum(a[i : i + k]) for i in range(max(1, len(a) - k + 1)))),
        (
            "return max(sum(a[i:i + {k}]) for i in range(max(1, len(a) - {k} + 1)))",
            "total = best = sum(a[:{k}])\nfor i in range({k}, len(a)):\n"
            "    total += a[i] - a[i - {k}]\n    best = max(best, total)\nreturn best",
        ),
        (
            "return sum(sorted(a)[-{k}:])",
            "return sum(a[:{k}])",
            "return max(a) * {k}",
        ),
    ),
    Family(
        "Distance to the Well",
        "Houses stand along a straight road and the well of the village is at position {k}. {who}"
        " brings water to every house and returns to the well each time.",
        "the length of all the walks together",
        False,
        _numbers(lambda a, k: sum(2 * abs(value - k) for value in a)),
        (
            "return 2 * sum(abs(x - {k}) for x in a)",
            "length = 0\nfor x in a:\n    if x > {k}:\n        length += 2 * (x - {k})\n"
            "    else:\n        length += 2 * ({k} - x)\nreturn length",
        ),
        (
            "return sum(abs(x - {k}) for x in a)",
            "return abs(2 * sum(x - {k} for x in a))",
        ),
    ),
    Family(
        "A Secret Note",
        "{who} replaces every letter of a word by the letter that comes {k} places later in the"
        " alphabet; after z the alphabet begins again with a.",
        "the word as {who} writes it",
        True,
        lambda case, k: "".join(chr((ord(c) - 97 + k) % 26 + 97) for c in case),
        (
            "return ''.join(chr((ord(c) - 97 + {k}) % 26 + 97) for c in a)",
            "letters = 'abcdefghijklmnopqrstuvwxyz'\nresult = ''\nfor c in a:\n"
            "    result += letters[(letters.index(c) + {k}) % 26]\nreturn result",
        ),
        (
            "return ''.join(chr(ord(c) + {k}) for c in a)",
            "return ''.join(chr((ord(c) - 97 - {k}) % 26 + 97) for c in a)",
            "letters = 'abcdefghijklmnopqrstuvwxyz'\nresult = ''\nfor c in a:\n"
            "    result += letters[(letters.index(c) + {k}) % 25]\nreturn result",
        ),
    ),
    Family(
        "Mirror Words",
        "{who} takes the first {k} letters off a word (or all of them, if there are fewer) and"
        " holds a mirror beside what is left.",
        "YES if what is left reads the same in both directions, and NO otherwise",
        True,
        lambda case, k: "YES" if case[k:] == case[k:][::-1] else "NO",
        (
            "rest = a[{k}:]\nreturn 'YES' if rest == rest[::-1] else 'NO'",
            "left, right = {k}, len(a) - 1\nwhile left < right:\n    if a[left] != a[right]:\n"
            "        return 'NO'\n    left, right = left + 1, right - 1\nreturn 'YES'",
        ),
        (
            "return 'YES' if a == a[::-1] else 'NO'",
            "rest = a[:-{k}]\nreturn 'YES' if rest == rest[::-1] else 'NO'",
            "rest = a[{k}:]\nreturn 'YES' if rest[0:1] == rest[-1:] else 'NO'",
        ),
    ),
    Family(
        "Every Few Letters",
        "A snail crosses the word on {who}'s poster. It rests on the first letter, and then again"
        " after every {k} letters.",
        "the letters on which the snail rests, in order",
        True,
        lambda case, k: case[::k],
        (
            "return a[::{k}]",
            "result = []\nfor i in range(len(a)):\n    if i % {k} == 0:\n"
            "        result.append(a[i])\nreturn ''.join(result)",
        ),
        (
            "return a[{k}::{k}]",
            "return a[::{k} + 1]",
            "return a[:{k}]",
        ),
    ),
    Family(
        "Rare Letters",
        "{who} collects letters. A letter of the alphabet is rare in a word when it occurs there at"
        " least once, but fewer than {k} times.",
        "the number of different rare letters",
        True,
        lambda case, k: str(sum(case.count(letter) < k for letter in set(case))),
        (
            "return sum(1 for c in set(a) if a.count(c) < {k})",
            "count = {{}}\nfor c in a:\n    count[c] = count.get(c, 0) + 1\n"
            "return len([c for c in count if count[c] < {k}])",
        ),
        (
            "return sum(1 for c in a if a.count(c) < {k})",
            "return sum(1 for c in set(a) if a.count(c) <= {k})",
            "return len(set(a))",
        ),
    ),
)


def draw(seed: str, count: int) -> list[int]:
    """`count` numbers of 0..65535 that depend on `seed` alone."""
    data = hashlib.shake_128(seed.encode()).digest(2 * count)
    return [data[2 * part] << 8 | data[2 * part + 1] for part in range(count)]
