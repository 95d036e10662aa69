"""A tokenizer.json counts as its library does, for any text; what is not known in it is refused."""

from __future__ import annotations

import random
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.corpora import json_tokens
from wmtp_assets.corpora.counting import open_counter
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.json_tokens import JsonTokenCounter
from wmtp_assets.corpora.tokenizer_json import byte_letters, read_tokenizer_json
from wmtp_assets_tests.corpora.test_tokens import TRAPS
from wmtp_assets_tests.json_tokenizers import (
    BEGIN,
    END,
    LLAMA_3,
    PIECES,
    QWEN_2,
    SPECIAL,
    changed,
    trained,
)

GPT_2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
# What makes a tokenizer look beyond a word: the plain library is asked for whole texts.
WHOLE: dict[str, dict[str, Any]] = {
    "gpt-2": {"pre_tokenizer": GPT_2},
    "another pattern": {
        "pre_tokenizer.pretokenizers.0.pattern.Regex": LLAMA_3.replace(r"\s+(?!\S)|", "")
    },
    "prefix space": {"pre_tokenizer.pretokenizers.1.add_prefix_space": True},
    "removed": {"pre_tokenizer.pretokenizers.0.behavior": "Removed"},
    "lower case": {"normalizer": {"type": "Lowercase"}},
    "prepended": {"normalizer": {"type": "Prepend", "prepend": "_"}},
    "suffix": {"model.end_of_word_suffix": "</w>"},
    "token with a space": {"added_tokens.0.content": "<| x |>"},
    "token that takes spaces": {"added_tokens.0.lstrip": True},
    "no pre-tokenizer": {"pre_tokenizer": None},
}
_SPACES = " \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u180e\u2003\u2028\u2029\u200b\u3000\ufeff"
_CODE = st.text(alphabet=" \n\r\t()[]=+:.,'\"_abcdefsTprintxyz019{}/\\;!", max_size=200)
_ODD = st.text(alphabet=_SPACES + "a1;'é漢\u0301\u0345😀", max_size=60)
_TOKENS = st.sampled_from([BEGIN, END, *TRAPS, "'S", "'\u017f", " \u0301", "\u1100\u1161"])
_MIXED = st.lists(st.one_of(_CODE, _ODD, st.text(max_size=80), _TOKENS), max_size=6).map("".join)


def saved(folder: Path, data: bytes) -> Path:
    (folder / "tokenizer.json").write_bytes(data)
    return folder / "tokenizer.json"


@pytest.fixture(scope="module", params=["llama-3", "qwen-2"])
def counter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = trained()
    if request.param == "qwen-2":
        data = changed({"normalizer": {"type": "NFC"}}, trained(QWEN_2))
    path = saved(tmp_path_factory.mktemp("tokenizer"), data)
    counter = open_counter(path)
    assert isinstance(counter, JsonTokenCounter)
    assert counter.exact_by_words
    return counter


def assert_same(counter: JsonTokenCounter, texts: list[str]) -> None:
    assert counter.count_many(texts) == [counter.encoded(text) for text in texts]


def test_odd_texts_count_as_the_library_counts_them(counter: JsonTokenCounter) -> None:
    texts = [
        *TRAPS,
        BEGIN,
        f"a{END} b{BEGIN}\n{END}",
        "it's IT'S it'\u017f",
        "x\n  \n y",
        "!\x1c y",
    ]
    assert_same(counter, texts)
    assert [counter.count_many([text])[0] for text in texts] == counter.count_many(texts)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(_MIXED, max_size=8))
def test_any_text_counts_as_the_library_counts_it(
    counter: JsonTokenCounter, texts: list[str]
) -> None:
    assert_same(counter, texts)


def test_long_random_texts_count_as_the_library_counts_them(counter: JsonTokenCounter) -> None:
    rng = random.Random(5)
    letters = _SPACES * 2 + " \n" * 12 + "abcdefgXYZ0123;;;(){}''...sté漢\u0301"
    assert_same(counter, ["".join(rng.choices(letters, k=rng.randint(1, 400))) for _ in range(600)])


def test_every_character_between_words_counts_as_the_library_counts_it(
    counter: JsonTokenCounter,
) -> None:
    """Whether a character is white space, the library's pattern and ours agree."""
    kinds = ("Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Sk", "Po", "Nl", "Lo")
    taken: dict[str, int] = {}
    texts = []
    for code in range(sys.maxunicode):
        kind = unicodedata.category(chr(code))
        taken[kind] = taken.get(kind, 0) + 1
        # All that are white space in any edition of Unicode, and some of everything else.
        if kind in kinds[:5] or (kind != "Cs" and taken[kind] <= 20):
            texts += [
                f"a{chr(code)} b",
                f";{chr(code)}\n{chr(code)}\n  b",
                f"!{chr(code)}{chr(code)}x",
            ]
    assert len(texts) > 700
    assert_same(counter, texts)


@pytest.mark.parametrize("name", WHOLE)
def test_a_tokenizer_that_looks_beyond_a_word_is_asked_for_whole_texts(
    tmp_path: Path, name: str
) -> None:
    counter = JsonTokenCounter(saved(tmp_path, changed(WHOLE[name])))
    assert not counter.exact_by_words
    assert_same(counter, [*TRAPS, "for i in range(10):\n\n    print(the number)", "It's <| x |> a"])


