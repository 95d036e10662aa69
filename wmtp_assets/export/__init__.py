"""Trees of regular files that can be moved: `wmtp export`, and what verifies them elsewhere.

    DIR/models_v2/        a volume: a folder of the contract, which can be mounted by itself
        SHA256SUMS        for `sha256sum -c`, in this folder
        export.json       which editions these are, with the size and SHA-256 of each file
        <model>/...       regular files, at the contract's paths
    DIR/datasets_v2/, DIR/datasets_local_small/    likewise

Here: writing such a tree from files whose digests are known, verifying it with nothing but itself,
and finding links that lead nowhere. Not here: which files a catalog publishes (`artifacts/`).
"""

from wmtp_assets.export.links import Links, name_of, survey
from wmtp_assets.export.record import ExportError
from wmtp_assets.export.verify import Verified, verify_export
from wmtp_assets.export.writer import Exported, Item, write_export

__all__ = [
    "ExportError",
    "Exported",
    "Item",
    "Links",
    "Verified",
    "name_of",
    "survey",
    "verify_export",
    "write_export",
]
