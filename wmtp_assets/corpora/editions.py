"""One edition of a split: what its contract path leads to at one moment, and from then on.

A contract path leads through `published/<set>/current`, which the next publication swaps. Who opens
a JSONL, its index and its metadata one after the other by their contract paths may get two
editions. Here `current` is read once, and every file is opened below the folder that it named.
"""

from __future__ import annotations

import os
from pathlib import Path

from wmtp_assets.storage.locks import Hold
from wmtp_assets.storage.store import Store
from wmtp_assets.storage.versions import CURRENT, current_version


def one_edition(storage: Path, path: Path) -> tuple[Path, Hold | None]:
    """Where `path`, relative to the root `storage`, lies in the edition that is published now.

    With it comes the hold that keeps `gc` from removing that edition; keep it for as long as the
    files are read. Where nothing is published at `path` (a copy of the files, say), it is the path
    itself, and None. Raises StorageError where `current` is damaged.
    """
    store = Store(storage)
    place = store.root / path
    try:
        target = Path(os.path.normpath(place.parent.resolve() / place.readlink()))
        home, _, within = str(target.relative_to(store.published.folder)).partition(f"/{CURRENT}/")
    except (OSError, ValueError):  # no link, or none of ours
        return place, None
    if not within:
        return place, None
    # The hold comes first: what is current from then on is not removed.
    hold = Hold(store.published.readers(home))
    version = current_version(store.published.home(home))
    if version is None:
        return place, None
    return store.published.home(home) / version / within, hold