def test_forgetting_and_small_batches_change_no_count(
    counter: JsonTokenCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        f"word{chr(97 + at % 26) * (at % 9)} é{at} = {chr(65 + at % 7) * 12}\n" for at in range(200)
    ]
    expected = [counter.encoded(text) for text in texts]
    monkeypatch.setattr(json_tokens, "_REMEMBERED", 400)
    monkeypatch.setattr(json_tokens, "_BATCH", 90)
    for begin in range(0, len(texts), 7):
        assert counter.count_many(texts[begin : begin + 7]) == expected[begin : begin + 7]


@settings(max_examples=80, deadline=None)
@given(texts=st.lists(_MIXED, min_size=1, max_size=4), limit=st.integers(-2, 20))
def test_what_the_bounds_reject_is_too_long(
    counter: JsonTokenCounter, texts: list[str], limit: int
) -> None:
    raws = [text.encode() for text in texts]
    sizes = np.array([len(raw) for raw in raws])
    over = counter.surely_over(raws, sizes, np.full(len(raws), limit))
    for text, rejected in zip(texts, over.tolist(), strict=True):
        assert not rejected or counter.encoded(text) > limit


def test_the_bounds_reject_long_texts_where_every_byte_has_a_token(tmp_path: Path) -> None:
    raws, limits = [b"x" * 40_000, b"short"], np.full(2, 1000)
    sizes = np.array([len(raw) for raw in raws])
    counter = JsonTokenCounter(saved(tmp_path, trained()))
    assert counter.surely_over(raws, sizes, limits).tolist() == [True, False]
    vocabulary = dict(read_tokenizer_json(saved(tmp_path, trained())).ids)
    del vocabulary["Ā"]  # the byte 0
    holes = changed({"model.vocab": {k: v for k, v in vocabulary.items() if v < PIECES}})
    counter = JsonTokenCounter(saved(tmp_path, holes))
    assert counter.surely_over(raws, sizes, limits).tolist() == [False, False]
    assert counter.encoded("\0" * 40) == 0


def test_bytes_are_spelled_as_the_library_spells_them() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(byte_letters()) == sorted(ByteLevel.alphabet())
    assert [byte_letters()[byte] for byte in b" \n\0a"] == ["Ġ", "Ċ", "Ā", "a"]


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    read = read_tokenizer_json(saved(tmp_path, trained()))
    assert (read.size, read.first) == (PIECES + SPECIAL, BEGIN)
    assert (read.ids[BEGIN], read.ids[END]) == (PIECES, PIECES + 1)
    assert len(read.added) == SPECIAL


def test_truncation_and_padding_of_the_file_change_no_count(tmp_path: Path) -> None:
    cut = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    pad = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "!",
    }
    counter = JsonTokenCounter(saved(tmp_path, changed({"truncation": cut, "padding": pad})))
    plain = JsonTokenCounter(saved(tmp_path, trained()))
    text = "for i in range(10): print(i)"
    assert counter.encoded(text) == plain.encoded(text) > 3
    assert counter.count_many([text, ""]) == [plain.encoded(text), 0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model.type": "WordPiece"}, "a model of type 'WordPiece'"),
        ({"model.dropout": 0.1}, "dropout 0.1: it would draw ids at random"),
        ({"normalizer": {"type": "Precompiled"}}, "a normalizer of type 'Precompiled'"),
        ({"pre_tokenizer": {"type": "Custom"}}, "a pre_tokenizer of type 'Custom'"),
        ({"pre_tokenizer.pretokenizers.1.type": "Eval"}, "a pre_tokenizer of type 'Eval'"),
        ({"decoder": {"type": "CTC"}}, "a decoder of type 'CTC'"),
        ({"post_processor": {"type": "RobertaProcessing"}}, "post_processor of type 'Roberta"),
        ({"post_processor": ["ByteLevel"]}, "a post_processor that is no object"),
        ({"auto_map": {"AutoTokenizer": "evil.py"}}, "unknown fields: auto_map"),
        ({"model.continuing_subword_prefix": "##"}, "with continuing_subword_prefix"),
        ({"normalizer": {"type": ["NFC"]}}, "a normalizer of type"),
        ({"pre_tokenizer.pretokenizers": [None, None]}, "a pre_tokenizer that is no object"),
        ({"model": None}, "no model"),
        ({"model.vocab": {}, "added_tokens": []}, "no tokens"),
        ({"model.vocab": ["a"]}, "no vocab"),
        ({"model.vocab.a": 0}, "two tokens with one id"),
        ({"model.vocab.a": -1}, "the token 'a' with the id -1"),
        ({"model.vocab.a": 1.5}, "the token 'a' with the id 1.5"),
        ({"added_tokens": [{"id": 1}]}, "an added token without content"),
        ({"added_tokens.0.id": "7"}, "without an id"),
        ({"added_tokens.0.id": PIECES + 1}, "two tokens with one id"),
        ({"added_tokens": {}, "model.merges": 3}, "added_tokens that are no list"),
        ({"model.merges": [["a", "zzzz"]]}, "zzzz"),
    ],
    ids=str,
)
def test_a_part_that_is_not_known_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    path = saved(tmp_path, changed(change))
    with pytest.raises(CorpusError) as refusal:
        open_counter(path)
    assert named in str(refusal.value)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"model": {"vocab": {"a": 1, "a": 2}}}', b"\xff" * 9]
)
def test_what_is_no_tokenizer_json_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = saved(tmp_path, data)
    with pytest.raises(CorpusError, match=r"not a tokenizer\.json") as refusal:
        open_counter(path)
    assert str(path) in str(refusal.value)
    with pytest.raises(CorpusError, match=r"not a tokenizer\.json"):
        open_counter(tmp_path / "missing.json")
