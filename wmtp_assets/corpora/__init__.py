"""Corpora: upstream's parquet made into training rows, and the reader of those rows.

    shards -> records -> formatting (in `crew`'s processes) -> writer -> row index, statistics
                                                                  |-> metadata, small, proofs
    row index -> reader -> selection, samplers (of bins), views

Nothing here imports Dagster, and importing this package imports nothing heavy: pyarrow, numpy and
SentencePiece come in with the module that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmtp_assets.corpora.build import build_codecontests, build_humaneval, build_mbpp
    from wmtp_assets.corpora.checks import check_metadata, check_split
    from wmtp_assets.corpora.metadata import write_metadata
    from wmtp_assets.corpora.reader import Corpus, open_corpus
    from wmtp_assets.corpora.report import SplitReport
    from wmtp_assets.corpora.schema import row_schema
    from wmtp_assets.corpora.small_copy import select_small

__all__ = [
    "Corpus",
    "SplitReport",
    "build_codecontests",
    "build_humaneval",
    "build_mbpp",
    "check_metadata",
    "check_split",
    "open_corpus",
    "row_schema",
    "select_small",
    "write_metadata",
]

_HOMES = {
    "Corpus": "reader",
    "SplitReport": "report",
    "build_codecontests": "build",
    "build_humaneval": "build",
    "build_mbpp": "build",
    "open_corpus": "reader",
    "check_metadata": "checks",
    "check_split": "checks",
    "row_schema": "schema",
    "select_small": "small_copy",
    "write_metadata": "metadata",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
