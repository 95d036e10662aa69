"""Opening a corpus where it is: below a storage's root, or in a bucket."""

from __future__ import annotations

import os
from pathlib import Path

from wmtp_assets.corpora.annotated_rows import Origin
from wmtp_assets.corpora.editions import contract_places, no_such_split, one_edition
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.generations import CONTRACTS, Contract


def open_corpus(
    storage: str | Path,
    dataset: str,
    split: str,
    contract: Contract | None = None,
    mmap: bool | None = None,
) -> Corpus:
    """Open a split under a storage root: its full corpus, or (dataset "*_small") its small one.

    `storage` may be the URL of a bucket that one was pushed to (s3://, gs://, az://, file://): then
    rows are read from there by range, see `in_bucket`; `mmap` is not for those.

    `contract` is the generation of the contract whose rows are read; None is the first that the
    storage has of them, and small copies are there in one generation only. `mmap` says whether rows
    are read from a map of the file; None: by read calls where the file is large, or its file
    system may be a network's. Raises CorpusError when the split isn't there, or when its files do
    not belong together; BucketError where a bucket cannot be read, and for a URL as a Path.
    """
    if contract is not None and contract not in CONTRACTS:
        raise CorpusError(
            "There is no such generation of the contract",
            expected=f"one of {', '.join(CONTRACTS)}, or None",
            found=repr(contract)[:100],
        )
    if ":/" in str(storage):
        from wmtp_assets.bucket import bucket_url
        from wmtp_assets.corpora.in_bucket import open_in_bucket

        if (url := bucket_url(storage)) is not None:
            return open_in_bucket(url, dataset, split, contract)
    root = Path(storage)
    places = contract_places(dataset, split, contract)
    there = (place for place in places if os.path.lexists(root / place))
    place = next(there, None)
    if place is None:
        raise no_such_split(root, places, dataset, split)
    return Corpus(*one_edition(root, place), mmap, Origin(root.absolute(), place))
