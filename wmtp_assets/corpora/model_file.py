"""What a SentencePiece model file says about itself: its pieces, trainer and normalizer.

Python's SentencePiece gives the pieces but not the normalizer or the trainer, which decide whether
a text's count may be summed over its parts; and its protobuf module refuses to load beside an older
protobuf runtime. The wire format of the few fields that matter is a screen of code.

Source of the field numbers: google/sentencepiece, src/sentencepiece_model.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.corpora.errors import CorpusError

BPE = 2
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
SPACE = "▁"  # how a piece spells a space


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


def read_model_file(path: Path) -> ModelFile:
    """Read a SentencePiece model. Raises CorpusError if the file is not one."""
    try:
        return _parse(path.read_bytes())
    except (IndexError, UnicodeDecodeError, TypeError, AttributeError, ValueError) as error:
        raise CorpusError(
            "The tokenizer is not a SentencePiece model",
            expected="a serialized sentencepiece.ModelProto",
            found=f"{type(error).__name__}: {error}",
            where=path,
            mend="Take tokenizer.model from the checkpoint's repository.",
        ) from error


def _parse(data: bytes) -> ModelFile:
    normal: list[str] = []
    types: set[int] = set()
    byte_pieces = 0
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, value in _fields(data):
        if number == 1:
            text, kind = _piece(_bytes(value))
            types.add(kind)
            byte_pieces += kind == BYTE
            if kind == NORMAL:
                normal.append(text)
        elif number == 2:
            trainer = dict(_fields(_bytes(value)))
        elif number == 3:
            normalizer = dict(_fields(_bytes(value)))
    if not normal:
        raise ValueError("no pieces")
    return ModelFile(
        normal_pieces=tuple(normal),
        piece_types=frozenset(types),
        byte_pieces=byte_pieces,
        is_bpe=trainer.get(3, 1) == BPE,
        byte_fallback=bool(trainer.get(35, 0)),
        space_after_word=bool(trainer.get(24, 0)),
        identity_normalizer=not normalizer.get(2) and not normalizer.get(6),
        dummy_prefix=bool(normalizer.get(3, 1)),
        removes_extra_spaces=bool(normalizer.get(4, 1)),
        escapes_spaces=bool(normalizer.get(5, 1)),
    )


def _piece(data: bytes) -> tuple[str, int]:
    """A piece's text and type."""
    size = data[1]
    end = size + 7
    if (
        data[0] == 0x0A
        and size < 0x80
        and data[2 + size] == 0x15
        and data[end:] in (b"", b"\x18\x01")
    ):
        # Nearly all: a text, a score (five bytes), and NORMAL, which need not be spelled out.
        return data[2 : 2 + size].decode("utf-8"), NORMAL
    fields = dict(_fields(data))
    return _bytes(fields[1]).decode("utf-8"), int(fields.get(3, NORMAL))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a message where a number was found")
    return value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number longer than 64 bits")


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
                raise ValueError(f"wire type {wire}")
            value = data[at : at + size]
            if len(value) != size:
                raise ValueError("cut short")
            at += size
        yield key >> 3, value
