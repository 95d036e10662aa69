"""One sample for all the tests of it; nobody writes there."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece as spm

from wmtp_assets.sample import write_sample
from wmtp_assets.sample.tokenizer import tokenizer_model


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "hub"
    write_sample(root)
    return root


@pytest.fixture(scope="session")
def encoder() -> spm.SentencePieceProcessor:
    return spm.SentencePieceProcessor(model_proto=tokenizer_model())
