"""How many tokens a text has: SentencePiece's own answer, reached by proven shortcuts.

The truth is `len(processor.encode(text))`: no BOS, and an empty text has none. `TokenCounter` gives
the same number, faster: text is cut at newlines (lines repeat between solutions, so their counts
are remembered) and new lines into segments (`segments`). Each cut is used only if the model that
was loaded allows it; with any other model, or for text that spells a space as U+2581, the text is
encoded as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import sentencepiece

from .errors import CorpusError
from .model_file import BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, read_model_file
from .segments import ALONE, SegmentCounts, SegmentRules

# Lines are remembered until they hold this many characters (some 40 MB with what Python adds),
# and then the memory starts anew.
_REMEMBERED = 20_000_000


class _Processor(Protocol):
    def encode(self, input: str) -> list[int]: ...


class TokenCounter:
    """Counts tokens exactly as the SentencePiece model at `model` does.

    `exact_by_parts` says whether the model allows counting by parts at all.
    """

    def __init__(self, model: Path) -> None:
        facts = read_model_file(model)
        try:
            self._processor: _Processor = sentencepiece.SentencePieceProcessor(
                model_file=str(model)
            )
        except (OSError, RuntimeError) as error:
            raise CorpusError(
                "The tokenizer does not load", found=str(error), where=model
            ) from error
        self._rules = SegmentRules(facts.normal_pieces)
        self.exact_by_parts = (
            facts.is_bpe
            and facts.byte_fallback
            and facts.byte_pieces == 256
            # A user-defined or unused piece is matched by other rules than merging neighbours.
            and facts.piece_types <= {NORMAL, UNKNOWN, CONTROL, BYTE}
            and facts.identity_normalizer
            and facts.dummy_prefix
            and facts.escapes_spaces
            and not facts.removes_extra_spaces
            and not facts.space_after_word
            and self._rules.usable
        )
        # Bytes of text under the longest piece, a literal U+2581 (three bytes) under each space.
        self._longest_piece = max(len(piece.encode()) for piece in facts.normal_pieces)
        self._looked_up = np.frombuffer(self._rules.classes, dtype=np.uint8) != ALONE
        self._lines: dict[str, int] = {}
        self._remembered = 0
        self._segments = SegmentCounts(self._encode_parts)
        self._newline = self._processor.encode("\n")[-1:]

    def encoded(self, text: str) -> int:
        """The plain answer: SentencePiece encodes the whole text."""
        return len(self._processor.encode(text))

    def surely_over(self, text: bytes, limit: int) -> bool:
        """Whether UTF-8 `text` has more than `limit` tokens for certain, without tokenizing it.

        A token covers at most the longest piece, and a cut text has at least a token a segment.
        False says nothing.
        """
        if limit < 0:
            return True
        if not self.exact_by_parts or len(text) <= limit:
            return False
        if len(text) > limit * self._longest_piece:
            return True
        # Only a head as long as it takes to decide is looked at: segments average three bytes.
        head = text[: 6 * limit + 64]
        return head.isascii() and int(np.count_nonzero(self._rules.starts_in(head))) > limit

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in order."""
        if not self.exact_by_parts:
            return [self.encoded(text) for text in texts]
        cut: list[list[str]] = []
        for text in texts:
            # The dummy prefix is a space before the text; an empty text has no tokens at all.
            cut.append(f" {text}".split("\n") if text and SPACE not in text else [])
        self._learn(cut)
        known = self._lines.__getitem__
        return [
            sum(map(known, lines)) + len(lines) - 1 if lines else (text and self.encoded(text)) or 0
            for text, lines in zip(texts, cut, strict=True)
        ]

    def _learn(self, cut: list[list[str]]) -> None:
        """Make every line of `cut` known."""
        wanted: set[str] = set()
        for lines in cut:
            wanted.update(lines)
        known = self._lines
        if self._remembered > _REMEMBERED:
            known.clear()
            self._remembered = 0
        new = [line for line in wanted if line not in known]
        self._remembered += sum(map(len, new)) + 50 * len(new)
        plain = [line for line in new if line.isascii()]
        if plain:
            known.update(zip(plain, self._count_lines(plain), strict=True))
        if len(plain) < len(new):
            others = [line for line in new if not line.isascii()]
            known.update(zip(others, self._encode_parts(others), strict=True))

    def _count_lines(self, lines: list[str]) -> list[int]:
        """Tokens of ASCII lines, none of which holds a newline."""
        text = "\n".join(lines).encode("ascii")
        if not text:
            return [0] * len(lines)
        begins = np.flatnonzero(self._rules.starts_in(text))
        sizes = np.diff(begins, append=len(text))
        tokens = np.ones(begins.size, dtype=np.int64)
        bytes_at = np.frombuffer(text, dtype=np.uint8)[begins]
        looked_up = self._looked_up[bytes_at]
        tokens[looked_up] = self._segments.tokens(text, begins[looked_up], sizes[looked_up])
        newlines = np.flatnonzero(bytes_at == 10)
        running = np.concatenate(([0], np.cumsum(tokens)))
        first = np.concatenate(([0], newlines + 1))
        last = np.concatenate((newlines, [begins.size]))
        counts: list[int] = (running[last] - running[first]).tolist()
        return counts

    def _encode_parts(self, parts: list[str]) -> list[int]:
        """Tokens of each part as it stands inside a text (no dummy prefix); no part has a newline.

        One encode for all: newlines part them, and the dummy prefix stays before the first.
        """
        ids = np.array(self._processor.encode("\n" + "\n".join(parts) + "\n"), dtype=np.int64)
        at = np.flatnonzero(ids == self._newline[0])
        counts: list[int] = (np.diff(at) - 1).tolist()
        return counts
