"""Whether a tokenizer is a model's own, as far as sizes and ids can tell.

The embedding has a row for each piece of the vocabulary. It may have more only as padding: the
number of pieces, rounded up to a multiple of a power of two from 8 to 256, as training code does
for the GPU's sake. A vocabulary that is such a multiple already is not padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.tokenizers import open_processor
from wmtp_assets.findings import Finding

_MULTIPLES = (8, 16, 32, 64, 128, 256)
_HINT = (
    "This model needs a tokenizer of its own: a catalog has one tokenizer for all its models, so "
    "give this one a catalog (and a WMTP_STORAGE) in which tokenizer.from_model names it."
)


class VocabularyError(CheckpointError):
    """A model's embedding or special ids are not those of the tokenizer that it would get."""


def padded_sizes(pieces: int) -> list[int]:
    """How many rows an embedding for a vocabulary of `pieces` may have, without padding first."""
    return sorted({pieces, *(-(-pieces // multiple) * multiple for multiple in _MULTIPLES)})


def require_rows(rows: int, pieces: int, model: str) -> None:
    """VocabularyError unless an embedding of `rows` rows fits a vocabulary of `pieces` pieces."""
    if rows not in padded_sizes(pieces):
        raise _error(model, [_rows_fault(rows, pieces)])


def require_vocabulary(tokenizer: Path, config: Mapping[str, object], rows: int, model: str) -> int:
    """Rows of padding, 0 as a rule; VocabularyError, with both numbers, where something differs.

    Args:
        tokenizer: the SentencePiece model. config: config.json or params.json of the model.
        rows: of the embedding. model: the model's name, for the error.
    """
    processor = open_processor(tokenizer)
    if faults := _faults(processor, config, rows):
        raise _error(model, faults)
    return rows - processor.vocab_size()


def check_vocabulary(tokenizer: Path, config: Mapping[str, object], rows: int) -> Finding:
    """Whether the tokenizer has the model's number of pieces and its special ids."""
    processor = open_processor(tokenizer)
    faults, pieces = _faults(processor, config, rows), processor.vocab_size()
    padding = f", of which {rows - pieces} are padding" if rows != pieces else ""
    return Finding(
        name="tokenizer_fits_model",
        passed=not faults,
        expected=f"{pieces} pieces for {rows} rows of the embedding, and the same special ids",
        found="; ".join(faults) if faults else f"{pieces} pieces, {rows} rows{padding}",
        where=str(tokenizer),
        hint=_HINT if faults else "",
    )


def _faults(
    processor: SentencePieceProcessor, config: Mapping[str, object], rows: int
) -> list[str]:
    pieces = processor.vocab_size()
    faults = [] if rows in padded_sizes(pieces) else [_rows_fault(rows, pieces)]
    if (stated := config.get("vocab_size")) != rows:
        faults.append(f"the config's vocab_size is {stated}, the embedding has {rows} rows")
    for key, own in (
        ("bos_token_id", processor.bos_id()),
        ("eos_token_id", processor.eos_id()),
        ("pad_token_id", processor.pad_id()),
    ):
        found = config.get(key)
        every = found if isinstance(found, list) else [found]
        # SentencePiece says -1 for a role that no piece has: LLaMA pads with any other piece.
        if found is not None and own >= 0 and own not in every:
            faults.append(f"the config's {key} is {found}, the tokenizer's {own}")
        if found is not None and any(isinstance(one, int) and one >= pieces for one in every):
            faults.append(f"the config's {key} is {found}, beyond the {pieces} pieces")
    return faults


def _rows_fault(rows: int, pieces: int) -> str:
    return f"the embedding has {rows} rows, the tokenizer {pieces} pieces"


def _error(model: str, faults: list[str]) -> VocabularyError:
    return VocabularyError(
        f"The shared tokenizer is not the tokenizer of {model}",
        expected="a row of the embedding for each piece (or rows padded to a multiple of at most "
        f"{_MULTIPLES[-1]}), and the same special ids",
        found="; ".join(faults),
        hint=_HINT,
    )
