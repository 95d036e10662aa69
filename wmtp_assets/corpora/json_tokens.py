"""How many tokens a text has by a tokenizer.json: the `tokenizers` library's own answer.

The truth is `len(encode(text, add_special_tokens=False))`. Texts are encoded in batches. Where the
tokenizer cuts texts by the pattern of Llama-3 or Qwen 2, the count of a text is the sum over its
words, and each distinct word is encoded once. A word here is what `_WORD` matches: it begins where
no match of those patterns can go on, for these reasons.

- Before white space that is no line break, after something else: of the patterns' alternatives only
  white space goes on with white space, and punctuation with line breaks.
- After the last line break of a run of white space: `\\s*[\\r\\n]+` ends there, and so does
  punctuation with its line breaks.

The one look ahead, `\\s+(?!\\S)`, is asked for at white space without a line break behind it, which
is never the end of a word that another follows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.tokenizer_json import read_tokenizer_json

# Unicode's White_Space, which is what `\s` means to the library; Python's has U+001C to U+001F too.
_BREAKS, _OTHERS = r"\r\n", r"\t\x0b\x0c \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES = _BREAKS + _OTHERS
_WORD = re.compile(rf"[{_SPACES}]*+[^{_SPACES}]++(?:[{_SPACES}]*[{_BREAKS}])?|[{_SPACES}]++")
_BATCH = 400_000  # characters encoded together: the library takes some 50 bytes for each
# Words are remembered until they take this many bytes, and then the memory starts anew.
_REMEMBERED = 30_000_000
_BYTES_PER_WORD = 120  # beside its letters


class JsonTokenCounter:
    """Counts tokens exactly as the `tokenizers` library does with the tokenizer.json at `path`.

    `exact_by_words` says whether words are counted once each. Raises CorpusError.
    """

    def __init__(self, path: Path) -> None:
        read = read_tokenizer_json(path)
        self._tokenizer, self._longest = read.tokenizer, read.longest
        self.exact_by_words = read.words
        self._words: dict[str, int] = {}
        self._remembered = 0

    def encoded(self, text: str) -> int:
        """The plain answer: the library encodes the whole text."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def surely_over(
        self, texts: Sequence[bytes], sizes: NDArray[np.int64], limits: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which UTF-8 texts (of `sizes` bytes) have more tokens than their limit for certain: a
        token covers at most the longest one's bytes. False says nothing."""
        over: NDArray[np.bool_] = limits < 0
        if self._longest is not None:
            over |= sizes > limits * self._longest
        return over

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in order."""
        if not self.exact_by_words:
            return self._encode(texts)
        return [count for batch in _batches(texts) for count in self._by_words(batch)]

    def _by_words(self, texts: Sequence[str]) -> list[int]:
        known = self._words
        words = [_WORD.findall(text) for text in texts]
        new = list(set(itertools.chain.from_iterable(words)) - known.keys())
        if new and self._remembered > _REMEMBERED:
            known.clear()
            self._remembered = 0
            new = list(set(itertools.chain.from_iterable(words)))
        self._remembered += _BYTES_PER_WORD * len(new) + 2 * sum(map(len, new))
        known.update(zip(new, self._encode(new), strict=True))
        return [sum(map(known.__getitem__, each)) for each in words]

    def _encode(self, texts: Sequence[str]) -> list[int]:
        counts: list[int] = []
        for batch in _batches(texts):
            encoded = self._tokenizer.encode_batch_fast(list(batch), add_special_tokens=False)
            counts += map(len, encoded)
        return counts


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Consecutive texts of `_BATCH` characters together, or one longer text alone."""
    begin = size = 0
    for at, text in enumerate(texts):
        if size and size + len(text) > _BATCH:
            yield texts[begin:at]
            begin, size = at, 0
        size += len(text)
    if begin < len(texts):
        yield texts[begin:]
