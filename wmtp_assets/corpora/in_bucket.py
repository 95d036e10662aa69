"""A corpus whose rows stay in a bucket, and are read from there by range.

    corpus = wmtp_assets.open_corpus("s3://BUCKET/wmtp", "codecontests", "train")

Opening fetches the row index and the annotations, which are short; rows come in blocks of 64 KiB,
`take` asks for neighbours at once, and both stay in a cache on this machine (see `bucket.cache`).
Every block is compared with its digest, so no row is other than what was pushed. A corpus is one
edition, whatever is pushed meanwhile, and so are its copies in workers; `wmtp gc URL` may take that
edition away. Credentials come from the environment, those of workers too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from wmtp_assets.bucket.cache import cache_errors
from wmtp_assets.bucket.ranges import GAP, SPAN, Reader, RemoteFile
from wmtp_assets.corpora.annotated_rows import AnnotatedRows, Origin
from wmtp_assets.corpora.annotations import ANNOTATION_KINDS, AnnotationFile, AnnotationKind
from wmtp_assets.corpora.editions import contract_places
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.generations import Contract


def open_in_bucket(
    url: str, dataset: str, split: str, contract: Contract | None = None
) -> BucketCorpus:
    """Open a split of the edition that a bucket has now; see `open_corpus`.

    Raises CorpusError when the split isn't there, BucketError where the bucket cannot be read or is
    damaged.
    """
    reader = Reader(url)
    places = contract_places(dataset, split, contract)
    for place in places:
        if str(place) in reader.paths:
            return BucketCorpus(reader, place)
    there = sorted(path for path in reader.paths if path.endswith(".index.parquet"))
    raise CorpusError(
        "There is no such split in the bucket",
        expected=" or ".join(map(str, places)),
        found=", ".join(path.removesuffix(".index.parquet") + ".jsonl" for path in there[:20])
        or "an edition without datasets",
        where=url,
        hint="Name one that is there, or push it.",
    )


def _again(url: str, edition: str, place: Path) -> BucketCorpus:
    """A corpus that was pickled."""
    return BucketCorpus(Reader(url, edition), place)


class _Links:
    """A folder in the cache with links to the short files of an edition beside `place`, as a
    storage has them: who opens annotations needs to know no more. Anybody may empty the cache."""

    def __init__(self, reader: Reader, place: Path) -> None:
        self._reader, self._place = reader, place
        self.root = reader.cache.opened()

    def make(self) -> None:
        """Makes those that are not there. Raises BucketError, StorageError."""
        reader = self._reader
        for path in _beside(self._place):
            record, target = reader.paths.get(str(path)), self.root / path
            if record is None or os.path.lexists(target):
                continue
            if path.suffix == ".jsonl":
                with cache_errors(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.symlink_to(f"{reader.bucket.url.rstrip('/')}/{path}")
            else:
                pieces = partial(reader.pieces, record.sha256, record.size)
                reader.cache.link(record.sha256, pieces, target)


class _Annotations(AnnotatedRows):
    """Those that `links` leads to."""

    def __init__(self, links: _Links, place: Path, facts: Mapping[str, Any], rows: int) -> None:
        super().__init__(Origin(links.root, place), facts, rows)
        self._links = links

    def _open(self, kind: AnnotationKind) -> AnnotationFile:
        self._links.make()
        return super()._open(kind)


def _remove(folder: Path, opened_by: int) -> None:
    """A forked process has copies of corpora that are not its own."""
    if os.getpid() == opened_by:
        shutil.rmtree(folder, ignore_errors=True)


class BucketCorpus(Corpus):
    """The rows at a contract's path, `place`, of the edition that `reader` reads.

    All that `Corpus` can, from a bucket. Its `jsonl` is where the file would be beside its index: a
    link to nothing, which says where it is.
    """

    _gap, _span = GAP, SPAN

    def __init__(self, reader: Reader, place: Path) -> None:
        self._reader, self._place = reader, place
        self._record = reader.paths[str(place)]
        links = _Links(reader, place)
        weakref.finalize(self, _remove, links.root, os.getpid())
        links.make()
        super().__init__(links.root / place, origin=Origin(links.root, place))
        self.annotations = _Annotations(links, place, self.facts, len(self))

    def __reduce__(self) -> tuple[Callable[..., Corpus], tuple[object, ...]]:
        return _again, (self._reader.bucket.url, self._reader.name, self._place)

    def _check_quickly(self) -> None:
        stated = {"bytes": self._record.size, "sha256": self._record.sha256}
        found: dict[str, Any] = {key: self.facts["jsonl"][key] for key in stated}
        if found != stated:
            raise CorpusError(
                f"{self.jsonl.name} does not belong to {self.row_index.path.name}",
                expected=found,
                found=stated,
                where=f"{self._reader.bucket.url.rstrip('/')}: {self._place}",
                hint="Materialize the split again, and push it.",
            )

    def verify(self) -> None:
        """Read the JSONL whole, and compare its digest. Raises CorpusError, or BucketError naming
        the object that is damaged."""
        whole = hashlib.sha256()
        for data in self._reader.pieces(self._record.sha256, self._record.size):
            whole.update(data)
        if whole.hexdigest() != self._record.sha256:
            raise CorpusError(
                "The pieces of this file belong to another file",
                expected=f"SHA-256 {self._record.sha256}",
                found=whole.hexdigest(),
                where=f"{self._reader.bucket.url.rstrip('/')}: {self._place}",
                hint="`wmtp verify URL` says what else is damaged.",
            )

    @cached_property
    def _source(self) -> RemoteFile:
        return RemoteFile(self._reader, self._record)


def _beside(place: Path) -> list[Path]:
    """The paths of the files that the reader of a corpus at `place` looks for."""
    stem = place.name.removesuffix(".jsonl")
    index = place.with_name(f"{stem}.index.parquet")
    if place.parent.name == "processed":
        quality = place.parents[1] / "quality"
        return [place, index, *(quality / f"{stem}_{kind}.parquet" for kind in ANNOTATION_KINDS)]
    # Rows of a small copy are annotated as those of the split that they were chosen from.
    dataset = place.parent.name.removesuffix("_small")
    wholes = contract_places(dataset, stem.removesuffix("_small"), None)
    return [place, index, *(path for whole in wholes for path in _beside(whole))]
