"""How many tokens a text has: SentencePiece's own answer, reached by proven shortcuts.

The truth is `len(processor.encode(text))`: no BOS, and an empty text has none. `TokenCounter` gives
the same number, faster: of many texts together each distinct line is cut into segments, which are
counted in numpy (`segments`); of text that is not ASCII, the words that are not are encoded, each
once, and the rest is counted so. Cuts are made only if the model that was loaded allows them; with
any other model, and for text that spells a space as U+2581, the text is encoded as a whole.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.model_file import BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, read_model
from wmtp_assets.corpora.segments import Integers, SegmentCounts, SegmentRules, distinct_lines

# A word that is not ASCII, with the spaces before it: no piece has a space after something else. A
# match begins only where a word can, so that a long word is not looked at from each of its letters.
_OTHER_WORD = re.compile(r"((?:(?<=\n)|(?<! ) +)[^ \n\x80-\U0010ffff]*+[^\x00-\x7f][^ \n]*)")
# Such words are remembered until they take this many bytes, and then the memory starts anew.
_REMEMBERED = 15_000_000
_BYTES_PER_WORD = 200  # beside its letters, of two bytes each
# Shorter texts, in bytes per token allowed, are seldom over the limit: counting them is as quick.
_WORTH_A_LOOK = 2.5
_BLOCK = 600_000  # bytes counted together: numpy's arrays stay in the processor's cache


class _Processor(Protocol):
    def encode(self, input: str) -> list[int]: ...


class TokenCounter:
    """Counts tokens exactly as the SentencePiece model at `model` does.

    `exact_by_parts` says whether the model allows counting by parts at all.
    """

    def __init__(self, model: Path) -> None:
        facts, data = read_model(model)
        try:
            self._processor: _Processor = sentencepiece.SentencePieceProcessor(model_proto=data)
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
            and SPACE in facts.normal_pieces  # then every ASCII character alone is one token
            and self._rules.usable
        )
        # Bytes of text under the longest piece, a literal U+2581 (three bytes) under each space.
        self._longest_piece = max(map(len, map(str.encode, facts.normal_pieces)))
        self._words: dict[str, int] = {}
        self._remembered = 0
        self._segments = SegmentCounts(self._encode_parts)
        self._newline = self._processor.encode("\n")[-1] if self.exact_by_parts else -1

    def encoded(self, text: str) -> int:
        """The plain answer: SentencePiece encodes the whole text."""
        return len(self._processor.encode(text))

    def surely_over(
        self, texts: Sequence[bytes], sizes: NDArray[np.int64], limits: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which UTF-8 texts (of `sizes` bytes) have more tokens than their limit for certain.

        None of them is tokenized: a token covers at most the longest piece, and a cut text has at
        least a token a segment. False says nothing.
        """
        over = limits < 0
        if self.exact_by_parts:
            over |= sizes > limits * self._longest_piece
            for at in np.flatnonzero(~over & (sizes > limits * _WORTH_A_LOOK)).tolist():
                # Only a head long enough to decide is looked at: segments average three bytes.
                head = texts[at][: 6 * int(limits[at]) + 64]
                over[at] = head.isascii() and self._rules.starts(head).size > limits[at]
        return over

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in order."""
        if not self.exact_by_parts:
            return [self.encoded(text) for text in texts]
        plain = list(texts)  # what is ASCII of each, counted together
        rest = np.zeros(len(texts), dtype=np.int64)
        for at, text in enumerate(texts):
            if text.isascii():
                continue
            if SPACE in text:
                plain[at], rest[at] = "", self.encoded(text)
            else:
                pieces = _OTHER_WORD.split(f" {text}")
                # Where a word was cut out there is a newline, which is a token.
                plain[at] = "\n".join(pieces[0::2])
                rest[at] = self._count_others(pieces[1::2]) - len(pieces) // 2
                if plain[at].startswith(" "):
                    plain[at] = plain[at][1:]
                else:  # the dummy prefix went with a word
                    rest[at] -= 1
        counts: list[int] = (self._count_ascii(plain) + rest).tolist()
        return counts

    def _count_others(self, words: list[str]) -> int:
        """Tokens of words that are not ASCII."""
        known = self._words
        new = [word for word in set(words) if word not in known]
        if new:
            if self._remembered > _REMEMBERED:
                known.clear()
                self._remembered = 0
                new = list(set(words))
            self._remembered += _BYTES_PER_WORD * len(new) + 2 * sum(map(len, new))
            known.update(zip(new, self._encode_parts(new), strict=True))
        return sum(map(known.__getitem__, words))

    def _count_ascii(self, texts: list[str]) -> Integers:
        """Tokens of ASCII texts, of which an empty one has none."""
        sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
        ends = np.cumsum(sizes + 2)  # a space before each, the dummy prefix; a newline after it
        bounds = [0, *(np.flatnonzero(np.diff(ends // _BLOCK)) + 1).tolist(), len(texts)]
        counts = np.zeros(len(texts), dtype=np.int64)
        for first, last in itertools.pairwise(bounds):
            text = (" " + "\n ".join(texts[first:last]) + "\n").encode("ascii")
            line_ends, which, lines, distinct_ends = distinct_lines(text)
            running = np.cumsum(self._count_lines(lines, distinct_ends)[which])
            at = np.searchsorted(line_ends, np.cumsum(sizes[first:last] + 2))
            counts[first:last] = np.diff(running[at], prepend=0) - 1
        counts -= sizes == 0
        return counts

    def _count_lines(self, lines: bytes, ends: NDArray[np.int32]) -> Integers:
        """Tokens of each of the `lines`, its newline, which is a segment of its own, included."""
        begins = self._rules.starts(lines)
        running = np.cumsum(self._segments.tokens(lines, begins))
        return np.diff(running[np.searchsorted(begins, ends) - 1], prepend=0)

    def _encode_parts(self, parts: list[str]) -> list[int]:
        """Tokens of each part as it stands inside a text (no dummy prefix); no part has a newline.

        One encode for all: newlines part them, and the dummy prefix stays before the first.
        """
        ids = np.array(self._processor.encode("\n" + "\n".join(parts) + "\n"), dtype=np.int64)
        at = np.flatnonzero(ids == self._newline)
        counts: list[int] = (np.diff(at) - 1).tolist()
        return counts
