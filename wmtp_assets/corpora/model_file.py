"""What a SentencePiece model file says about itself: its pieces, trainer and normalizer.

Python's SentencePiece gives the pieces but not the normalizer or the trainer, which decide whether
a text's count may be summed over its parts; and its protobuf module refuses to load beside an older
protobuf runtime. The wire format of the few fields that matter is a screen of code.

Source of the field numbers: google/sentencepiece, src/sentencepiece_model.proto.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from wmtp_assets.corpora.errors import CorpusError

BPE = 2
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
SPACE = "▁"  # how a piece spells a space
# LLaMA's model has 500 kB, the largest public ones 5 MB; their normalizers have up to 300 kB.
_MAX_BYTES = 64 << 20
_MAX_CHARSMAP = 1 << 20
_MAX_PIECE = 1024
_BYTE_PIECE = re.compile("<0x[0-9A-F]{2}>")
_Message: TypeAlias = dict[int, int | bytes]


@dataclass(frozen=True)
class ModelFile:
    """The facts of a tokenizer.model that counting by parts rests on."""

    normal_pieces: tuple[str, ...]
    piece_types: frozenset[int]
    byte_pieces: int
    is_bpe: bool
    byte_fallback: bool
    space_after_word: bool
    identity_normalizer: bool
    dummy_prefix: bool
    removes_extra_spaces: bool
    escapes_spaces: bool


def read_model(path: Path) -> tuple[ModelFile, bytes]:
    """What the model says of itself, and its bytes, on which SentencePiece may be asked.

    Raises CorpusError if the file is not a model, or one that SentencePiece's own code would read
    beyond its end.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise MalformedError(f"more than {_MAX_BYTES:,} bytes")
        return _parse(data), data
    except (MalformedError, OSError) as error:
        raise CorpusError(
            "The tokenizer is not a SentencePiece model",
            expected="a serialized sentencepiece.ModelProto",
            found=error.strerror if isinstance(error, OSError) else error,
            where=path,
            hint="Take tokenizer.model from the checkpoint's repository.",
        ) from error


class MalformedError(ValueError):
    """The bytes are no SentencePiece model; the message says why."""


@lru_cache(maxsize=4)  # dozens of checks open the one tokenizer that all models share
def _parse(data: bytes) -> ModelFile:
    normal: list[str] = []
    seen: set[str] = set()
    types: dict[int, int] = {}
    trainer: _Message = {}
    normalizer: _Message = {}
    for number, value in _fields(data):
        if number == 1:
            text, kind = _piece(_bytes(value))
            types[kind] = types.get(kind, 0) + 1
            if text in seen:
                raise MalformedError(f"the piece {text[:40]!a} twice")
            seen.add(text)
            if kind == NORMAL:
                normal.append(text)
        elif number == 2:
            trainer |= _fields(_bytes(value))
        elif number == 3:
            normalizer |= _fields(_bytes(value))
        elif number == 5:
            check_charsmap(_bytes(dict(_fields(_bytes(value))).get(2, b"")))
    if not normal:
        raise MalformedError("no pieces")
    if types.get(UNKNOWN) != 1:
        raise MalformedError(f"{types.get(UNKNOWN, 0)} pieces for what is unknown, not one")
    kind = _number(trainer.get(3, 1))
    if kind not in (1, 2, 3, 4):
        raise MalformedError(f"a model of type {kind}")
    check_charsmap(_bytes(normalizer.get(2, b"")))
    return ModelFile(
        normal_pieces=tuple(normal),
        piece_types=frozenset(types),
        byte_pieces=types.get(BYTE, 0),
        is_bpe=kind == BPE,
        byte_fallback=bool(_number(trainer.get(35, 0))),
        space_after_word=bool(_number(trainer.get(24, 0))),
        identity_normalizer=not _bytes(normalizer.get(2, b"")) and not normalizer.get(6),
        dummy_prefix=bool(_number(normalizer.get(3, 1))),
        removes_extra_spaces=bool(_number(normalizer.get(4, 1))),
        escapes_spaces=bool(_number(normalizer.get(5, 1))),
    )


