"""The small tokenizer of `wmtp_assets_tests/corpora/`: rows need one to be made."""

from wmtp_assets_tests.corpora.conftest import small_tokenizer

__all__ = ["small_tokenizer"]
