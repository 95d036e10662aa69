"""Tokenizers as Llama-3's is: byte-level BPE with its pattern, its flags and its kind of special
tokens, but trained on a few lines. The same bytes every time."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_2 = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
PIECES, SPECIAL = 500, 28
_LINES = [
    "def solve(n):\n    for i in range(10, n):\n        print(i + 1, end=' ')\n",
    "#include <bits/stdc++.h>\r\nusing namespace std;\n\nint main() {\n\tcin >> n;\n}\n",
    "Given an array of integers, print the maximum. It's 1234 at most; naïve café 漢字 …\n",
]


@cache
def trained(pattern: str = LLAMA_3, pieces: int = PIECES, special: int = SPECIAL) -> bytes:
    """A tokenizer.json of `pieces` pieces and `special` special tokens behind them."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    names = ["".join(each) for each in product("bdfklmnprst", "aeiou", "bdfklmnprst")]
    lines = [*_LINES * 20, *(f"{name}_{names[-at]} = {at};\n" for at, name in enumerate(names))]
    tokenizer.train_from_iterator(lines, trainer)
    assert tokenizer.get_vocab_size() == pieces
    tokenizer.add_special_tokens(
        [BEGIN, END, *(f"<|reserved_special_token_{at}|>" for at in range(special - 2))]
    )
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single=f"{BEGIN} $A",
                pair=f"{BEGIN} $A {BEGIN}:1 $B:1",
                special_tokens=[(BEGIN, pieces)],
            ),
        ]
    )
    return tokenizer.to_str().encode()


def changed(change: dict[str, Any], data: bytes | None = None) -> bytes:
    """A tokenizer.json with other values, by their dotted places: {"model.dropout": 0.1}."""
    document = json.loads(trained() if data is None else data)
    for place, value in change.items():
        *path, last = place.split(".")
        inner = document
        for key in path:
            inner = inner[int(key) if key.isdigit() else key]
        inner[int(last) if last.isdigit() else last] = value
    return json.dumps(document, ensure_ascii=False).encode()