def check_charsmap(data: bytes) -> None:
    """MalformedError where SentencePiece would walk out of a compiled normalizer.

    It is a length, a double array trie of 32-bit units (Darts), and the texts that its leaves
    point to, each ended by NUL. SentencePiece follows the units' offsets unchecked.
    """
    if not data:
        return
    if len(data) > _MAX_CHARSMAP:
        raise MalformedError(f"a normalizer of {len(data):,} bytes")
    size = int.from_bytes(data[:4], "little")
    texts = len(data) - 4 - size
    if size < 1024 or size % 1024 or texts <= 0 or data[-1]:
        raise MalformedError("a normalizer whose parts do not add up")
    units = np.frombuffer(data, "<u4", size // 4, 4).astype(np.int64)
    offsets = (units >> 10) << ((units & (1 << 9)) >> 6)
    after = np.arange(len(units)) ^ offsets
    labels, leaves = units & (1 << 31 | 0xFF), (units >> 8) & 1
    if after[0] >= len(units):
        raise MalformedError("a normalizer that leads beyond its end")
    reached, todo = {int(after[0])}, [int(after[0])]
    letters = np.arange(256)
    while todo:
        places = (
            todo.pop() ^ letters
        )  # within one block of 256 units, of which there are whole ones
        taken = places[labels[places] == letters]
        targets = after[taken]
        if len(targets) and int(targets.max()) >= len(units):
            raise MalformedError("a normalizer that leads beyond its end")
        values = units[targets[leaves[taken] == 1]] & 0x7FFFFFFF
        if len(values) and int(values.max()) >= texts:
            raise MalformedError("a normalizer that points beyond its texts")
        fresh = set(targets.tolist()) - reached
        reached |= fresh
        todo += fresh


def _piece(data: bytes) -> tuple[str, int]:
    """A piece's text and type."""
    if len(data) > 7 and data[0] == 0x0A and data[1] < 0x80:
        # Nearly all: a text, a score (five bytes), and NORMAL, which need not be spelled out.
        end = data[1] + 7
        if data[2 + data[1] : 3 + data[1]] == b"\x15" and data[end:] in (b"", b"\x18\x01"):
            return _text(data[2 : 2 + data[1]], data[end - 4 : end]), NORMAL
    fields: _Message = dict(_fields(data))
    kind = _number(fields.get(3, NORMAL))
    text = _text(_bytes(fields.get(1, b"")), _bytes(fields.get(2, b"\0\0\0\0")))
    if kind not in (1, 2, 3, 4, 5, 6):
        raise MalformedError(f"a piece of type {kind}")
    if kind == BYTE and _BYTE_PIECE.fullmatch(text) is None:
        raise MalformedError(f"a byte piece that is no byte: {text[:40]!a}")
    return text, kind


def _text(raw: bytes, score: bytes) -> str:
    """A piece's text, once text and score are such as a model has."""
    if not 0 < len(raw) <= _MAX_PIECE or len(score) != 4:
        raise MalformedError(f"a piece of {len(raw):,} bytes")
    if not math.isfinite(struct.unpack("<f", score)[0]):
        raise MalformedError("a piece without a finite score")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError(f"a piece that is not UTF-8: {raw[:40]!a}") from None


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise MalformedError("a number where a text or message belongs")
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise MalformedError("a text or message where a number belongs")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise MalformedError("a number longer than 64 bits")
    raise MalformedError("cut short")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key >= 0x80:
            key, at = _varint(data, at - 1)
        wire = key & 7
        value: int | bytes
        if wire == 0:
            value, at = _varint(data, at)
        else:
            if wire == 2:
                size, at = _varint(data, at)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                raise MalformedError(f"wire type {wire}")
            value = data[at : at + size]
            if len(value) != size:
                raise MalformedError("cut short")
            at += size
        yield key >> 3, value
