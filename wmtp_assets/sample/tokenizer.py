"""A SentencePiece BPE model of LLaMA's structure in miniature, learned and encoded by own code.

Structure, seen in LLaMA's tokenizer.model: <unk> <s> </s>, 256 byte pieces, merged pieces scored
-1, -2, ... in the order they were learned, then single characters; no normalisation, a dummy
prefix space, spaces kept and written as U+2581, digits never merged, a newline only as a byte.
No piece crosses from a word into the next: U+2581 occurs only at a piece's beginning.

The message is written field by field (the numbers are those of sentencepiece_model.proto),
because the package's generated protobuf module does not load with every protobuf.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from wmtp_assets.sample.corpus import CODE, EXTRA_CHARACTERS, PROSE

VOCABULARY = 512
SPACE = "\u2581"
BOS_ID, EOS_ID, UNK_ID = 1, 2, 0
# ModelProto.SentencePiece.Type
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_TRAINER_BPE = 2

# What a merge may build: an indentation, a word, or a run of signs, the last two with at most one
# space before them. A digit stands alone.
_UNIT = re.compile(rf"{SPACE}?[^\W\d]+|{SPACE}?[^\w{SPACE}]+|{SPACE}+(?={SPACE}[^{SPACE}]|$)")


def tokenizer_model() -> bytes:
    """The bytes of tokenizer.model: 512 pieces, the same on every machine."""
    characters = [SPACE, *(chr(code) for code in range(0x21, 0x7F)), *EXTRA_CHARACTERS]
    special = 3 + 256
    merges = _learn_merges(PROSE + CODE, VOCABULARY - special - len(characters))
    pieces = [
        _piece("<unk>", 0.0, _UNKNOWN),
        _piece("<s>", 0.0, _CONTROL),
        _piece("</s>", 0.0, _CONTROL),
        *(_piece(f"<0x{byte:02X}>", 0.0, _BYTE) for byte in range(256)),
        *(
            _piece(text, -float(rank), _NORMAL)
            for rank, text in enumerate([*merges, *characters], start=1)
        ),
    ]
    trainer = [
        _number(3, _TRAINER_BPE),
        _number(4, VOCABULARY),
        _number(25, 1),  # split_digits
        _number(26, 1),  # allow_whitespace_only_pieces
        _number(35, 1),  # byte_fallback
        _number(40, UNK_ID),
        _number(41, BOS_ID),
        _number(42, EOS_ID),
        _number(43, -1),  # no pad piece
    ]
    normalizer = [
        _text(1, "identity"),
        _number(3, 1),  # add_dummy_prefix
        _number(4, 0),  # remove_extra_whitespaces
        _number(5, 1),  # escape_whitespaces
    ]
    return b"".join([*pieces, _message(2, trainer), _message(3, normalizer)])


def _learn_merges(text: str, wanted: int) -> list[str]:
    """The `wanted` most frequent merges; among equally frequent ones the first by code point."""
    units: Counter[str] = Counter()
    for line in text.splitlines():
        units.update(_UNIT.findall(line.replace(" ", SPACE)))
    words = {unit: list(unit) for unit in units}
    merges: list[str] = []
    while len(merges) < wanted:
        pairs: Counter[tuple[str, str]] = Counter()
        for unit, parts in words.items():
            for pair in pairwise(parts):
                pairs[pair] += units[unit]
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        for unit, parts in words.items():
            if left + right in unit:
                words[unit] = _merged(parts, left, right)
        if left + right not in merges:
            merges.append(left + right)
    return merges


def _merged(parts: list[str], left: str, right: str) -> list[str]:
    joined: list[str] = []
    for part in parts:
        # `left` at the end can only be an unmerged one: a merged part is longer.
        if part == right and joined and joined[-1] == left:
            joined[-1] = left + right
        else:
            joined.append(part)
    return joined


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative int32 takes ten bytes, as in every protobuf
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, [value.encode()])


def _message(field: int, parts: Iterable[bytes]) -> bytes:
    body = b"".join(parts)
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _piece(text: str, score: float, kind: int) -> bytes:
    score_field = _varint(2 << 3 | 5) + struct.pack("<f", score)
    return _message(1, [_text(1, text), score_field, _number(3, kind)])
