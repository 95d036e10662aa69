"""tokenizer.json: spoiled by its structure and by single bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from wmtp_assets.corpora.json_tokens import JsonTokenCounter
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import json_bytes, mutate_value
from wmtp_assets_tests.json_tokenizers import BEGIN, trained

pytestmark = pytest.mark.fuzz
TEXTS = [
    "",
    " a  b\n\nc",
    "def f(x):\n\treturn x\n",
    "ﬁ①é 漢\u2581x",
    f"x{BEGIN} y",
    "a\x00b",
    "'s 123",
]


def test_a_spoiled_tokenizer_json_is_refused_or_counts_as_the_library_counts(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokenizer.json"
    document = json.loads(trained())
    parts = [part for part in document if part != "version"]

    def attempt(rng: random.Random) -> None:
        part = rng.choice(parts)
        spoiled = {**document, part: mutate_value(rng, document[part])}
        path.write_bytes(json_bytes(rng, spoiled))
        counter = JsonTokenCounter(path)
        counts = counter.count_many(TEXTS)
        assert counts == [counter.encoded(text) for text in TEXTS]
        plain = Tokenizer.from_file(str(path))
        plain.no_truncation()
        plain.no_padding()
        assert counts == [len(plain.encode(text, add_special_tokens=False)) for text in TEXTS]

    outcomes = fuzz(attempt)
    print(outcomes)
    assert outcomes.refused
