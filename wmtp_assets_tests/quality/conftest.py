"""The small tokenizer of `wmtp_assets_tests/corpora/`: rows need one to be made; and rows."""

from wmtp_assets_tests.corpora.conftest import small_tokenizer
from wmtp_assets_tests.quality.six_problems import drawn

__all__ = ["drawn", "small_tokenizer"]
