"""A storage of a few files, with an artifact of several pieces, and what it takes to push it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.bucket import Bucket, Edition, Pulled, Pushed, pull, push
from wmtp_assets.bucket.reading import Wrong
from wmtp_assets.hub.files import LOCK_NAME, RepoId
from wmtp_assets.hub.lock import Lock
from wmtp_assets.storage import PublishedSet
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets.storage.receipts import FileRecord
from wmtp_assets.storage.store import Store

UPSTREAM = "upstream/models/org/name/weights.bin"
SETS = {
    "model": PublishedSet(
        "model",
        {
            "models_v2/m/a.bin": ("m", "a.bin"),
            "models_v2/m/empty": ("m", "empty"),
            "models_v2/m/all": ("m", "folder"),
        },
        ["models_v2/m"],
    ),
    "rows": PublishedSet("rows", {"datasets_v2/r/r.jsonl": ("r", "r.jsonl")}, ["datasets_v2/r"]),
}


@dataclass
class Small:
    """A storage at `root`, whose artifacts hold what `make` was told."""

    root: Path

    @property
    def store(self) -> Store:
        return Store(self.root)

    def make(self, artifact: str, **contents: bytes) -> None:
        """A new version of an artifact, published."""
        with self.store.stage(artifact) as staging:
            for name, data in contents.items():
                (staging.path / name.replace("_", ".")).write_bytes(data)
            if artifact == "m":  # as hf/ of a model: what is published may be a folder
                (staging.path / "folder").mkdir()
                (staging.path / "folder/inner").write_bytes(b"inner")
            staging.commit(
                inputs={}, code_version="1", entry_digest="0" * 64, seconds=1.5, facts={"a": 1}
            )
        assert self.store.publish(SETS["model" if artifact == "m" else "rows"])

    def fetched(self, data: bytes) -> None:
        """A fetched file, recorded in assets.lock."""
        path = self.root / UPSTREAM
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        lock = Lock(self.root / LOCK_NAME)
        repo = RepoId("model", "org/name")
        lock.record(repo, "0" * 40, "weights.bin", len(data), sha256_file(path))

    def edition(self, *names: str) -> tuple[Edition, dict[str, Path]]:
        """What is to be pushed of the sets of these names (default: all that are published)."""
        store = self.store
        found = {name: store.publication(name) for name in names or SETS}
        sets = {name: one for name, one in found.items() if one is not None}
        receipts, sources, files = {}, {}, {}
        for artifact in {artifact for one in sets.values() for artifact in one.members}:
            receipt = store.current(artifact)
            assert receipt is not None
            receipts[artifact] = receipt
            for path, record in receipt.files.items():
                sources[record.sha256] = store.path(artifact) / path
        for name in (UPSTREAM, LOCK_NAME):
            if (path := self.root / name).exists():
                record = FileRecord(path.stat().st_size, sha256_file(path))
                files[name], sources[record.sha256] = record, path
        return Edition("small", receipts, sets, files), sources

    def push(
        self, url: str, *names: str, force: bool = False, drop: bool = False, plain: bool = False
    ) -> Pushed:
        edition, sources = self.edition(*names)
        bucket = Bucket(url, make=True)
        return push(bucket, edition, sources, force=force, drop=drop, plain=plain)

    def pull(self, url: str) -> Pulled:
        return pull(Bucket(url), self.store, Lock(self.root / LOCK_NAME).merge)

    def pull_wrong(self, url: str) -> dict[str, Wrong]:
        """What a pull finds to be wrong."""
        return self.pull(url).wrong

    def files(self) -> dict[str, bytes | str]:
        """All that is in the storage, but locks: bytes of files, targets of links."""
        return {
            path.relative_to(self.root).as_posix(): (
                str(path.readlink()) if path.is_symlink() else path.read_bytes()
            )
            for path in sorted(self.root.rglob("*"))
            if path.relative_to(self.root).parts[0] != ".locks"
            and (path.is_symlink() or path.is_file())
        }


def small(root: Path, size: int = 5000) -> Small:
    """A storage with two published sets, a fetched file and a lock; its largest file has `size`
    bytes."""
    made = Small(root)
    draw, step = random.Random(7), 1 << 24
    parts = (draw.randbytes(min(step, size - at)) for at in range(0, size, step))
    made.make("m", a_bin=b"".join(parts), empty=b"")
    made.make("r", r_jsonl=b'{"row": 1}\n' * 40)
    made.fetched(b"fetched" * 100)
    return made
