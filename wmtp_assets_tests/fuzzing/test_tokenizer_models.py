"""tokenizer.model: SentencePiece models whose fields and bytes are spoiled."""

from __future__ import annotations

import io
import random
import struct
from functools import cache
from pathlib import Path

import pytest
import sentencepiece

from wmtp_assets.checkpoints.tokenizers import tokenizer_documents
from wmtp_assets.corpora.model_file import _fields, read_model
from wmtp_assets.corpora.tokens import TokenCounter
from wmtp_assets.sample.tokenizer import tokenizer_model
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import EDGES, mutate_bytes

pytestmark = pytest.mark.fuzz
TEXTS = [
    "",
    " a  b\n\nc",
    "def f(x):\n\treturn x\n",
    "ﬁ①é 漢\u2581x",
    "<s>[0x0A]<0x0A>",
    "a\x00b",
    "\n",
]
Message = list[tuple[int, int, int | bytes]]
"""Field number, wire type and value."""


@cache
def normalizing_model(kind: str) -> bytes:
    """A small model with a compiled normalizer, which LLaMA's lacks."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps over the lazy dog"] * 20),
        model_writer=made,
        vocab_size=40,
        hard_vocab_limit=False,
        model_type=kind,
        minloglevel=2,
    )
    return made.getvalue()


@cache
def small_model() -> bytes:
    """The sample's model with the first few hundred of its pieces: quick to load."""
    kept, pieces = [], 0
    for number, wire, value in parse(tokenizer_model()):
        pieces += number == 1
        if number != 1 or pieces <= 400:
            kept.append((number, wire, value))
    return serialize(kept)


def parse(data: bytes) -> Message:
    wires = {int: 0, bytes: 2}
    return [(number, wires[type(value)], value) for number, value in _fields(data)]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def serialize(message: Message) -> bytes:
    out = bytearray()
    for number, wire, value in message:
        out += _varint(number << 3 | wire)
        if isinstance(value, int):
            out += _varint(value)
        else:
            out += (_varint(len(value)) if wire == 2 else b"") + value
    return bytes(out)


def _spoiled(rng: random.Random, data: bytes, depth: int = 0) -> bytes:
    """A message with one field spoiled, perhaps within a message that is a field."""
    try:
        message = _wired(data)
    except ValueError:
        return mutate_bytes(rng, data)
    if not message:
        return mutate_bytes(rng, data)
    at = rng.randrange(len(message))
    if rng.random() < 0.5:  # there are far more pieces than anything else
        rest = [i for i, (number, _, _) in enumerate(message) if depth or number != 1]
        at = rng.choice(rest) if rest else at
    number, wire, value = message[at]
    way = rng.random()
    if way < 0.1:
        del message[at]
    elif way < 0.2:
        message.insert(rng.randrange(len(message) + 1), message[at])
    elif way < 0.3:
        message[at] = (rng.choice((1, 2, 3, 4, 5, 6, 35, 40)), wire, value)
    elif isinstance(value, int):
        message[at] = (number, wire, rng.choice((*EDGES, value + 1, 0, 1, 2, 3, 4, 5, 6, 7)))
    elif wire == 5:
        odd = rng.choice((float("nan"), float("inf"), -0.0, 1e30, rng.uniform(-100, 100)))
        message[at] = (number, wire, struct.pack("<f", odd))
    elif depth < 2 and rng.random() < 0.8:
        message[at] = (number, wire, _spoiled(rng, value, depth + 1))
    else:
        message[at] = (number, wire, mutate_bytes(rng, value))
    return serialize(message)


def _wired(data: bytes) -> Message:
    """As `parse`, with fixed-width fields told apart by their length."""
    message: Message = []
    at = 0
    for number, value in _fields(data):
        if isinstance(value, int):
            wire = 0
        else:
            wire = 2
            # A float field's value of four bytes carries no length of its own.
            key = _varint(number << 3 | 5)
            if len(value) == 4 and data[at : at + len(key)] == key:
                wire = 5
        message.append((number, wire, value))
        at += len(serialize(message[-1:]))
    if at != len(data):
        raise ValueError("not written in the shortest way")
    return message


def test_tokenizer_models(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    bases = [small_model(), small_model(), normalizing_model("bpe"), normalizing_model("unigram")]

    def attempt(rng: random.Random) -> None:
        data = rng.choice(bases)
        data = _spoiled(rng, data) if rng.random() < 0.7 else mutate_bytes(rng, data)
        path.write_bytes(data)
        facts, read = read_model(path)
        assert read == data
        counter = TokenCounter(path)
        truth = sentencepiece.SentencePieceProcessor(model_proto=data)
        pieces = [truth.id_to_piece(i) for i in range(truth.vocab_size())]
        kept = set(facts.normal_pieces)
        assert [piece for piece in pieces if piece in kept] == list(facts.normal_pieces)
        assert counter.count_many(TEXTS) == [len(truth.encode(text)) for text in TEXTS]
        tokenizer_documents(path)

    outcomes = fuzz(attempt)
    print(outcomes)
    assert outcomes.refused
