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
from collections.abc import Iterator
from typing import Final

from wmtp_assets.execution.tasks import Compare

TOLERANCE: Final = 1e-6
_NUMBER: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_LONGEST: Final = 400  # bytes of a number; the largest float has 309 digits before its point
_AT_ONCE: Final = 1 << 16  # tokens; each takes some 40 bytes more than its text


def same_answer(output: bytes, expected: bytes, compare: Compare = Compare.TOKENS) -> bool:
    """Whether `output` is as good as `expected`.

    TOKENS is the rule above, CASELESS ignores the case of ASCII letters as well, and TEXT takes
    every token by its text.
    """
    if output == expected:
        return True
    if compare is Compare.CASELESS:
        output, expected = output.lower(), expected.lower()
    wanted = expected.split()
    # An output that is much longer is not taken apart: what is left stays one piece, one too many.
    found = output.split(None, len(wanted))
    if found == wanted:
        return True
    if compare is Compare.TEXT or len(found) != len(wanted):
        return False
    return all(one == other or _close(one, other) for one, other in zip(found, wanted, strict=True))


def answer_of(output: bytes, compare: Compare = Compare.TOKENS) -> str:
    """16 hexadecimal digits that stand for the tokens of an output."""
    sha, between = hashlib.sha256(), b""
    for tokens in token_lists(output.lower() if compare is Compare.CASELESS else output):
        sha.update(between + b" ".join(tokens))
        between = b" "
    return sha.hexdigest()[:16]


def token_lists(output: bytes) -> Iterator[list[bytes]]:
    """The tokens of an output, a bounded number of them at a time."""
    while output:
        tokens = output.split(None, _AT_ONCE)
        output = tokens.pop() if len(tokens) > _AT_ONCE else b""
        if tokens:
            yield tokens


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
