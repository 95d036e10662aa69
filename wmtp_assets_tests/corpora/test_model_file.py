"""tokenizer.model: what is wrong with it is one error of ours, before SentencePiece reads it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece

from wmtp_assets.checkpoints.open_tokenizer import TokenizerError
from wmtp_assets.checkpoints.sentencepiece_tokenizers import open_processor
from wmtp_assets.checkpoints.tokenizers import tokenizer_documents
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.model_file import read_model
from wmtp_assets.corpora.tokens import TokenCounter
from wmtp_assets_tests.fuzzing.mutations import mutate_bytes
from wmtp_assets_tests.fuzzing.test_tokenizer_models import (
    Message,
    normalizing_model,
    parse,
    serialize,
    small_model,
)


def piece(text: bytes, kind: int | None = None, score: float | bytes = -1.0) -> bytes:
    packed = score if isinstance(score, bytes) else struct.pack("<f", score)
    fields: Message = [(1, 2, text), (2, 5, packed)]
    return serialize(fields if kind is None else [*fields, (3, 0, kind)])


def adding(*pieces: bytes) -> Callable[[Message], Message]:
    return lambda message: [*message, *((1, 2, data) for data in pieces)]


def spec(number: int, field: int, wire: int, value: int | bytes) -> Callable[[Message], Message]:
    """Adds a field to the trainer (2) or the normalizer (3)."""

    def change(message: Message) -> Message:
        return [
            (n, w, (v if isinstance(v, bytes) else b"") + serialize([(field, wire, value)]))
            if n == number
            else (n, w, v)
            for n, w, v in message
        ]

    return change


WRONG: dict[str, tuple[Callable[[Message], Message], str]] = {
    "a piece without a text": (adding(serialize([(2, 5, bytes(4))])), "a piece of 0 bytes"),
    "a piece of nothing": (adding(b""), "a piece of 0 bytes"),
    "an empty text": (adding(piece(b"")), "a piece of 0 bytes"),
    "a text that is a number": (adding(serialize([(1, 0, 7)])), "a number where a text"),
    "a text that is not UTF-8": (adding(piece(b"\xff\xfe")), "not UTF-8"),
    "a cut sequence": (adding(piece(b"\xe2\x96")), "not UTF-8"),
    "half a surrogate pair": (adding(piece(b"\xed\xa0\x80")), "not UTF-8"),
    "a control piece that is not UTF-8": (adding(piece(b"\xff", 3)), "not UTF-8"),
    "a long piece": (adding(piece(b"x" * 1025)), "a piece of 1,025 bytes"),
    "a piece twice": (adding(piece(b"qqq"), piece(b"qqq")), "the piece 'qqq' twice"),
    "a score that is NaN": (adding(piece(b"qqq", None, float("nan"))), "finite score"),
    "a score without end": (adding(piece(b"qqq", 4, float("-inf"))), "finite score"),
    "a score that is a text": (adding(serialize([(1, 2, b"qqq"), (2, 2, b"abc")])), "piece"),
    "a score that is a number": (adding(serialize([(1, 2, b"qqq"), (2, 0, 1)])), "a number where"),
    "a type that is none": (adding(piece(b"qqq", 7)), "a piece of type 7"),
    "type 0": (adding(piece(b"qqq", 0)), "a piece of type 0"),
    "a type that is a text": (
        adding(serialize([(1, 2, b"qqq"), (3, 2, b"x")])),
        "a text or message where a number",
    ),
    "a second unknown piece": (adding(piece(b"qqq", 2)), "2 pieces for what is unknown"),
    "a byte that is none": (adding(piece(b"<0xGG>", 6)), "a byte piece that is no byte"),
    "no pieces": (lambda message: [f for f in message if f[0] != 1], "no pieces"),
    "a piece that is a number": (lambda message: [*message, (1, 0, 5)], "a number where"),
    "a trainer that is a number": (lambda message: [*message, (2, 0, 5)], "a number where"),
    "a normalizer that is a number": (lambda message: [*message, (3, 0, 5)], "a number where"),
    "a model of type 9": (spec(2, 3, 0, 9), "a model of type 9"),
    "a model type that is a text": (spec(2, 3, 2, b"x"), "a text or message where a number"),
    "a prefix that is a text": (spec(3, 3, 2, b"x"), "a text or message where a number"),
    "a charsmap that is a number": (spec(3, 2, 0, 1), "a number where"),
    "a charsmap of noise": (spec(3, 2, 2, bytes(range(200))), "parts do not add up"),
    "a charsmap beyond its end": (
        spec(3, 2, 2, struct.pack("<I", 1024) + b"\xff\xff\xff\xff" * 256 + b"a\0"),
        "leads beyond its end",
    ),
    "a group": (lambda message: [*message, (9, 3, b"")], "wire type 3"),
}


@pytest.mark.parametrize("case", WRONG)
def test_is_refused_by_file_and_reason(tmp_path: Path, case: str) -> None:
    change, says = WRONG[case]
    path = tmp_path / "tokenizer.model"
    path.write_bytes(serialize(change(parse(small_model()))))
    with pytest.raises(CorpusError, match="not a SentencePiece model") as refused:
        read_model(path)
    message = str(refused.value)
    assert says in message
    assert str(path) in message
    assert message.isprintable()
    with pytest.raises(TokenizerError, match="cannot be read") as refused_too:
        open_processor(path)
    assert says in str(refused_too.value)
    with pytest.raises(CorpusError):
        TokenCounter(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404</html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b'{"model": {}}',
        b"\x80" * 100,
        b"\xff" * 100,
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x00",
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    for reader in (read_model, TokenCounter):
        with pytest.raises(CorpusError, match="not a SentencePiece model"):
            reader(path)
    with pytest.raises(TokenizerError):
        tokenizer_documents(path)


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "tokenizer.model", tmp_path):
        with pytest.raises(CorpusError):
            read_model(path)
        with pytest.raises(TokenizerError):
            open_processor(path)


@pytest.mark.parametrize("seed", range(122))
def test_every_mutation_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "tokenizer.model"
    path.write_bytes(mutate_bytes(rng, small_model(), most=1 + seed % 3))
    try:
        counter = TokenCounter(path)
        truth = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
        assert counter.count_many(["a b\n c"]) == [len(truth.encode("a b\n c"))]
        tokenizer_documents(path)
    except (CorpusError, TokenizerError):
        pass


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_model_that_normalizes_is_counted_as_sentencepiece_counts(
    tmp_path: Path, kind: str
) -> None:
    """Its compiled normalizer is sound; a newline alone has no tokens there."""
    path = tmp_path / "tokenizer.model"
    path.write_bytes(normalizing_model(kind))
    facts, data = read_model(path)
    assert not facts.identity_normalizer
    truth = sentencepiece.SentencePieceProcessor(model_proto=data)
    texts = ["", "\n", "the ﬁx ①", "  quick\tfox "]
    assert TokenCounter(path).count_many(texts) == [len(truth.encode(text)) for text in texts]


def test_every_place_in_a_compiled_normalizer_that_leads_out_is_found() -> None:
    """Units changed one by one: none of what is let through makes SentencePiece leave the trie."""
    from wmtp_assets.corpora.model_file import MalformedError, check_charsmap

    (spec_bytes,) = (v for n, _, v in parse(normalizing_model("bpe")) if n == 3)
    assert isinstance(spec_bytes, bytes)
    charsmap = {n: v for n, _, v in parse(spec_bytes)}[2]
    assert isinstance(charsmap, bytes)
    check_charsmap(charsmap)
    root = int.from_bytes(charsmap[4:8], "little")
    outside = (root & 0x3FF) | (0x3FFFFF << 10)
    with pytest.raises(MalformedError, match="beyond its end"):
        check_charsmap(charsmap[:4] + outside.to_bytes(4, "little") + charsmap[8:])
    with pytest.raises(MalformedError, match="do not add up"):
        check_charsmap(charsmap[:-1] + b"x")
    size = int.from_bytes(charsmap[:4], "little")
    with pytest.raises(MalformedError, match="points beyond its texts"):
        check_charsmap(charsmap[: 4 + size] + b"\0")


def test_a_model_without_a_piece_that_begins_a_text_has_no_documents(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(
        serialize(
            [
                (n, w, v.replace(b"<s>", b"<t>") if isinstance(v, bytes) else v)
                for n, w, v in parse(small_model())
            ]
        )
    )
    with pytest.raises(TokenizerError):
        tokenizer_documents(path)
