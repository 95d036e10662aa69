"""What the pages of a Parquet file claim, read before pyarrow takes memory for it.

Each page begins with its sizes, in Thrift's compact encoding. pyarrow believes them: a file of some
kilobytes whose pages claim gigabytes takes them. The footer's sums prove nothing, since whoever
writes the one writes the other. So the pages' own headers are read here, a few dozen bytes of each.

The format: https://parquet.apache.org/docs/file-format/
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from wmtp_assets.corpora.errors import CorpusError

UNREADABLE: Final = (
    OSError,
    pa.ArrowException,
    ValueError,
    LookupError,
    ArithmeticError,
    MemoryError,
    TypeError,
    NotImplementedError,
)
"""What pyarrow raises for a file that it cannot decode; UnicodeDecodeError is a ValueError."""

MOST_BYTES: Final = 512 << 20  # of a page when it is decompressed; writers aim at 1 MiB
MOST_VALUES: Final = 1 << 26  # of a page, a value of each row of the largest group that is written
MOST_ENTRIES: Final = 1 << 24  # of a dictionary: 16 bytes each in memory
_MOST_PAGES = 1_000_000  # of a file: half a minute
_MOST_FOOTER = 64 << 20
_WINDOW, _MOST_HEADER = 512, 16 << 20  # bytes; the last is pyarrow's own limit
_DEEPEST = 32  # structures in structures
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3  # types of pages
_ORDER: Final = "a file whose pages can be read one after the other"


def require_bounded_pages(path: Path, columns: Collection[str], hint: str) -> None:
    """Raises CorpusError, with `hint`, where a page of the top-level `columns` claims more than a
    page may have, or the pages cannot be found. OSError where the file cannot be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            claim = next(_excessive(descriptor, columns), None)
        except _BadThriftError as error:
            claim = (_ORDER, str(error))
    finally:
        os.close(descriptor)
    if claim is not None:
        raise CorpusError(
            "A page of a shard has an impossible header",
            expected=claim[0],
            found=claim[1],
            where=path,
            hint=hint,
        )


def _excessive(descriptor: int, columns: Collection[str]) -> Iterator[tuple[str, str]]:
    """What a page may have, and what it claims, of each that claims too much."""
    size = os.fstat(descriptor).st_size
    pages = 0
    for name, chunk in _chunks(descriptor, size, columns):
        at, first = _integer(chunk, 9), chunk.get(11)
        if isinstance(first, int) and 0 < first < at:
            at = first
        if not 0 <= at <= size:
            raise _BadThriftError(f"a page at byte {at:,} of {size:,}")
        end, values = at + _integer(chunk, 7), _integer(chunk, 5)
        while at < end and values > 0:
            header, length = _page_header(descriptor, at)
            pages += 1
            kind, stated, stored = (_integer(header, field) for field in (1, 2, 3))
            about = header.get({_DATA: 5, _DICTIONARY: 7, _DATA_2: 8}.get(kind, -1), {})
            count = _integer(about, 1) if about else 0
            where = f"column {name}, byte {at:,}"
            most = MOST_ENTRIES if kind == _DICTIONARY else MOST_VALUES
            if not 0 <= stated <= MOST_BYTES:
                yield f"at most {MOST_BYTES:,} bytes", f"{stated:,} bytes ({where})"
            if not 0 <= count <= most:
                yield f"at most {most:,} values", f"{count:,} values ({where})"
            if not 0 <= stored <= size - at - length:
                yield "bytes that are in the file", f"{stored:,} bytes ({where})"
            if pages > _MOST_PAGES:
                yield f"at most {_MOST_PAGES:,} pages", "more"
            if kind in (_DATA, _DATA_2):
                values -= count
            at += length + stored


