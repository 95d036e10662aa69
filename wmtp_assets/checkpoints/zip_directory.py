"""A zip archive's directory, read strictly: where each stored record's bytes begin and end.

Only what torch writes is accepted: records that are stored (not compressed, not encrypted), with
one name each, that do not overlap, and whose local header repeats the directory's name; and
folders that hold nothing, which are left out. Nothing is extracted; memory is bounded by the two
caps below. Format: PKWARE's APPNOTE.TXT 6.3, 4.3-4.5.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.checkpoints.errors import RESAVE, refuse_archive

_MAX_DIRECTORY_BYTES = 16 << 20
_MAX_RECORDS = 50_000

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x0001
_FOLDER = 0x10  # of MS-DOS' attributes
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Record:
    """One stored file of an archive: its bytes are `offset`..`offset + size` of the archive."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    raw_name: bytes
    size: int
    header: int


def read_directory(
    fd: int, path: Path, look_at: Callable[[str], None] = lambda name: None
) -> dict[str, Record]:
    """The records of the archive by name. Raises ArchiveError, naming `path`.

    `look_at` is called with each name as it is found, before anything is said of the record, and
    may raise a better error.
    """
    size = os.fstat(fd).st_size
    start, length, count = _find_directory(fd, path, size)
    if length > _MAX_DIRECTORY_BYTES or count > _MAX_RECORDS:
        refuse_archive(
            "The zip directory is too large",
            path,
            expected=f"at most {_MAX_RECORDS:,} records",
            found=f"{count:,} records in {length:,} bytes",
        )
    entries = _entries(_pread(fd, start, length, path), count, path, look_at)
    records: dict[str, Record] = {}
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        record = _locate(fd, path, entry)
        if entry.header < end:
            refuse_archive(f"The record {entry.name!r} overlaps another", path)
        end = record.offset + record.size
        if end > start:
            refuse_archive(
                f"The record {entry.name!r} reaches beyond the archive's data",
                path,
                expected=f"an end at or before byte {start:,}",
                found=f"byte {end:,}",
            )
        if entry.name in records:
            refuse_archive(f"The record {entry.name!r} occurs twice", path)
        records[entry.name] = record
    return records


def _find_directory(fd: int, path: Path, size: int) -> tuple[int, int, int]:
    """Offset, length and number of entries of the central directory."""
    tail_start = max(0, size - _END.size - _MAX16)
    tail = _pread(fd, tail_start, size - tail_start, path)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        refuse_archive("This is no complete zip archive: its directory is missing", path)
    _, disk, first_disk, here, total, length, start, comment = _END.unpack_from(tail, at)
    if at + _END.size + comment != len(tail):
        refuse_archive("The zip directory is followed by bytes that do not belong to it", path)
    end = tail_start + at
    wide = _find_directory64(fd, path, end)
    if wide is not None:
        narrow = (total, length, start)
        end, disk, first_disk, here, total, length, start = wide
        if narrow != (min(total, _MAX16), min(length, _MAX32), min(start, _MAX32)):
            refuse_archive("The zip archive's two end records disagree", path)
    elif _MAX16 in (here, total) or _MAX32 in (length, start):
        refuse_archive("The zip64 end record is missing", path)
    if disk != first_disk or here != total or disk != 0:
        refuse_archive("The zip archive says that it is one of several", path)
    if start + length != end:
        refuse_archive(
            "The zip directory is not where the archive says",
            path,
            expected=f"bytes {start:,} to {start + length:,}, up to its end record",
            found=f"the end record at byte {end:,}",
        )
    return start, length, total


def _find_directory64(
    fd: int, path: Path, end: int
) -> tuple[int, int, int, int, int, int, int] | None:
    """What the zip64 end record says, if there is one; torch always writes it."""
    locator_at = end - _END64_LOCATOR.size
    if locator_at < 0:
        return None
    locator = _pread(fd, locator_at, _END64_LOCATOR.size, path)
    magic, disk, at, _disks = _END64_LOCATOR.unpack(locator)
    if magic != b"PK\x06\x07":
        return None
    if disk != 0 or at + _END64.size > locator_at:
        refuse_archive("The zip64 end record is not where its locator says", path)
    fields = _END64.unpack(_pread(fd, at, _END64.size, path))
    magic, rest, _made_by, _needed, this_disk, first_disk, here, total, length, start = fields
    if magic != b"PK\x06\x06" or at + 12 + rest != locator_at:
        refuse_archive("The zip64 end record is damaged", path)
    return at, this_disk, first_disk, here, total, length, start


