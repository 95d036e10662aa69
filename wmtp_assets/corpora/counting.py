"""Counting tokens, whatever the tokenizer: by the file that decides its ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.tokens import TokenCounter


class TextCounter(Protocol):
    """What counts the tokens of texts exactly as its tokenizer makes them, without BOS."""

    def encoded(self, text: str) -> int:
        """The plain answer: the tokenizer's own library encodes the whole text."""
        ...

    def surely_over(
        self, texts: Sequence[bytes], sizes: NDArray[np.int64], limits: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which UTF-8 texts (of `sizes` bytes) have more tokens than their limit for certain; False
        says nothing. None of them is tokenized."""
        ...

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in order."""
        ...


def open_counter(tokenizer: Path) -> TextCounter:
    """The counter of a tokenizer.json, or of a SentencePiece model.

    Raises CorpusError where the file is neither.
    """
    if tokenizer.suffix == ".json":
        from wmtp_assets.corpora.json_tokens import JsonTokenCounter  # with a library of its own

        return JsonTokenCounter(tokenizer)
    return TokenCounter(tokenizer)
