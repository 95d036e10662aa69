"""Small storages to test on, and how to look at one as a reader does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wmtp_assets.storage import PublishedSet, Receipt, Store
from wmtp_assets.storage.disk import LEFTOVERS
from wmtp_assets.storage.versions import version_folders

MODEL, PARAMS, ROWS = "models/mtp", "models/mtp_params", "datasets/code_train"

SET = PublishedSet(
    name="mtp",
    links={
        "models_v2/mtp/safetensors/model.safetensors": (MODEL, "model.safetensors"),
        "models_v2/mtp/safetensors/SHA256SUMS": (MODEL, "SHA256SUMS"),
        "models_v2/mtp/configs/params.json": (PARAMS, "params.json"),
        "datasets_v2/code/processed/train.jsonl": (ROWS, "train.jsonl"),
        "datasets_v2/code/stats/train_stats.json": (ROWS, "stats/train.json"),
    },
    mounts=[
        "models_v2/mtp",
        "datasets_v2/code/processed/train.jsonl",
        "datasets_v2/code/stats/train_stats.json",
    ],
)

MOVED = PublishedSet(
    name="mtp",
    links={path.replace("/stats/", "/statistics/"): link for path, link in SET.links.items()},
    mounts=[path.replace("/stats/", "/statistics/") for path in SET.mounts],
)
"""The same set after a change of the catalog: one mount is new, one is gone."""


def make(
    store: Store,
    artifact: str,
    files: Mapping[str, bytes],
    inputs: Mapping[str, str] | None = None,
    code_version: str = "1",
) -> Receipt:
    """Makes one artifact of these files, or reuses it, as an asset would."""
    given: dict[str, Any] = {
        "inputs": dict(inputs or {}),
        "code_version": code_version,
        "entry_digest": "entry",
    }
    with store.stage(artifact) as staging:
        if receipt := staging.reuse(**given):
            return receipt
        for name, data in files.items():
            path = staging.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return staging.commit(**given, seconds=0.5)


def materialize(store: Store, edition: str, wanted: PublishedSet = SET) -> None:
    """Makes and publishes one edition of all three artifacts: every file tells its edition."""
    model = make(
        store,
        MODEL,
        {"model.safetensors": f"weights {edition}".encode(), "SHA256SUMS": edition.encode()},
        {"upstream": edition},
    )
    make(
        store,
        PARAMS,
        {"params.json": json.dumps(edition).encode()},
        {MODEL: model.digest},
    )
    make(
        store,
        ROWS,
        {"train.jsonl": f"row {edition}\n".encode(), "stats/train.json": edition.encode()},
        {"upstream": edition},
    )
    assert store.publish(wanted) is not None


def seen(root: Path) -> dict[str, bytes]:
    """What a reader of the contract's paths finds: path -> bytes. Links to nothing are nothing."""
    found = {}
    for wanted in (SET, MOVED):
        for path in wanted.links:
            if (root / path).exists():
                found[path] = (root / path).read_bytes()
    return found


def orphans(root: Path) -> list[Path]:
    """Everything with a name that only something unfinished has."""
    return [path for path in root.rglob("*") if path.name.startswith(LEFTOVERS)]


def halves(root: Path) -> set[str]:
    """What bears a version's name, or is called current, and is not whole."""
    store, found = Store(root), set()
    for artifact in (MODEL, PARAMS, ROWS):
        for version in version_folders(root / "versions" / artifact):
            for mismatch in store.versions.mismatches(artifact, deep=True, version=version.name):
                found.add(str(mismatch.file.relative_to(root)))
    for farm in version_folders(root / "published" / "mtp"):
        if farm.name not in {publication.version for publication in store.publications("mtp")}:
            found.add(str(farm.relative_to(root)))
    for link in root.rglob("*"):  # rglob("current") would pass over links to nothing
        if link.name == "current" and not link.exists():
            found.add(str(link.relative_to(root)))
    return found
