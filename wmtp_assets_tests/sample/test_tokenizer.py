"""The sample's tokenizer is built as LLaMA's is, and counts as it does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import sentencepiece as spm
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.sample.models import (
    MTP,
    SHEARED,
)
from wmtp_assets.sample.tokenizer import SPACE, VOCABULARY


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


REAL_DATA = (Path(__file__).parents[3] / "../shared/data").resolve()


def test_the_tokenizer_is_built_like_llamas(encoder: spm.SentencePieceProcessor) -> None:
    pieces = [encoder.id_to_piece(index) for index in range(encoder.vocab_size())]
    assert len(pieces) == len(set(pieces)) == VOCABULARY
    assert pieces[:3] == ["<unk>", "<s>", "</s>"]
    assert pieces[3:259] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert all(encoder.is_byte(index) for index in range(3, 259))
    specials = (encoder.unk_id(), encoder.bos_id(), encoder.eos_id(), encoder.pad_id())
    assert specials == (0, 1, 2, -1)
    merged = [piece for piece in pieces[259:] if len(piece) > 1]
    assert pieces[259 : 259 + len(merged)] == merged, "merged pieces come before single characters"
    scores = [encoder.get_score(index) for index in range(259, VOCABULARY)]
    assert scores == [-float(rank) for rank in range(1, VOCABULARY - 258)]


def test_no_piece_crosses_into_a_next_word_or_holds_a_second_digit_or_a_newline(
    encoder: spm.SentencePieceProcessor,
) -> None:
    for index in range(259, VOCABULARY):
        piece = encoder.id_to_piece(index)
        assert SPACE not in piece.lstrip(SPACE)
        assert len(piece) == 1 or not any(character.isdigit() for character in piece)
        assert "\n" not in piece


def test_the_special_pieces_are_those_of_the_real_tokenizer(
    encoder: spm.SentencePieceProcessor,
) -> None:
    path = REAL_DATA / "llama_tokenizer/tokenizer.model"
    if not path.exists():
        pytest.skip("the real tokenizer is not at ../shared/data")
    real = spm.SentencePieceProcessor(model_proto=path.read_bytes())
    for index in range(259):
        assert encoder.id_to_piece(index) == real.id_to_piece(index)
        for kind in ("is_unknown", "is_control", "is_byte", "is_unused"):
            assert getattr(encoder, kind)(index) == getattr(real, kind)(index)


# U+2581 stands for a space inside the model, in LLaMA's as well, and comes back as one.
@given(st.text().filter(lambda text: SPACE not in text))
@settings(deadline=None)
def test_any_text_comes_back_from_its_tokens(
    encoder: spm.SentencePieceProcessor, text: str
) -> None:
    assert encoder.decode(encoder.encode(text)) == text


@given(st.text(), st.text())
@settings(deadline=None)
def test_a_newline_parts_the_tokens_of_a_text(
    encoder: spm.SentencePieceProcessor, first: str, second: str
) -> None:
    """What the sample's padding to an exact length, and the corpora's counting, rely on."""
    before, after = encoder.encode(f"{first}\n"), encoder.encode(f"\n{second}")
    assert after[:2] == [encoder.piece_to_id(SPACE), encoder.piece_to_id("<0x0A>")]
    assert encoder.encode(f"{first}\n{second}") == before + after[2:]


def test_both_model_repositories_hold_the_same_tokenizer(hub: Path) -> None:
    assert _digest(hub / MTP / "tokenizer.model") == _digest(hub / SHEARED / "tokenizer.model")
