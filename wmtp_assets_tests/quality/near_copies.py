"""Solutions of problems with near-duplicates among them, and what a plain program says of these."""

from __future__ import annotations

import itertools
import random
import re

_NAMES = [
    "n",
    "m",
    "k",
    "a",
    "b",
    "c",
    "x",
    "y",
    "i",
    "j",
    "ans",
    "res",
    "left",
    "cnt",
    "arr",
    "dp",
]
_LINES = (
    "{a} = int(input())",
    "{a}, {b} = map(int, input().split())",
    "{a} = list(map(int, input().split()))",
    "for {a} in range({b}):",
    "    if {a}[{b}] > {c}:",
    "        {a} += {b} * {k}",
    "    {a}.append({b} % {k})",
    "while {a} < {b} // {k}:",
    "    {a}[{b}] = max({a}[{b}], {c} - {k})",
    "def solve({a}, {b}):",
    "    return {a} * {b} % {k}",
    'print("YES" if {a} > {b} else "NO")  # {c}',
    "print({a} + {b})",
)
_TOKEN = re.compile(rb"[A-Za-z0-9_\x80-\xff]+|[^\s]")


def line(draw: random.Random) -> str:
    """A line of Python that nobody need be able to run."""
    names = {name: draw.choice(_NAMES) for name in "abc"}
    return draw.choice(_LINES).format(k=draw.randrange(1, 99), **names)


def solutions(draw: random.Random, count: int) -> list[str]:
    """Of one problem: programs, and copies of them with none, some or many lines changed."""
    found: list[str] = []
    while len(found) < count:
        lines = [line(draw) for _ in range(draw.choice((1, 2, 8, 20, 40)))]
        found.append("\n".join(lines))
        for _ in range(draw.randrange(4)):
            copy = lines[:]
            for _ in range(draw.choice((0, 1, 1, 2, 3, 6))):
                copy[draw.randrange(len(copy))] = line(draw)
            found.append(draw.choice(("\n", "\n\n", "\r\n")).join(copy))
    draw.shuffle(found)
    return found[:count]


def shingles(text: bytes, tokens: int = 5) -> set[tuple[bytes, ...]]:
    """The runs of five tokens, or all of fewer."""
    found = _TOKEN.findall(text)
    if len(found) < tokens:
        return {tuple(found)} if found else set()
    return set(zip(*(found[at:] for at in range(tokens)), strict=False))


def near(texts: list[bytes], threshold: float = 0.8) -> list[tuple[int, int]]:
    """Every pair whose Jaccard index is at least the threshold, or of which both have the same
    tokens."""
    sets = [shingles(text) for text in texts]
    found = []
    for one, other in itertools.combinations(range(len(texts)), 2):
        a, b = sets[one], sets[other]
        shared = len(a & b)
        if a == b or (shared and shared / (len(a) + len(b) - shared) >= threshold):
            found.append((one, other))
    return found


def clusters(texts: list[bytes]) -> list[int]:
    """What is connected by near pairs: of each text the first that it is connected with."""
    label = list(range(len(texts)))
    for one, other in near(texts):
        here, there = label[one], label[other]
        label = [min(here, there) if each in (here, there) else each for each in label]
    return label
