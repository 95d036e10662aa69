"""The counter gives SentencePiece's own counts, for any text and any model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.corpora import segments
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.tokens import TokenCounter
from wmtp_assets_tests.corpora.conftest import real, train_tokenizer

TRAPS = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    "a",
    " a",
    "a ",
    "a\n",
    "\na",
    "\t",
    "\r\n",
    "x\r\ny\r\n",
    "▁",
    "a▁b",
    "▁ ▁",
    "é",
    "é é\n≤1",
    "\x00",
    "a\x00b",
    "\x7f",
    "\u2028",
    "\x85",
    "𝄞",
    "</s>",
    "<unk>",
    "<0x0A>",
    "0123 45",
    "x1y2",
    "a" * 200,
    " " * 40,
    " " * 40 + "x" * 40,
    "(((((((((((((((((((((((((((((((((",
    "if(a[i]==b):\n\t\treturn",
    "“quotes”\n  ’s",
    "identifierOfTwentyFourAndMore identifierOfTwentyFourAndOther",
    "\ufeffx",
    "\ue000",
    "e\u0301",
]
_CODE = st.text(alphabet=" \n\t()[]=+:.,'\"_abcdefprintxyz019{}/\\", max_size=300)
_ANY = st.text(max_size=120)
_MIXED = st.lists(st.one_of(_CODE, _ANY, st.sampled_from(TRAPS)), max_size=6).map("".join)


@pytest.fixture(scope="module")
def counter(tokenizer: Path) -> TokenCounter:
    return TokenCounter(tokenizer)


def test_llama_like_models_may_be_counted_by_parts(counter: TokenCounter) -> None:
    assert counter.exact_by_parts


@pytest.mark.parametrize("text", TRAPS)
def test_odd_texts_count_as_sentencepiece_counts_them(counter: TokenCounter, text: str) -> None:
    assert counter.count_many([text]) == [counter.encoded(text)]


def test_real_code_counts_as_sentencepiece_counts_it(counter: TokenCounter) -> None:
    rows = [json.loads(line) for line in real("mbpp/mbpp.jsonl").open()]
    texts = [row[name] for row in rows for name in ("text", "code")]
    texts += [text.replace("\r", "") for text in texts]
    expected = [counter.encoded(text) for text in texts]
    assert counter.count_many(texts) == expected
    assert [counter.count_many([text])[0] for text in texts[:50]] == expected[:50]


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(_MIXED, max_size=8))
def test_any_unicode_counts_as_sentencepiece_counts_it(
    counter: TokenCounter, texts: list[str]
) -> None:
    assert counter.count_many(texts) == [counter.encoded(text) for text in texts]


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(_MIXED, min_size=1, max_size=4), limit=st.integers(-2, 60))
def test_what_the_bounds_reject_is_too_long(
    counter: TokenCounter, texts: list[str], limit: int
) -> None:
    raws = [text.encode() for text in texts]
    sizes = np.array([len(raw) for raw in raws])
    over = counter.surely_over(raws, sizes, np.full(len(raws), limit))
    for text, rejected in zip(texts, over.tolist(), strict=True):
        assert not rejected or counter.encoded(text) > limit


def test_the_bounds_reject_long_texts_without_tokenizing(
    counter: TokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    raws = [b"x = 1\n" * 3000, b" " * 200_000, b"short"]
    monkeypatch.setattr(counter, "count_many", None)
    monkeypatch.setattr(counter, "encoded", None)
    sizes = np.array([len(raw) for raw in raws])
    assert counter.surely_over(raws, sizes, np.full(3, 2048)).tolist() == [True, True, False]


def test_forgetting_changes_no_count(tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_WORDS", 40)
    monkeypatch.setattr("wmtp_assets.corpora.tokens._REMEMBERED", 20)
    counter = TokenCounter(tokenizer)
    texts = [
        f"word{chr(97 + at % 26) * (at % 9)} é{at} = {chr(65 + at % 7) * 12}" for at in range(300)
    ]
    texts += [text.replace("é", "e") for text in texts]
    expected = [counter.encoded(text) for text in texts]
    for begin in range(0, len(texts), 7):
        assert counter.count_many(texts[begin : begin + 7]) == expected[begin : begin + 7]


def test_a_word_with_the_slot_of_the_empty_key_disturbs_no_other(counter: TokenCounter) -> None:
    letters = np.random.default_rng(1).integers(97, 123, (1 << 20, 8)).astype(np.uint8)
    keys = letters.view("<u8")[:, 0]
    (place, *_) = np.flatnonzero((keys * segments._MIX) >> segments._SHIFT == 0)
    texts = [f"({letters[place].tobytes().decode()})", "x = 1\n"]
    expected = [counter.encoded(text) for text in texts]
    assert [counter.count_many([text])[0] for text in texts * 2] == expected * 2


@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "unigram", "vocab_size": 312},
        {"byte_fallback": False, "vocab_size": 150},
        {"normalization_rule_name": "nmt_nfkc"},
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": True},
        {"user_defined_symbols": ["\n\n", "range(1"]},
        {"treat_whitespace_as_suffix": True},
        {"split_by_whitespace": False},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_model_that_breaks_the_rules_is_asked_for_whole_texts(
    tmp_path: Path, options: dict[str, object]
) -> None:
    counter = TokenCounter(train_tokenizer(tmp_path, "other", **options))
    texts = [*TRAPS, "for i in range(10):\n\n    print(the number)"]
    assert not counter.exact_by_parts
    assert counter.count_many(texts) == [counter.encoded(text) for text in texts]


def test_a_model_whose_pieces_mix_letters_and_digits_is_still_counted_right(tmp_path: Path) -> None:
    counter = TokenCounter(
        train_tokenizer(
            tmp_path,
            "mixed",
            split_digits=False,
            split_by_number=False,
            split_by_unicode_script=False,
            vocab_size=500,
        )
    )
    texts = [*TRAPS, "x12 = [12] * (n - 84); // the", "x12y", "value x399 = [399]"]
    assert counter.exact_by_parts
    assert counter.count_many(texts) == [counter.encoded(text) for text in texts]


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x0a\x05\x0a\x03abc"])
def test_what_is_not_a_model_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(data)
    with pytest.raises(CorpusError, match="tokenizer") as refusal:
        TokenCounter(path)
    assert str(path) in str(refusal.value)
