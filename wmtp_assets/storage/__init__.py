"""The files of every artifact: digests, receipts, versions, published sets, locks.

Here: whatever writes to the disk or records what was written; an object store would begin at
`disk.py` and `store.py`. Not here: what an artifact means, how it is made or checked, Dagster.
Start with `store.py`.
"""

from wmtp_assets.storage.atomic import atomic_write, write_json
from wmtp_assets.storage.digests import (
    digest_of,
    read_sha256sums,
    sha256_file,
    sha256_files,
    write_sha256sums,
)
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.garbage import Collection, Removal
from wmtp_assets.storage.preflight import require_space
from wmtp_assets.storage.publications import Member, Publication, PublishedSet
from wmtp_assets.storage.receipts import FileRecord, Mismatch, Receipt
from wmtp_assets.storage.store import Store
from wmtp_assets.storage.versions import Staging

__all__ = [
    "Collection",
    "FileRecord",
    "Member",
    "Mismatch",
    "Publication",
    "PublishedSet",
    "Receipt",
    "Removal",
    "Staging",
    "StorageError",
    "Store",
    "atomic_write",
    "digest_of",
    "read_sha256sums",
    "require_space",
    "sha256_file",
    "sha256_files",
    "write_json",
    "write_sha256sums",
]