def _chunks(
    descriptor: int, size: int, columns: Collection[str]
) -> Iterator[tuple[str, dict[int, Any]]]:
    """Where the `columns` lie in each row group: their ColumnMetaData, but of encrypted ones."""
    length = int.from_bytes(os.pread(descriptor, 4, size - 8), "little")
    if not 0 < length <= min(size, _MOST_FOOTER):
        raise _BadThriftError(f"a footer of {length:,} bytes")
    footer, _ = _Thrift(os.pread(descriptor, length, size - 8 - length)).struct(0, 0)
    for group in _list(footer, 4):
        for column in _list(group, 1):
            chunk = _structure(column).get(3)
            if 8 in column or 9 in column or chunk is None:
                continue  # pyarrow has no key for it
            names = _list(chunk, 3)
            if not names or not all(isinstance(each, bytes) for each in names):
                raise _BadThriftError("a column without a name")
            name = b".".join(names).decode("utf-8", "backslashreplace")
            if name.partition(".")[0] in columns or name in columns:
                yield name, chunk


def _page_header(descriptor: int, at: int) -> tuple[dict[int, Any], int]:
    """The header that begins at `at`, and how many bytes it takes."""
    window = _WINDOW
    while True:
        data = os.pread(descriptor, window, at)
        try:
            return _Thrift(data).struct(0, 0)
        except _ShortError:
            if len(data) < window or window >= _MOST_HEADER:
                raise
            window *= 16


class _BadThriftError(Exception):
    """These bytes are not what the format has at this place."""


class _ShortError(_BadThriftError):
    """The bytes end amid a value."""

    def __init__(self) -> None:
        super().__init__("a header that ends amid a value")


def _integer(fields: object, number: int) -> int:
    value = _structure(fields).get(number)
    if not isinstance(value, int):
        raise _BadThriftError(f"no number in field {number}")
    return value


def _list(fields: object, number: int) -> list[Any]:
    value = _structure(fields).get(number, [])
    if not isinstance(value, list):
        raise _BadThriftError(f"no list in field {number}")
    return value


def _structure(value: object) -> dict[int, Any]:
    if not isinstance(value, dict):
        raise _BadThriftError("another value where a structure belongs")
    return value


class _Thrift:
    """Values in Thrift's compact protocol: a structure is a dictionary by the numbers of its
    fields, texts are bytes. What nothing here asks for is passed over all the same."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def struct(self, at: int, depth: int) -> tuple[dict[int, Any], int]:
        """The structure at `at`, and where it ends."""
        if depth > _DEEPEST:
            raise _BadThriftError("structures in structures without end")
        fields: dict[int, Any] = {}
        number = 0
        while True:
            head, at = self._byte(at)
            kind = head & 15
            if kind == 0:
                return fields, at
            if head >> 4:
                number += head >> 4
            else:
                number, at = self._signed(at)
            if kind in (1, 2):  # a truth value has no bytes of its own here
                fields[number] = kind == 1
            else:
                fields[number], at = self._value(kind, at, depth)

    def _value(self, kind: int, at: int, depth: int) -> tuple[Any, int]:
        match kind:
            case 1 | 2 | 3:
                return self._byte(at)
            case 4 | 5 | 6:
                return self._signed(at)
            case 7:
                return None, self._skip(at, 8)
            case 8:
                length, at = self._unsigned(at)
                end = self._skip(at, length)
                return self._data[at:end], end
            case 9 | 10:
                head, at = self._byte(at)
                count, inner = head >> 4, head & 15
                if count == 15:
                    count, at = self._unsigned(at)
                self._skip(at, count)  # each takes a byte at least
                items = []
                for _ in range(count):
                    item, at = self._value(inner, at, depth + 1)
                    items.append(item)
                return items, at
            case 12:
                return self.struct(at, depth + 1)
        raise _BadThriftError(f"a value of type {kind}, which no part of the format has")

    def _byte(self, at: int) -> tuple[int, int]:
        if at >= len(self._data):
            raise _ShortError
        return self._data[at], at + 1

    def _skip(self, at: int, count: int) -> int:
        if count > len(self._data) - at:
            raise _ShortError
        return at + count

    def _unsigned(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte, at = self._byte(at)
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7
            if shift > 63:
                raise _BadThriftError("a number of more than 64 bits")

    def _signed(self, at: int) -> tuple[int, int]:
        value, at = self._unsigned(at)
        return value >> 1 ^ -(value & 1), at
