"""Parquet that is damaged, hostile or odd is one error that names the file, or read right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest

from benchmarks.codecontests.generator import SCHEMA
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import build_codecontests, problem, write_shard


def _table(**given: Any) -> pa.Table:
    return pa.Table.from_pylist([problem(**given), problem(name="other")], schema=SCHEMA)


def _named(old: bytes, new: bytes) -> Callable[[Path], None]:
    """A column called `old` is called `new` in every place of the file."""

    def write(path: Path) -> None:
        table = _table().append_column(old.decode(), pa.array([1, 2]))
        pq.write_table(table, path, compression="none")
        data = path.read_bytes()
        assert len(old) == len(new)
        assert old in data
        path.write_bytes(data.replace(old, new))

    return write


def _damaged(change: Callable[[bytearray], object], **writing: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        pq.write_table(_table(), path, **writing)
        data = bytearray(path.read_bytes())
        change(data)
        path.write_bytes(data)

    return write


def _set(at: int, value: bytes) -> Callable[[bytearray], object]:
    def change(data: bytearray) -> None:
        begin = at if at >= 0 else len(data) + at
        data[begin : begin + len(value)] = value

    return change


def _flip_page(data: bytearray) -> None:
    at = data.index(b"Add two numbers.")
    data[at] ^= 1


class _Keys(encryption.KmsClient):  # type: ignore[misc]  # pyarrow has no types
    def __init__(self, _: Any) -> None:
        super().__init__()

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return key_bytes.hex().encode()

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key.decode())


def _encrypted(plaintext_footer: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        table = _table()
        properties = encryption.CryptoFactory(_Keys).file_encryption_properties(
            encryption.KmsConnectionConfig(),
            encryption.EncryptionConfiguration(
                footer_key="footer",
                column_keys={"column": ["description"]},
                plaintext_footer=plaintext_footer,
            ),
        )
        with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
            writer.write_table(table)

    return write


def _long_text(path: Path) -> None:
    pq.write_table(_table(description="\0" * (300 << 20)), path, compression="zstd")


def _long_list(path: Path) -> None:
    count = 5_000_000
    empty = pa.StringArray.from_buffers(
        count, pa.py_buffer(np.zeros(count + 1, np.int32)), pa.py_buffer(b"")
    )
    offsets = pa.array([0, count, count], pa.int32())
    solutions = pa.StructArray.from_arrays(
        [
            pa.ListArray.from_arrays(offsets, pa.array(np.full(count, 3))),
            pa.ListArray.from_arrays(offsets, empty),
        ],
        ["language", "solution"],
    )
    table = _table()
    at = table.schema.get_field_index("solutions")
    pq.write_table(table.set_column(at, "solutions", solutions), path, compression="zstd")


def _page_of_two_gigabytes(path: Path) -> None:
    """Sizes as the footer states them, and one page that states another: 5 bytes for 5 bytes."""
    many = pa.Table.from_pylist(
        [problem(name=str(at), description="\0" * (35 << 20)) for at in range(4)], schema=SCHEMA
    )
    pq.write_table(many, path, compression="zstd", use_dictionary=False)
    data = path.read_bytes()
    stated = pq.read_metadata(path).row_group(0).column(1)
    assert stated.path_in_schema == "description"
    begin = stated.data_page_offset
    at = next(
        at
        for at in range(begin, begin + 20)
        if data[at : at + 1] == b"\x15" and data[at + 5] in range(1, 16) and data[at + 4] > 127
    )
    path.write_bytes(data[: at + 1] + b"\xfe\xff\xff\xff\x0f" + data[at + 6 :])


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a name that is not UTF-8": (_named(b"QQQQ", b"\xff\xfe\xc3\x28"), "utf-8"),
    "a name of a lone surrogate": (_named(b"QQQ", b"\xed\xa0\x80"), "utf-8"),
    "a wanted name that is not UTF-8": (_named(b"description", b"descripti\xff\xff"), "utf-8"),
    "no magic at the end": (_damaged(_set(-4, b"XXXX")), "magic"),
    "the magic of an encrypted footer": (_damaged(_set(-4, b"PARE")), "ncrypt"),
    "a footer longer than the file": (_damaged(_set(-8, b"\xff\xff\xff\x7f")), "footer"),
    "a footer of no length": (_damaged(_set(-8, bytes(4))), "shard"),
    "a footer of zeros": (_damaged(_set(-300, bytes(290))), "shard"),
    "the first half": (_damaged(lambda data: data.__delitem__(slice(len(data) // 2, None))), ""),
    "the second half": (_damaged(lambda data: data.__delitem__(slice(0, len(data) // 2))), ""),
    "only magic": (lambda path: path.write_bytes(b"PAR1PAR1") and None, ""),
    "another format": (lambda path: path.write_bytes(b"ARROW1\0\0" * 9) and None, "magic"),
    "a flipped bit below a checksum": (
        _damaged(
            _flip_page,
            write_page_checksum=True,
            write_statistics=False,
            compression="none",
            use_dictionary=False,
        ),
        "CRC",
    ),
    "an encrypted footer": (_encrypted(False), "ncrypt"),
    "an encrypted column": (_encrypted(True), "decrypt"),
    "a text of 300 MiB in a few kilobytes": (_long_text, "too large"),
    "a list of five million in a few kilobytes": (_long_list, "5,000,000 values"),
    "a page that states two gigabytes": (_page_of_two_gigabytes, "2,147,483,647 bytes (column"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_wrong_with_a_file_is_one_error_that_names_it(
    small_tokenizer: Path, tmp_path: Path, what: str
) -> None:
    write, words = HOSTILE[what]
    shard = tmp_path / "shard.parquet"
    write(shard)
    with pytest.raises(CorpusError) as refusal:
        build_codecontests([shard], small_tokenizer, tmp_path, "train")
    said = str(refusal.value)
    assert words in said
    assert str(shard) in said
    assert "What to do" in said
    assert len(said) < 2000
    assert said.isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["shard.parquet"]


def test_a_type_that_would_rewrite_a_terminal_is_shown_in_plain_characters(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = tmp_path / "shard.parquet"
    kind = pa.struct([("\x1b[2J\n" + "x" * 5000, pa.string())])
    table = _table()
    at = table.schema.get_field_index("description")
    pq.write_table(table.set_column(at, "description", pa.nulls(2, kind)), shard)
    with pytest.raises(CorpusError) as refusal:
        build_codecontests([shard], small_tokenizer, tmp_path, "train")
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 2000


def test_a_folder_and_a_file_that_is_not_there_are_named(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.parquet").mkdir()
    for name in ("folder.parquet", "nothing.parquet"):
        with pytest.raises(CorpusError) as refusal:
            build_codecontests([tmp_path / name], small_tokenizer, tmp_path / "out", "train")
        assert str(tmp_path / name) in str(refusal.value)


ODD: dict[str, dict[str, Any]] = {
    "NUL in every text": {
        "name": "a\0b",
        "description": "\0",
        "solutions": [(3, "\0\0"), (3, "x\0")],
    },
    "a name with a line and a path in it": {"name": "../a\n/b\x1b[2J"},
    "an empty name": {"name": ""},
    "separators": {"name": "\u2028\x85", "description": "\ufeff\u202e"},
}


@pytest.mark.parametrize("what", ODD)
def test_odd_text_is_kept(small_tokenizer: Path, tmp_path: Path, what: str) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem(**ODD[what]), problem(name="plain")])
    report = build_codecontests([shard], small_tokenizer, tmp_path, "train")
    expected = reference.codecontests([shard], small_tokenizer)
    assert report.jsonl.read_bytes() == b"".join(expected)
    assert report.jsonl.read_bytes().isascii()
    assert report.rows == len(expected) == report.jsonl.read_bytes().count(b"\n")