def _entries(
    directory: bytes, count: int, path: Path, look_at: Callable[[str], None]
) -> list[_Entry]:
    found: list[_Entry] = []
    at = 0
    for _ in range(count):
        if len(directory) - at < _ENTRY.size:
            refuse_archive("The zip directory is cut short", path)
        fields = _ENTRY.unpack_from(directory, at)
        magic, flags, method, packed, size = (fields[i] for i in (0, 3, 4, 8, 9))
        name_length, extra_length, comment_length, header = (fields[i] for i in (10, 11, 12, 16))
        disk, attributes = fields[13], fields[15]
        name_at = at + _ENTRY.size
        extra_at = name_at + name_length
        at = extra_at + extra_length + comment_length
        if magic != b"PK\x01\x02" or at > len(directory):
            refuse_archive("The zip directory is damaged", path)
        raw_name = directory[name_at:extra_at]
        try:
            name = raw_name.decode("utf-8")
        except UnicodeDecodeError:
            refuse_archive(
                f"The zip archive holds a name that is no UTF-8: {raw_name[:40]!a}", path
            )
        look_at(name)
        is_folder = name.endswith("/") and not (disk or size or packed)
        if not is_folder and (disk or attributes & _FOLDER or name.endswith("/")):
            # torch takes such a record's size for the tensor's, and reads nothing into it.
            refuse_archive(
                f"The record {name[:80]!a} is no file of this archive",
                path,
                expected="a file on disk 0",
                found=f"attributes {attributes:#x}, disk {disk}",
            )
        if is_folder and not flags & _ENCRYPTED:
            continue
        if method != 0 or flags & _ENCRYPTED:
            refuse_archive(
                f"The record {name[:80]!a} is compressed or encrypted",
                path,
                expected="stored bytes, as torch.save writes them",
                found=f"method {method}, flags {flags:#x}",
                hint=RESAVE,
            )
        extra = directory[extra_at : extra_at + extra_length]
        size, packed, header = _zip64(extra, size, packed, header, name, path)
        if size != packed:
            refuse_archive(f"The record {name[:80]!a} has two sizes", path, size, packed)
        found.append(_Entry(name, raw_name, size, header))
    if at != len(directory):
        refuse_archive("The zip directory holds more than its records", path)
    return found


def _zip64(
    extra: bytes, size: int, packed: int, header: int, name: str, path: Path
) -> tuple[int, int, int]:
    """The 64-bit values from the extra field, for those of the three that overflowed 32 bits."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            wide = extra[at + 4 : at + 4 + length]
            wanted = [value == _MAX32 for value in (size, packed, header)]
            if len(wide) < 8 * sum(wanted):
                refuse_archive(f"The record {name[:80]!a} lacks its 64-bit size", path)
            values = iter(struct.unpack_from(f"<{sum(wanted)}Q", wide))
            return (
                next(values) if wanted[0] else size,
                next(values) if wanted[1] else packed,
                next(values) if wanted[2] else header,
            )
        at += 4 + length
    if _MAX32 in (size, packed, header):
        refuse_archive(f"The record {name[:80]!a} lacks its 64-bit size", path)
    return size, packed, header


def _locate(fd: int, path: Path, entry: _Entry) -> Record:
    """The record's place, from its local header, which must be of the same name and method."""
    header = _pread(fd, entry.header, _LOCAL.size, path)
    fields = _LOCAL.unpack(header)
    magic, flags, method, name_length, extra_length = (fields[i] for i in (0, 2, 3, 9, 10))
    name = _pread(fd, entry.header + _LOCAL.size, name_length, path)
    if magic != b"PK\x03\x04" or name != entry.raw_name or method != 0 or flags & _ENCRYPTED:
        refuse_archive(f"The record {entry.name[:80]!a} is not where the zip directory says", path)
    offset = entry.header + _LOCAL.size + name_length + extra_length
    return Record(entry.name, offset, entry.size)


def _pread(fd: int, offset: int, length: int, path: Path) -> bytes:
    data = os.pread(fd, length, offset) if offset < 1 << 62 else b""
    if len(data) != length:
        refuse_archive(
            "The archive is cut short",
            path,
            expected=f"{length:,} bytes at byte {offset:,}",
            found=f"{len(data):,}",
            hint="Fetch the file again.",
        )
    return data
