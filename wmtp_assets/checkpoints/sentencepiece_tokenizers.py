"""Tokenizers of SentencePiece: documents that make AutoTokenizer give the ids of tokenizer.model.

transformers 5 does not give LLaMA's ids from `tokenizer.model` alone, in three ways, each undone:
it ranks merges by id and not by score, so runs of spaces split differently (the whitespace pieces
of LLaMA have early ids and the lowest of all scores); its LlamaTokenizer drops the dummy prefix
before a leading space; and it reads a literal "<s>" in a text as the control token. So a whole
`tokenizer.json` is derived, `tokenizer_config.json` names the class that uses it as it is, and
`split_special_tokens` keeps text text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from wmtp_assets.checkpoints.open_tokenizer import OpenTokenizer, TokenizerError
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.model_file import read_model

SPACE = "\u2581"  # how SentencePiece writes a space
_AGAIN = "materialize the tokenizer again"


def open_processor(model: Path) -> SentencePieceProcessor:
    """SentencePiece on `tokenizer.model`; TokenizerError if it is missing or none."""
    try:
        # SentencePiece's own code only gets bytes that were read and checked before.
        return SentencePieceProcessor(model_proto=read_model(model)[1])
    except (CorpusError, OSError, RuntimeError) as error:
        raise TokenizerError(
            "The tokenizer cannot be read",
            expected="a SentencePiece model",
            found=error.found if isinstance(error, CorpusError) else error,
            where=model,
            hint=_AGAIN,
        ) from error


def of_sentencepiece(model: Path) -> OpenTokenizer:
    """The tokenizer of `tokenizer.model`. Raises TokenizerError."""
    processor = open_processor(model)
    size = processor.vocab_size()
    ids = {
        "bos_token": processor.bos_id(),
        "eos_token": processor.eos_id(),
        "pad_token": processor.pad_id(),
        "unk_token": processor.unk_id(),
    }
    return OpenTokenizer(
        size,
        # SentencePiece says -1 for a role that no piece has: LLaMA pads with any other piece.
        {role: token for role, token in ids.items() if token >= 0},
        processor.encode,
        partial(processor.encode, add_bos=True),
        lambda token: processor.id_to_piece(token) if token < size else None,
        partial(_drawn, processor),
    )


def sentencepiece_documents(model: Path) -> dict[str, dict[str, object]]:
    """tokenizer.json and tokenizer_config.json for a SentencePiece BPE model of LLaMA's kind.

    Raises:
        TokenizerError: the model cannot be read, or normalizes text in a way that is not LLaMA's
            (a dummy prefix, spaces kept and written as U+2581, nothing else).
    """
    processor = open_processor(model)
    probe = " a  \ufb01\u2460 "
    if processor.normalize(probe) != SPACE + probe.replace(" ", SPACE):
        raise TokenizerError(
            "The tokenizer normalizes text differently from LLaMA's",
            expected=repr(SPACE + probe.replace(" ", SPACE)),
            found=repr(processor.normalize(probe)),
            where=model,
        )
    if min(processor.bos_id(), processor.unk_id()) < 0:
        raise TokenizerError(
            "The tokenizer has no piece that begins a text, or none for what is unknown",
            expected="a control piece <s> and an unknown piece",
            found=f"ids {processor.bos_id()} and {processor.unk_id()}",
            where=model,
            hint="name the right tokenizer.model in the catalog",
        )
    names = {
        role: processor.id_to_piece(token)
        for role, token in (
            ("bos_token", processor.bos_id()),
            ("eos_token", processor.eos_id()),
            ("unk_token", processor.unk_id()),
        )
        if token >= 0
    }
    config: dict[str, object] = {
        # Not LlamaTokenizer: transformers 5 rebuilds that one with another treatment of spaces.
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "add_bos_token": True,
        "add_eos_token": False,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        # Without it versions 4.48 to 4.57 hand token_type_ids to `generate`, which refuses them.
        "model_input_names": ["input_ids", "attention_mask"],
    }
    return {"tokenizer.json": _tokenizer_json(processor), "tokenizer_config.json": config}


def _tokenizer_json(processor: SentencePieceProcessor) -> dict[str, object]:
    bos = processor.id_to_piece(processor.bos_id())
    with_bos = {"SpecialToken": {"id": bos, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        # Empty: an added token would be cut out of a text that mentions it.
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [with_bos, first],
            "pair": [with_bos, first, with_bos, second],
            "special_tokens": {bos: {"id": bos, "ids": [processor.bos_id()], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": processor.id_to_piece(processor.unk_id()),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {processor.id_to_piece(i): i for i in range(processor.vocab_size())},
            "merges": _merges(processor),
        },
    }


def _merges(processor: SentencePieceProcessor) -> list[str]:
    """Every way to join two pieces into a third, best first: "left right", as no piece has a space.

    SentencePiece joins the neighbours whose joined piece scores highest, the leftmost among
    equals. `tokenizers` ranks pairs, and considers the place only between equal pairs. Among equal
    scores (LLaMA's runs of spaces) the longer piece, then the longer left part come first: in a run
    joined from the left, the leftmost pair is the one that makes the longest piece.
    """
    score = {processor.id_to_piece(i): processor.get_score(i) for i in _text_pieces(processor)}
    pairs = [
        (-score[piece], -len(piece), -cut, piece[:cut], piece[cut:])
        for piece in score
        for cut in range(1, len(piece))
        if piece[:cut] in score and piece[cut:] in score
    ]
    return [f"{left} {right}" for *_, left, right in sorted(pairs)]


def _text_pieces(processor: SentencePieceProcessor) -> list[int]:
    """Ids of the pieces that text is made of: no control, unknown, byte or unused piece."""
    kinds = (processor.is_control, processor.is_unknown, processor.is_byte, processor.is_unused)
    return [i for i in range(processor.vocab_size()) if not any(kind(i) for kind in kinds)]


def _drawn(processor: SentencePieceProcessor, count: int) -> Iterator[str]:
    rng = random.Random(0)  # noqa: S311 - to spread over the vocabulary, not for secrecy
    pieces = [processor.id_to_piece(i).replace(SPACE, " ") for i in _text_pieces(processor)]
    for _ in range(count):
        yield "".join(
            rng.choice(pieces) * rng.choice((1, 1, 1, 2, 3)) for _ in range(rng.randint(1, 12))
        )
