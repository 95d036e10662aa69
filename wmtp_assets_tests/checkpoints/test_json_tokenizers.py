"""A tokenizer.json is published so that AutoTokenizer gives its library's ids, with the special
tokens that its repository states, and nothing else of what the repository says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from wmtp_assets.checkpoints.open_tokenizer import TokenizerError
from wmtp_assets.checkpoints.tokenizers import (
    CHECKS,
    StoredTokenizer,
    check_same_tokenizer,
    open_tokenizer,
    tokenizer_documents,
)
from wmtp_assets.checkpoints.vocabulary import (
    VocabularyError,
    check_vocabulary,
    require_vocabulary,
)
from wmtp_assets.sample.tokenizer import tokenizer_model
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.json_tokenizers import (
    BEGIN,
    END,
    PIECES,
    QWEN_2,
    SPECIAL,
    changed,
    trained,
)
from wmtp_assets_tests.llama_3 import TOKENIZER_CONFIG

SIZE = PIECES + SPECIAL
CONFIG: dict[str, Any] = {
    "vocab_size": SIZE,
    "bos_token_id": PIECES,
    "eos_token_id": [PIECES + 1, PIECES + 2],
    "pad_token_id": PIECES + 3,
}
TEXTS = ["", " a", "for i in range(10):\n    print(i)  ", f"x{END} y{BEGIN}", "naïve 漢字 e\u0301"]


def published(
    folder: Path,
    data: bytes,
    stated: Mapping[str, object] | None = None,
    config: Mapping[str, object] = CONFIG,
) -> Path:
    """A folder with the tokenizer and its documents, as an artifact has them."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_bytes(data)
    for name, document in tokenizer_documents(folder / "tokenizer.json", stated, config).items():
        (folder / name).write_text(json.dumps(document))
    return folder


def failed(folder: Path, data: bytes, size: int | None = None) -> set[str]:
    (folder.parent / "right.json").write_bytes(data)
    stored = StoredTokenizer(
        folder,
        vocab_size=size,
        sha256=sha256_file(folder.parent / "right.json"),
        file="tokenizer.json",
    )
    return {one.name for one in CHECKS if not one.of(stored).passed}


GPT_2 = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
CUT = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"pre_tokenizer": GPT_2},
        {"normalizer": {"type": "NFC"}},
        {"truncation": CUT},
        {"post_processor": None},
    ],
    ids=str,
)
def test_auto_tokenizer_gives_the_librarys_ids(tmp_path: Path, change: dict[str, Any]) -> None:
    data = changed(change)
    folder = published(tmp_path / "tokenizer", data)
    assert failed(folder, data) == set()
    theirs = Tokenizer.from_str(data.decode())
    theirs.no_truncation()
    ours = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert ours(text)["input_ids"] == theirs.encode(text).ids
        plain = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, add_special_tokens=False) == plain
        assert ours.decode(plain) == theirs.decode(plain, skip_special_tokens=False)
    assert (ours.bos_token, ours.eos_token_id, ours.pad_token_id) == (BEGIN, 501, 503)
    assert len(ours) == SIZE


def test_of_the_repositorys_config_special_tokens_are_taken_and_nothing_else(
    tmp_path: Path,
) -> None:
    folder = published(tmp_path / "tokenizer", trained(), TOKENIZER_CONFIG)
    written = json.loads((folder / "tokenizer_config.json").read_text())
    assert written == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    opened = open_tokenizer(folder / "tokenizer.json")
    assert opened.roles == {"bos_token": PIECES, "eos_token": PIECES + 1}
    assert (opened.size, opened.piece(PIECES), opened.piece(SIZE)) == (SIZE, BEGIN, None)


@pytest.mark.parametrize(
    ("stated", "config", "named"),
    [
        (
            {"eos_token": "<|eot|>"},
            CONFIG,
            "names a token as eos_token that the tokenizer does not have",
        ),
        ({"eos_token": 501}, CONFIG, "Found: 501"),
        ({"bos_token": END}, CONFIG, f"begins texts with another token.*{END}.*501.*{BEGIN}.*500"),
        (None, {"bos_token_id": PIECES + 1}, "begins texts with another token"),
    ],
)
def test_special_tokens_that_the_tokenizer_does_not_have_are_named(
    tmp_path: Path, stated: Mapping[str, object] | None, config: Mapping[str, object], named: str
) -> None:
    with pytest.raises(TokenizerError, match=named) as refusal:
        published(tmp_path / "tokenizer", trained(), stated, config)
    assert "tokenizer.json" in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, ""),
        ({"vocab_size": 128256}, f"the embedding has 128256 rows, the tokenizer {SIZE} pieces"),
        ({"vocab_size": 512}, f"the embedding has 512 rows, the tokenizer {SIZE} pieces"),
        ({"eos_token_id": PIECES + 9}, "eos_token_id is 509, the tokenizer's 501"),
        ({"bos_token_id": 128000}, "bos_token_id is 128000, the tokenizer's 500"),
        ({"pad_token_id": SIZE}, f"beyond the {SIZE} pieces"),
    ],
)
def test_sizes_and_special_ids_are_compared_with_the_models(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    stated = {"bos_token": BEGIN, "eos_token": END}
    file = published(tmp_path / "tokenizer", trained(), stated) / "tokenizer.json"
    config = {**CONFIG, **change}
    rows = config["vocab_size"]
    finding = check_vocabulary(file, config, rows)
    assert finding.passed is not bool(named)
    assert named in str(finding.found)
    if not named:
        assert require_vocabulary(file, config, rows, "mine") == 0
        return
    with pytest.raises(VocabularyError, match=named):
        require_vocabulary(file, config, rows, "mine")


def test_a_tokenizer_that_was_changed_fails_its_checks(tmp_path: Path) -> None:
    folder = published(tmp_path / "tokenizer", trained())
    assert failed(folder, trained(), SIZE) == set()
    assert failed(folder, trained(), SIZE + 1) == {"tokenizer_vocabulary"}
    (folder / "tokenizer.json").write_bytes(trained(QWEN_2))
    assert failed(folder, trained()) == {"tokenizer_digest"}
    path = folder / "tokenizer_config.json"
    split = json.loads(path.read_text()) | {"split_special_tokens": True}
    path.write_text(json.dumps(split))
    assert failed(folder, trained(QWEN_2)) == {"tokenizer_ids"}


def test_whether_two_tokenizers_are_one_is_asked_of_either_kind(tmp_path: Path) -> None:
    folder = published(tmp_path / "one", trained())
    same = published(tmp_path / "same", trained() + b"\n")
    other = published(tmp_path / "other", trained(QWEN_2))
    model = tmp_path / "tokenizer.model"
    model.write_bytes(tokenizer_model())
    mine = folder / "tokenizer.json"
    assert check_same_tokenizer(mine, mine).found == "the same file"
    assert check_same_tokenizer(mine, same / "tokenizer.json").passed
    assert not check_same_tokenizer(mine, other / "tokenizer.json").passed
    finding = check_same_tokenizer(model, mine)
    assert not finding.passed
    assert "write `tokenizer: own`" in finding.hint
