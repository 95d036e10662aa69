"""Which files an artifact holds: a receipt that lists others was not written by this package."""

from __future__ import annotations

from collections.abc import Mapping, Set

from wmtp_assets.artifacts.types import SETTLED
from wmtp_assets.catalog.artifacts import TOKENIZER_FILES, Artifact, Kind
from wmtp_assets.storage.receipts import Receipt

# Files beside those that the contract's paths lead to.
_BESIDE: Mapping[Kind, Set[str]] = {
    Kind.RAW: {"fetched.json"},
    Kind.CHECKPOINT: {"certificate.json", "slice.json", SETTLED},
    Kind.TOKENIZER: set(TOKENIZER_FILES),
    Kind.SCHEMA: {"README.md", "README_small.md"},
}


def foreign_files(artifact: Artifact, receipt: Receipt) -> list[str]:
    """The files of a receipt that no artifact of this name and kind holds, sorted.

    What lies in a folder that is published as a whole counts as its own: `shards_equal_checkpoint`
    knows its files.
    """
    known = {*artifact.links.values(), *_BESIDE.get(artifact.kind, ())}
    if artifact.kind is Kind.SMALL_SPLIT:
        known.add(f"{artifact.split}_small_stats.json")
    folders = ("sharded",) if artifact.kind is Kind.SHARDS else ()
    return sorted(
        name
        for name in receipt.files
        if name not in known and name.partition("/")[0] not in folders
    )
