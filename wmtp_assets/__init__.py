"""Fetches, converts and verifies the checkpoints and datasets that WMTP research starts from.

corpus = wmtp_assets.open_corpus("storage", "codecontests", "train")
tests = wmtp_assets.open_tests("storage", "codecontests", "train")
model = wmtp_assets.from_pretrained("storage/models_v2/meta-llama-mtp")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .corpora.opening import open_corpus
    from .corpora.tests_file import open_tests
    from .mtp.loading import from_pretrained

__all__ = ["from_pretrained", "open_corpus", "open_tests"]


def __getattr__(name: str) -> object:
    # Importing the package must stay free: the command line and Dagster both start with it.
    if name == "open_corpus":
        from .corpora.opening import open_corpus

        return open_corpus
    if name == "open_tests":
        from .corpora.tests_file import open_tests

        return open_tests
    if name == "from_pretrained":
        from .mtp.loading import from_pretrained

        return from_pretrained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
