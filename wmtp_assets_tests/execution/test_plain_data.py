"""What crosses between the process of tests and that of a solution."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.execution import plain_data
from wmtp_assets.execution.plain_data import NotPlainError, decoded, encoded

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.binary(),
    st.builds(range, st.integers(), st.integers(), st.integers(1, 5)),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(ATOMS, max_size=4),
        st.frozensets(ATOMS, max_size=4),
        st.dictionaries(ATOMS, inner, max_size=4),
        st.dictionaries(ATOMS, st.integers(), max_size=4).map(Counter),
        st.dictionaries(ATOMS, inner, max_size=4).map(OrderedDict),
        st.dictionaries(ATOMS, inner, max_size=4).map(lambda items: defaultdict(list, items)),
        st.lists(inner, max_size=4).map(lambda items: deque(items, 5)),
    ),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_what_arrives_is_equal_and_of_the_same_types(value: Any) -> None:
    arrived = decoded(encoded(value))
    assert arrived == value
    assert _types(arrived) == _types(value)


def _types(value: Any) -> object:
    """The type of a value and of all in it."""
    if isinstance(value, dict):
        return type(value), [(_types(key), _types(one)) for key, one in value.items()]
    if isinstance(value, list | tuple | deque):
        return type(value), [_types(one) for one in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(_types(one)) for one in value)
    return type(value)


class _Str(str):
    pass


@pytest.mark.parametrize(
    "value",
    [object(), _Str("x"), len, lambda: 0, iter([]), [1, {2: (3, object())}], {1: map(str, "")}],
    ids=lambda value: type(value).__name__,
)
def test_no_other_type_crosses(value: object) -> None:
    with pytest.raises(NotPlainError, match="is no plain data"):
        encoded(value)


def test_what_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotPlainError, match="nested too deeply"):
        encoded(value)


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-9, 9), st.text("ltsfdCODqrcbx", max_size=2)
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=2), inner, max_size=2)
        ),
    )
)
def test_anything_that_arrives_is_plain_data_or_refused(value: Any) -> None:
    try:
        arrived = decoded(json.dumps(value).encode())
    except NotPlainError:
        return
    encoded(arrived)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b'["r", 1e400, 2, 3]', b"\xff"])
def test_broken_texts_are_refused(data: bytes) -> None:
    with pytest.raises(NotPlainError):
        decoded(data)


def test_a_container_is_changed_in_place() -> None:
    for target, changed in (
        ([1], [2, 3]),
        ({1}, {2}),
        ({1: 2}, {3: 4}),
        (deque([1]), deque([2, 3])),
        (Counter("a"), Counter("bb")),
    ):
        plain_data.update(target, changed)
        assert target == changed
    with pytest.raises(NotPlainError):
        plain_data.update([1], {1})
