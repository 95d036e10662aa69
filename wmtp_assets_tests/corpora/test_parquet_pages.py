"""What a page may claim, with each field at its limit and beyond."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.parquet_pages import (
    MOST_BYTES,
    MOST_ENTRIES,
    MOST_VALUES,
    require_bounded_pages,
)


def thrift(value: Any) -> bytes:
    """A value in Thrift's compact protocol; dictionaries are structures."""
    match value:
        case int():
            return _varint(value << 1 ^ value >> 63)
        case bytes():
            return _varint(len(value)) + value
        case list():
            kind = {int: 6, bytes: 8, dict: 12}[type(value[0])]
            return bytes([len(value) << 4 | kind]) + b"".join(map(thrift, value))
    fields, before = b"", 0
    for number, each in value.items():
        kind = {int: 6, bytes: 8, list: 9, dict: 12}[type(each)]
        fields += bytes([(number - before) << 4 | kind]) + thrift(each)
        before = number
    return fields + b"\0"


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def page(
    kind: int = 0, stated: int = 8, stored: int = 8, values: int = 2, bytes_too: bytes = b"8 bytes."
) -> bytes:
    about = {0: 5, 2: 7, 3: 8}[kind]
    return thrift({1: kind, 2: stated, 3: stored, about: {1: values}}) + bytes_too


def file(path: Path, *pages: bytes, column: Mapping[int, Any] | None = None) -> Path:
    """A file of one column, `a`, in these pages; `column` are other fields of its description."""
    data = b"PAR1" + b"".join(pages)
    described = {3: [b"a"], 5: 2, 7: len(data) - 4, 9: 4}
    footer = thrift({4: [{1: [{3: dict(sorted({**described, **(column or {})}.items()))}]}]})
    path.write_bytes(data + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return path


def claim(path: Path, *columns: str) -> str:
    """What is refused of a file, "" for nothing."""
    try:
        require_bounded_pages(path, columns or ("a",), "Fetch it again.")
    except CorpusError as error:
        return f"{error.found} in {error.where}"
    return ""


SOUND = {
    "a plain page": [page()],
    "the second form": [page(3)],
    "a dictionary first": [page(2, values=1), page()],
    "the most bytes": [page(stated=MOST_BYTES)],
    "the most values": [page(values=MOST_VALUES)],
    "the most entries": [page(2, values=MOST_ENTRIES), page()],
    "pages without values": [page(values=0), page(values=0), page()],
    "no pages": [],
}


@pytest.mark.parametrize("name", SOUND)
def test_what_a_page_may_have(tmp_path: Path, name: str) -> None:
    assert claim(file(tmp_path / "x", *SOUND[name])) == ""


ABSURD = {
    "a byte too many": ([page(stated=MOST_BYTES + 1)], "536,870,913 bytes (column a, byte 4)"),
    "two gigabytes": ([page(), page(stated=(1 << 31) - 1, values=0)], "2,147,483,647 bytes"),
    "two gigabytes in a dictionary": ([page(2, (1 << 31) - 1), page()], "2,147,483,647 bytes"),
    "a value too many": ([page(values=MOST_VALUES + 1)], "67,108,865 values"),
    "an entry too many": ([page(2, values=MOST_ENTRIES + 1), page()], "16,777,217 values"),
    "less than nothing": ([page(stated=-1)], "-1 bytes"),
    "back to where it was": ([page(stored=-30)], "-30 bytes"),
    "fewer values than none": ([page(values=-1)], "-1 values"),
    "bytes beyond the file": ([page(stored=1 << 20)], "1,048,576 bytes"),
    "no header": ([b"\0" * 32], "no number in field 1"),
    "half a header": ([page()[:3]], ""),
    "a type that is none": ([b"\x1f" * 32], "type 15"),
    "structures without end": ([b"\x1c" * 99], "without end"),
    "a number without end": ([b"\x15" + b"\xff" * 20], "64 bits"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_what_no_page_has_is_refused(tmp_path: Path, name: str) -> None:
    pages, found = ABSURD[name]
    said = claim(file(tmp_path / "x", *pages, column={5: 4}))
    assert said
    assert found in said


def test_other_columns_and_encrypted_ones_are_not_looked_at(tmp_path: Path) -> None:
    absurd = page(stated=(1 << 31) - 1)
    assert claim(file(tmp_path / "x", absurd), "b") == ""
    assert claim(file(tmp_path / "x", absurd), "a", "b")
    assert claim(file(tmp_path / "x", absurd, column={3: [b"a", b"list", b"element"]}))


@pytest.mark.parametrize(
    "column", [{3: [1]}, {3: b"a"}, {9: b""}, {7: b""}, {9: 1 << 40}, {9: -5}, {5: b"x"}, {3: 7}]
)
def test_a_footer_of_other_types_is_refused(tmp_path: Path, column: dict[int, Any]) -> None:
    assert claim(file(tmp_path / "x", page(), column=column))


@pytest.mark.parametrize(
    "writing",
    [
        {},
        {"compression": "none", "use_dictionary": False, "data_page_size": 64},
        {"compression": "zstd", "data_page_version": "2.0", "write_page_index": True},
        {"compression": "gzip", "write_page_checksum": True, "row_group_size": 7},
    ],
)
def test_what_pyarrow_writes_is_read_to_the_end(tmp_path: Path, writing: dict[str, Any]) -> None:
    table = pa.table({"a": [[{"b": b"x" * at}] for at in range(99)], "c": [None] * 99})
    pq.write_table(table, tmp_path / "x", **writing)
    assert claim(tmp_path / "x", "a", "c") == ""
    pq.write_table(table.slice(0, 0), tmp_path / "x", **writing)
    assert claim(tmp_path / "x", "a", "c") == ""
