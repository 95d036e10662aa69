"""Whether a tokenizer is a model's own, as far as sizes and ids can tell.

The embedding has a row for each piece of the vocabulary. It may have more only as padding: the
number of pieces, rounded up to a multiple of a power of two from 8 to 256, as training code does
for the GPU's sake. A vocabulary that is such a multiple already is not padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.open_tokenizer import OpenTokenizer
from wmtp_assets.checkpoints.tokenizers import OWN_TOKENIZER, open_tokenizer
from wmtp_assets.findings import Finding

_MULTIPLES = (8, 16, 32, 64, 128, 256)


class VocabularyError(CheckpointError):
    """A model's embedding or special ids are not those of the tokenizer that it would get."""


def padded_sizes(pieces: int) -> list[int]:
    """How many rows an embedding for a vocabulary of `pieces` may have, without padding first."""
    return sorted({pieces, *(-(-pieces // multiple) * multiple for multiple in _MULTIPLES)})


def require_rows(rows: int, pieces: int, model: str) -> None:
    """VocabularyError unless an embedding of `rows` rows fits a vocabulary of `pieces` pieces."""
    if rows not in padded_sizes(pieces):
        raise _error(model, [_rows_fault(rows, pieces)])


def require_vocabulary(
    tokenizer: Path | OpenTokenizer, config: Mapping[str, object], rows: int, model: str
) -> int:
    """Rows of padding, 0 as a rule; VocabularyError, with both numbers, where something differs.

    Args:
        tokenizer: its file, or what was read of it. config: config.json or params.json of the
            model. rows: of the embedding. model: the model's name, for the error.
    """
    opened = open_tokenizer(tokenizer) if isinstance(tokenizer, Path) else tokenizer
    if faults := _faults(opened, config, rows):
        raise _error(model, faults)
    return rows - opened.size


def check_vocabulary(tokenizer: Path, config: Mapping[str, object], rows: int) -> Finding:
    """Whether the tokenizer has the model's number of pieces and its special ids."""
    opened = open_tokenizer(tokenizer)
    faults, pieces = _faults(opened, config, rows), opened.size
    padding = f", of which {rows - pieces} are padding" if rows != pieces else ""
    return Finding(
        name="tokenizer_fits_model",
        passed=not faults,
        expected=f"{pieces} pieces for {rows} rows of the embedding, and the same special ids",
        found="; ".join(faults) if faults else f"{pieces} pieces, {rows} rows{padding}",
        where=str(tokenizer),
        hint=OWN_TOKENIZER if faults else "",
    )


def _faults(tokenizer: OpenTokenizer, config: Mapping[str, object], rows: int) -> list[str]:
    pieces = tokenizer.size
    faults = [] if rows in padded_sizes(pieces) else [_rows_fault(rows, pieces)]
    if (stated := config.get("vocab_size")) != rows:
        faults.append(f"the config's vocab_size is {stated}, the embedding has {rows} rows")
    for role in ("bos_token", "eos_token", "pad_token"):
        key, own = f"{role}_id", tokenizer.roles.get(role)
        found = config.get(key)
        every = found if isinstance(found, list) else [found]
        if found is not None and own is not None and own not in every:
            faults.append(f"the config's {key} is {found}, the tokenizer's {own}")
        if found is not None and any(isinstance(one, int) and one >= pieces for one in every):
            faults.append(f"the config's {key} is {found}, beyond the {pieces} pieces")
    return faults


def _rows_fault(rows: int, pieces: int) -> str:
    return f"the embedding has {rows} rows, the tokenizer {pieces} pieces"


def _error(model: str, faults: list[str]) -> VocabularyError:
    return VocabularyError(
        f"The tokenizer given to {model} is not its own",
        expected="a row of the embedding for each piece (or rows padded to a multiple of at most "
        f"{_MULTIPLES[-1]}), and the same special ids",
        found="; ".join(faults),
        hint=OWN_TOKENIZER,
    )
