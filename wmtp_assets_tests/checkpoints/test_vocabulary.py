"""A tokenizer is a model's own by size and special ids, or the model is not published with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmtp_assets.checkpoints.vocabulary import (
    VocabularyError,
    check_vocabulary,
    padded_sizes,
    require_rows,
    require_vocabulary,
)
from wmtp_assets.sample.tokenizer import VOCABULARY, tokenizer_model

IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(tokenizer_model())
    return path


def test_the_models_own_tokenizer_fits(tokenizer: Path) -> None:
    for ids in (IDS, {}, {"eos_token_id": [2, 7]}, {"bos_token_id": None}, {"pad_token_id": 2}):
        config = {"vocab_size": VOCABULARY, **ids}
        assert require_vocabulary(tokenizer, config, VOCABULARY, "mine") == 0
        assert check_vocabulary(tokenizer, config, VOCABULARY).passed


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"bos_token_id": 128000}, "bos_token_id is 128000, the tokenizer's 1"),
        ({"bos_token_id": 2}, "bos_token_id is 2, the tokenizer's 1"),
        ({"eos_token_id": 1}, "eos_token_id is 1, the tokenizer's 2"),
        ({"eos_token_id": [0, 1]}, r"eos_token_id is \[0, 1\], the tokenizer's 2"),
        ({"eos_token_id": [2, VOCABULARY]}, f"beyond the {VOCABULARY} pieces"),
        ({"pad_token_id": VOCABULARY}, f"beyond the {VOCABULARY} pieces"),
        ({"vocab_size": VOCABULARY - 1}, f"vocab_size is {VOCABULARY - 1}"),
    ],
)
def test_other_special_ids_are_refused_with_both_numbers(
    change: dict[str, object], named: str, tokenizer: Path
) -> None:
    config = {"vocab_size": VOCABULARY, **IDS, **change}
    with pytest.raises(VocabularyError, match=named):
        require_vocabulary(tokenizer, config, VOCABULARY, "mine")
    assert not check_vocabulary(tokenizer, config, VOCABULARY).passed


@pytest.mark.parametrize(
    "rows", [1, VOCABULARY - 1, VOCABULARY + 1, VOCABULARY + 64, 2 * VOCABULARY, 128256]
)
def test_another_size_is_refused_with_both_numbers(rows: int, tokenizer: Path) -> None:
    named = f"the embedding has {rows} rows, the tokenizer {VOCABULARY} pieces"
    with pytest.raises(VocabularyError, match=named) as caught:
        require_vocabulary(tokenizer, {"vocab_size": rows, **IDS}, rows, "mine")
    assert caught.value.hint
    with pytest.raises(VocabularyError, match=named):
        require_rows(rows, VOCABULARY, "mine")
    finding = check_vocabulary(tokenizer, {"vocab_size": rows, **IDS}, rows)
    assert (finding.passed, named in str(finding.found)) == (False, True)


def test_padding_is_the_vocabulary_rounded_up_and_nothing_else() -> None:
    assert padded_sizes(32000) == [32000]  # a multiple of 256 already
    assert padded_sizes(151643) == [151643, 151648, 151680, 151808]
    for rows in padded_sizes(151643):
        require_rows(rows, 151643, "mine")
    for rows in (151642, 151644, 151936, 152064):
        with pytest.raises(VocabularyError, match=f"{rows} rows, the tokenizer 151643"):
            require_rows(rows, 151643, "mine")
