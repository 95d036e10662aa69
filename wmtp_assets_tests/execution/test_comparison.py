"""Which outputs are the same answer."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.execution.comparison import answer_of, same_answer, token_lists
from wmtp_assets.execution.tasks import Compare


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        ("3", "3\n", True),
        ("1 2\n3", "1\n2   3\n\n", True),
        ("", "\n", True),
        ("", "0", False),
        ("12", "1 2", False),
        ("0.5", ".5", True),
        ("0.3333333", "0.33333349", True),
        ("0.333", "0.334", False),
        ("1000000.5", "1000001.2", True),  # relatively
        ("2.0", "2", True),
        ("2", "2.0", True),
        ("1e3", "1000.0", True),
        ("1000000008", "1000000007", False),  # two integers
        ("1000000008.0", "1000000007", False),  # of an integer, absolutely
        ("03", "3", False),
        ("YES", "Yes", False),
        ("nan", "0.0", False),
        ("1e400", "2e400", False),
        ("0x10", "16.0", False),
        ("1_0.0", "10.0", False),
        ("1" * 500 + ".5", "1" * 500 + ".6", False),
    ],
)
def test_outputs_are_compared_by_tokens_and_decimal_numbers_by_value(
    output: str, expected: str, same: bool
) -> None:
    assert same_answer(output.encode(), expected.encode()) is same


def test_case_and_texts_alone_are_compared_where_it_is_asked() -> None:
    assert same_answer(b"YES 0.5", b"Yes 0.50", Compare.CASELESS)
    assert not same_answer(b"0.5", b"0.50", Compare.TEXT)
    assert same_answer(b"0.5\n", b" 0.5", Compare.TEXT)


def test_an_output_of_many_tokens_takes_no_more_memory_than_its_size() -> None:
    output = b"ab " * (1 << 20)
    tracemalloc.start()
    try:
        assert not same_answer(output, b"ab ab")
        assert not same_answer(output, b"ab ab", Compare.TEXT)
        answer = answer_of(output)
        assert sum(map(len, token_lists(output))) == 1 << 20
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(output)
    assert answer == hashlib.sha256(b" ".join(output.split())).hexdigest()[:16]


TOKENS = st.lists(
    st.one_of(
        st.integers(-(10**12), 10**12).map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.text("abYZ.-", min_size=1, max_size=5),
    ),
    max_size=6,
)
SPACE = st.text(" \t\r\n\v\f", min_size=1, max_size=3)


@settings(max_examples=50, deadline=None)
@given(TOKENS, SPACE, SPACE, st.sampled_from(Compare))
def test_white_space_never_matters(
    tokens: list[str], one: str, other: str, compare: Compare
) -> None:
    first, second = one.join(tokens).encode(), (other + other.join(tokens) + other).encode()
    assert same_answer(first, second, compare)
    assert answer_of(first, compare) == answer_of(second, compare)


@settings(max_examples=50, deadline=None)
@given(st.integers(-(10**18), 10**18), st.integers(1, 10))
def test_no_integer_is_another(number: int, distance: int) -> None:
    assert not same_answer(str(number).encode(), str(number + distance).encode())


@settings(max_examples=50, deadline=None)
@given(
    st.floats(-1e12, 1e12).map(lambda number: round(number, 3)),
    st.floats(-4, 4).filter(lambda error: abs(abs(error) - 1) > 1e-2),
)
def test_a_real_number_is_met_within_a_millionth_and_not_beyond(
    number: float, error: float
) -> None:
    found = number + error * 1e-6 * max(1.0, abs(number))
    assert same_answer(f"{found:.9f}".encode(), f"{number:.3f}".encode()) is (abs(error) < 1)


@settings(max_examples=50, deadline=None)
@given(TOKENS, TOKENS)
def test_what_is_the_same_by_text_is_the_same_by_any_rule(one: list[str], other: list[str]) -> None:
    first, second = " ".join(one).encode(), " ".join(other).encode()
    by_text = same_answer(first, second, Compare.TEXT)
    assert by_text is (one == other)
    if by_text:
        assert same_answer(first, second)
        assert same_answer(first, second, Compare.CASELESS)
