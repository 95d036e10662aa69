"""One edition of a split: what its contract path leads to at one moment, and from then on.

A contract path leads through `published/<set>/current`, which the next publication swaps. Who opens
a JSONL, its index and its metadata one after the other by their contract paths may get two
editions. Here `current` is read once, and every file is opened below the folder that it named.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.generations import CONTRACTS, Contract, dataset_folder, small_folder
from wmtp_assets.storage import walks
from wmtp_assets.storage.locks import Hold
from wmtp_assets.storage.store import Store
from wmtp_assets.storage.versions import CURRENT, current_version

_SHOWN = 20  # names listed in an error


def one_edition(storage: Path, path: Path) -> tuple[Path, Hold | None]:
    """Where `path`, relative to the root `storage`, lies in the edition that is published now.

    With it comes the hold that keeps `gc` from removing that edition; keep it for as long as the
    files are read. Where nothing is published at `path` (a copy of the files, say), it is the path
    itself, and None. Raises StorageError where `current` is damaged.
    """
    store = Store(storage)
    place = store.root / path
    home, within = _published(store, place)
    if not within:
        return place, None
    # The hold comes first: what is current from then on is not removed.
    hold = Hold(store.published.readers(home))
    version = current_version(store.published.home(home))
    if version is None:
        return place, None
    return store.published.home(home) / version / within, hold


def published_set(storage: Path, path: Path) -> str | None:
    """The name of the set that `path`, relative to the root `storage`, is published in; None where
    nothing is published there."""
    store = Store(storage)
    home, within = _published(store, store.root / path)
    return home if within else None


def _published(store: Store, place: Path) -> tuple[str, str]:
    """The set that a contract path leads to, and the path within it; both empty where it is no
    link, or none of ours."""
    try:
        target = Path(os.path.normpath(place.parent.resolve() / place.readlink()))
        relative = str(target.relative_to(store.published.folder))
    except (OSError, ValueError):
        return "", ""
    home, _, within = relative.partition(f"/{CURRENT}/")
    return (home, within) if within else ("", "")


def contract_places(dataset: str, split: str, contract: Contract | None) -> list[Path]:
    """The paths below a storage at which a split may be, the first choice first."""
    if dataset.endswith("_small"):
        return [Path(small_folder(dataset.removesuffix("_small")), f"{split}_small.jsonl")]
    return [
        Path(dataset_folder(one, dataset), "processed", f"{split}.jsonl")
        for one in ([contract] if contract else CONTRACTS)
    ]


def no_such_split(root: Path, places: Sequence[Path], dataset: str, split: str) -> CorpusError:
    """The error of a split that is at none of `places`, relative to `root`: says what is there."""
    folders = list(dict.fromkeys(place.parts[0] for place in places))
    splits = _names(root / place.parent for place in places)
    datasets = sorted(
        {
            path.name
            for folder in folders
            for path in walks.entries(root / folder)
            if not path.name.startswith(".") and path.is_dir()
        }
    )
    if splits:
        found, hint = f"{split!r}; there is {_listed(splits)}", "Name one that is there."
    elif datasets and dataset not in datasets:
        found, hint = f"{dataset!r}; there is {_listed(datasets)}", "Name one that is there."
    else:
        kinds = dict.fromkeys(Path(dataset_folder(one, dataset)).parts[0] for one in CONTRACTS)
        others = [kind for kind in kinds if kind not in folders and (root / kind).is_dir()]
        found = f"no {' or '.join(folders)} in it" if not datasets else "no rows of it"
        found += f", but {_listed(others)}" if others else ""
        hint = (
            f"Give the folder above {' or '.join(folders)} (an exported volume keeps that name), "
            "or materialize the split."
        )
    return CorpusError(
        "There is no such split",
        expected=f"split {split!r} of {dataset!r}",
        found=found,
        where=root,
        hint=hint,
    )


def _names(folders: Iterable[Path]) -> list[str]:
    """The splits whose row index is in one of the folders."""
    ending = ".index.parquet"
    found = {
        path.name.removesuffix(ending).removesuffix("_small")
        for folder in folders
        for path in walks.entries(folder)
        if path.name.endswith(ending)
    }
    return sorted(found)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" and others" if len(names) > _SHOWN else "")
