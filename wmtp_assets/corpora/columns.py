"""Arrow columns as Python values, read by the names and types of their fields.

A kind of column says what is wanted of it: `Text`, `Integer`, `Texts` (lists of text), `Parallel`
(lists of equal length, of which each field is one) or `Struct` (single values by name). Every Arrow
type that holds just that is read, whatever its place in the schema:

    text      string, large_string, string_view, binary, large_binary, binary_view, arrow.json
    integer   every signed and unsigned width
    list      list, large_list, list_view, large_list_view, fixed_size_list
    parallel  a struct of lists, or a list of structs
    struct    a struct

each also as a dictionary's values, and `null` where every value is null. Anything else is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wmtp_assets.corpora.row_index import as_numpy

Values = dict[str, pa.Array]
_MOST_VALUES = 1_000_000  # of one list; upstream's have some thousands, damaged ones millions


class MismatchError(Exception):
    """A column is not of the kind wanted: its path, what was expected and what was found."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path, self.expected, self.found = path, expected, found


class UnequalError(Exception):
    """Row `row` of a batch has parallel lists of unequal length: `found` names the lengths."""

    def __init__(self, row: int, found: str) -> None:
        super().__init__(row, found)
        self.row, self.found = row, found


@dataclass(frozen=True)
class Text:
    """Text, as its bytes: upstream's Arrow strings may hold what is not UTF-8."""

    def check(self, path: str, kind: pa.DataType) -> list[str]:
        """The paths of the leaves to decode. Raises MismatchError for another type."""
        if not _is_text(_plain_type(kind)):
            raise MismatchError(path, "text", str(kind))
        return [path]

    def read(self, column: pa.Array) -> list[bytes | None]:
        column = _plain(column)
        kind = column.type
        # A view costs nothing; the types with views have none on these.
        if pa.types.is_string(kind):
            column = column.view(pa.binary())
        elif pa.types.is_large_string(kind):
            column = column.view(pa.large_binary())
        elif not pa.types.is_null(kind):
            column = column.cast(pa.large_binary())
        found: list[bytes | None] = column.to_pylist()
        return found

    def strings(self, column: pa.Array) -> pa.StringArray:
        """`column` as Arrow's own strings, mostly without a copy.

        Raises ArrowInvalid where a value is not UTF-8.
        """
        column = _plain(column)
        if pa.types.is_string(column.type):
            column = column.view(pa.binary())  # whose cast checks what it finds
        elif not pa.types.is_binary(column.type):
            column = column.cast(pa.binary())
        return column.cast(pa.string())


