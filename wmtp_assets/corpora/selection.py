"""Row numbers as callers give them, checked in one place for every use.

Rows are named by whole numbers, counted from the end where they are negative, in any of these: a
list, tuple, range, slice, iterator, set (ascending), numpy array, torch tensor, pandas series (by
its values) or Arrow array. Truth values are a mask: as many as there are rows, true where one is
meant. Anything else (a float, a null, text, two dimensions, a mask of another length, a number
outside) is a RowNumberError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.row_parser import Row

Rows = NDArray[np.int64]
RowsLike = Iterable[Any] | slice  # what this module's first lines list


class Readable(Protocol):
    """What the views read: a corpus, by row numbers."""

    def __getitem__(self, at: int, /) -> Row:
        """One row."""

    def take(self, rows: RowsLike, /) -> list[Row]:
        """Rows in the order given."""


class RowNumberError(CorpusError, IndexError):
    """Something does not name rows of this corpus. An IndexError, as of any sequence."""


def row_numbers(given: object, length: int) -> Rows:
    """The rows of `length` that `given` names: int64 numbers from 0, in the order given.

    Raises RowNumberError for what does not name rows.
    """
    if isinstance(given, slice):
        try:
            given = range(*given.indices(length))
        except TypeError as error:
            raise _not_rows(f"{given!r}") from error
    if isinstance(given, range):
        return _inside_range(given, length)
    array = _array(given)
    if array.ndim != 1 or array.dtype.names:
        raise _not_rows(f"an array of {array.ndim} dimensions and dtype {array.dtype}")
    if array.dtype == np.bool_:
        if array.size != length:
            raise RowNumberError(
                "A mask must have a truth value for every row",
                expected=f"a mask of {length:,}",
                found=f"one of {array.size:,}",
                hint="Give a mask as long as the corpus, or row numbers.",
            )
        return np.flatnonzero(array)
    if not array.size:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu":
        raise _not_rows(f"an array of dtype {array.dtype}")
    least, most = int(array.min()), int(array.max())
    _check_inside(least, most, length)
    numbers = array.astype(np.int64)
    return numbers if least >= 0 else np.where(numbers < 0, numbers + length, numbers)


def row_number(given: object, length: int) -> int:
    """The one row of `length` that `given` names, from 0. Raises RowNumberError."""
    number = whole_number(given)
    if number is None:
        raise _not_rows(_shown(given))
    _check_inside(number, number, length)
    return number if number >= 0 else number + length


def whole_number(given: object) -> int | None:
    """`given` as an int if it is an integer, of Python's, numpy's or torch's; None otherwise.

    Truth values are no integers here.
    """
    if type(given) is int:
        return given
    if isinstance(given, bool):
        return None
    if isinstance(given, (int, np.integer)):
        return int(given)
    if not isinstance(given, np.ndarray) and not hasattr(given, "__array__"):
        return None
    try:
        array = np.asarray(given)
    except Exception:  # whatever a foreign array raises: it is no integer of ours
        return None
    return int(array) if array.ndim == 0 and array.dtype.kind in "iu" else None


def distinct(numbers: Rows, length: int) -> Rows:
    """`numbers`, each once: as they are where none stands twice, ascending otherwise."""
    present = np.zeros(length, dtype=np.bool_)
    present[numbers] = True
    return numbers if np.count_nonzero(present) == numbers.size else np.flatnonzero(present)


def _array(given: object) -> NDArray[Any]:
    """`given` as an array of its own type; a collection as one of integers or truth values."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        raise _not_rows("an array of which elements are masked")
    if isinstance(given, np.ndarray) or hasattr(given, "__array__"):
        try:
            array = np.asarray(given)
        except Exception as error:  # whatever a foreign array raises
            raise _not_rows(f"{type(given).__name__}: {error}") from error
        if array.dtype != np.object_ or array.ndim != 1:
            return array
        given = array.tolist()
    if isinstance(given, (str, bytes, bytearray, memoryview, Mapping)) or not isinstance(
        given, Iterable
    ):
        raise _not_rows(_shown(given))
    values = list(given)
    kinds = set(map(type, values))
    if isinstance(given, Set):
        if kinds <= {int}:  # what has no order is taken in ascending order
            values.sort()
        elif kinds & {bool, np.bool_}:
            raise _not_rows("a set of bool")
    if kinds and kinds <= {bool, np.bool_}:
        return np.array(values, dtype=np.bool_)
    if not kinds <= {int}:
        values = [_element(value) for value in values]
        if isinstance(given, Set):
            values.sort()
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError as error:
        raise _not_rows(f"{max(values, key=abs)}, which is outside") from error


def _element(value: object) -> int:
    # No arrays: `[[1, 2]]` and `[array(1)]` are mistakes more often than they are meant.
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return int(value)
    raise _not_rows(f"{_shown(value)} among the numbers")


def _inside_range(numbers: range, length: int) -> Rows:
    if not numbers:
        return np.empty(0, np.int64)
    least, most = sorted((numbers[0], numbers[-1]))
    _check_inside(least, most, length)
    found = np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    return found if least >= 0 else np.where(found < 0, found + length, found)


def _check_inside(least: int, most: int, length: int) -> None:
    for number in (most, least):
        if not -length <= number < length:
            raise RowNumberError(
                "There is no such row",
                expected=f"numbers from {-length:,} to {length - 1:,}" if length else "no rows",
                found=number,
                hint="Rows count from 0; len(corpus) says how many there are.",
            )


def _not_rows(found: str) -> RowNumberError:
    return RowNumberError(
        "These are not row numbers",
        expected="whole numbers, or a mask with a truth value for every row",
        found=found,
        hint="Give integers in a list, range or one-dimensional array, or such a mask.",
    )


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r:.80}" if value is not None else "None"
