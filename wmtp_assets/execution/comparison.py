"""Whether an output is the expected one: by tokens, so that white space does not matter.

Two outputs are the same answer where they have equally many tokens (what white space separates),
and each token has the same text as the other's, or both are decimal numbers, at least one of them
with a point or an exponent, that differ by 1e-6 at most: absolutely, or relatively to the expected
one where that has a point or an exponent itself. Two integers are the same only as texts: a count
modulo 1,000,000,007 that is off by one is wrong. `inf` and `nan` are no decimal numbers.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Final

from wmtp_assets.execution.tasks import Compare

TOLERANCE: Final = 1e-6
_NUMBER: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_LONGEST: Final = 400  # bytes of a number; the largest float has 309 digits before its point


def same_answer(output: bytes, expected: bytes, compare: Compare = Compare.TOKENS) -> bool:
    """Whether `output` is as good as `expected`.

    TOKENS is the rule above, CASELESS ignores the case of ASCII letters as well, and TEXT takes
    every token by its text.
    """
    if output == expected:
        return True
    if compare is Compare.CASELESS:
        output, expected = output.lower(), expected.lower()
    found, wanted = output.split(), expected.split()
    if found == wanted:
        return True
    if compare is Compare.TEXT or len(found) != len(wanted):
        return False
    return all(one == other or _close(one, other) for one, other in zip(found, wanted, strict=True))


def answer_of(output: bytes, compare: Compare = Compare.TOKENS) -> str:
    """16 hexadecimal digits that stand for the tokens of an output."""
    tokens = (output.lower() if compare is Compare.CASELESS else output).split()
    return hashlib.sha256(b" ".join(tokens)).hexdigest()[:16]


def _close(found: bytes, wanted: bytes) -> bool:
    if max(len(found), len(wanted)) > _LONGEST:
        return False
    if not (_NUMBER.fullmatch(found) and _NUMBER.fullmatch(wanted)):
        return False
    wanted_is_real = _is_real(wanted)
    if not wanted_is_real and not _is_real(found):
        return False
    one, other = float(found), float(wanted)
    if not (math.isfinite(one) and math.isfinite(other)):
        return False
    scale = max(1.0, abs(other)) if wanted_is_real else 1.0
    return abs(one - other) <= TOLERANCE * scale


def _is_real(number: bytes) -> bool:
    return any(mark in number for mark in b".eE")