@dataclass(frozen=True)
class Integer:
    """An integer that fits 64 bits with a sign."""

    def check(self, path: str, kind: pa.DataType) -> list[str]:
        """The paths of the leaves to decode. Raises MismatchError for another type."""
        kind = _plain_type(kind)
        if not (pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise MismatchError(path, "an integer", str(kind))
        return [path]

    def read(self, column: pa.Array) -> list[int | None]:
        found: list[int | None] = self.wide(column).to_pylist()
        return found

    def wide(self, column: pa.Array) -> pa.Array:
        """`column` as int64. Raises ArrowInvalid for a number that does not fit."""
        column = _plain(column)
        return column if pa.types.is_int64(column.type) else column.cast(pa.int64())


@dataclass(frozen=True)
class Texts:
    """Lists of text; a null list is an empty one."""

    def check(self, path: str, kind: pa.DataType) -> list[str]:
        """The paths of the leaves to decode. Raises MismatchError for another type."""
        kind = _plain_type(kind)
        if not pa.types.is_null(kind):
            if not _is_list(kind):
                raise MismatchError(path, "a list of text", str(kind))
            Text().check(f"{path}[]", kind.value_type)
        return [path]

    def read(self, column: pa.Array) -> list[list[bytes | None]]:
        ends, values = _lists(_plain(column))
        flat = Text().read(values)
        return [flat[begin:end] for begin, end in itertools.pairwise(ends.tolist())]


@dataclass(frozen=True)
class Parallel:
    """Lists of equal length under one name, e.g. solutions: each one's language and text.

    A null struct, list or element holds nothing, or nulls.
    """

    fields: Mapping[str, Text | Integer]

    def check(self, path: str, kind: pa.DataType) -> list[str]:
        """The paths of the leaves to decode. Raises MismatchError for another type."""
        kind = _plain_type(kind)
        if pa.types.is_null(kind):
            return [path]
        of_structs = _is_list(kind) and pa.types.is_struct(_plain_type(kind.value_type))
        struct = _plain_type(kind.value_type) if of_structs else kind
        if not pa.types.is_struct(struct):
            expected = f"a struct of the lists {', '.join(self.fields)}"
            raise MismatchError(path, expected, str(kind))
        for name, wanted in self.fields.items():
            inner = field_of(struct, f"{path}.{name}", name).type
            if of_structs:
                wanted.check(f"{path}[].{name}", inner)
                continue
            inner = _plain_type(inner)
            if pa.types.is_null(inner):
                continue
            if not _is_list(inner):
                raise MismatchError(f"{path}.{name}", "a list", str(inner))
            wanted.check(f"{path}.{name}[]", inner.value_type)
        # Where the lists are inside, a field's leaf lies below the list's element, whose name
        # differs from writer to writer.
        return [path] if of_structs else [f"{path}.{name}" for name in self.fields]

    def read(self, column: pa.Array) -> tuple[NDArray[np.int64], Values]:
        """Where each row begins among the values of all rows, and the end; the values by field.

        Raises UnequalError if a row's lists differ in length.
        """
        column = _plain(column)
        if pa.types.is_null(column.type):
            return np.zeros(len(column) + 1, np.int64), dict.fromkeys(self.fields, pa.nulls(0))
        if not pa.types.is_struct(column.type):
            ends, structs = _lists(column)
            return ends, _children(_plain(structs), self.fields)
        found = {
            name: _lists(_plain(lists)) for name, lists in _children(column, self.fields).items()
        }
        ends = next(iter(found.values()))[0]
        for other, _ in found.values():
            if not np.array_equal(ends, other):
                row = int(np.flatnonzero(np.diff(ends) != np.diff(other))[0])
                sizes = (f"{name} {np.diff(each)[row]}" for name, (each, _) in found.items())
                raise UnequalError(row, ", ".join(sizes))
        return ends, {name: values for name, (_, values) in found.items()}


@dataclass(frozen=True)
class Struct:
    """Single values under one name, e.g. time_limit: seconds and nanos; a null struct is None."""

    fields: Mapping[str, Text | Integer]

    def check(self, path: str, kind: pa.DataType) -> list[str]:
        """The paths of the leaves to decode. Raises MismatchError for another type."""
        kind = _plain_type(kind)
        if pa.types.is_null(kind):
            return [path]
        if not pa.types.is_struct(kind):
            raise MismatchError(path, f"a struct of {', '.join(self.fields)}", str(kind))
        return [
            leaf
            for name, wanted in self.fields.items()
            for leaf in wanted.check(f"{path}.{name}", field_of(kind, f"{path}.{name}", name).type)
        ]

    def read(self, column: pa.Array) -> list[dict[str, Any] | None]:
        column = _plain(column)
        if pa.types.is_null(column.type):
            return [None] * len(column)
        children = _children(column, self.fields)
        values = [wanted.read(children[name]) for name, wanted in self.fields.items()]
        return [
            dict(zip(self.fields, each, strict=True)) if there else None
            for there, *each in zip(column.is_valid().to_pylist(), *values, strict=True)
        ]


Kind = Text | Integer | Texts | Parallel | Struct


def field_of(fields: pa.Schema | pa.StructType, path: str, name: str) -> pa.Field:
    """The one field called `name`. Raises MismatchError if there is none, or more than one."""
    places = fields.get_all_field_indices(name)
    if len(places) != 1:
        times = f"{len(places)} columns of that name" if places else "no such column"
        raise MismatchError(path, "one column of that name", times)
    return fields.field(places[0])


def _children(structs: pa.StructArray, names: Mapping[str, object]) -> Values:
    """The children called `names`, null where their struct is."""
    children = structs.flatten()
    return {name: children[structs.type.get_field_index(name)] for name in names}


def _lists(lists: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Where each list begins among the values, and the end; the values. A null list is empty."""
    if pa.types.is_null(lists.type):
        return np.zeros(len(lists) + 1, np.int64), pa.nulls(0)
    sizes = np.maximum(as_numpy(pc.list_value_length(lists)), 0)
    if sizes.size and sizes.max() > _MOST_VALUES:
        raise ValueError(f"a list of {sizes.max():,} values, more than {_MOST_VALUES:,}")
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))), lists.flatten()


def _plain(column: pa.Array) -> pa.Array:
    """`column` without the wrappings that its type may have around its values."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.JsonType):  # the one extension type that is text and nothing else
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_null,
        )
    )


def _is_list(kind: pa.DataType) -> bool:
    return any(
        is_kind(kind)
        for is_kind in (
            pa.types.is_list,
            pa.types.is_large_list,
            pa.types.is_list_view,
            pa.types.is_large_list_view,
            pa.types.is_fixed_size_list,
        )
    )
