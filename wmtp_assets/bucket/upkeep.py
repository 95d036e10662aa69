"""What keeps a bucket sound: verifying it, its history, going back, removing what nothing needs."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from wmtp_assets.bucket import plain
from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.blocks import digests_of
from wmtp_assets.bucket.edition import (
    EDITIONS,
    OBJECTS,
    PIECE,
    DamagedRecordError,
    Edition,
    edition_key,
)
from wmtp_assets.bucket.heads import HEADS, Head, current, head_keys, last_number
from wmtp_assets.bucket.marks import FORGOTTEN, at_work
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.bucket.reading import Piece, Wrong, arriving, pieces_of
from wmtp_assets.progress import following
from wmtp_assets.storage import walks

_REMOVED = 1000
"""Objects that are removed before it is looked whether pushes are still kept out."""


@dataclass
class Verified:
    """What was found of an edition in a bucket: objects that are `wrong`, by key, and the paths in
    the storage that they are of."""

    head: Head
    files: int = 0
    size: int = 0
    wrong: dict[str, Wrong] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether every byte is the one that was pushed."""
        return not self.wrong


def verify(bucket: Bucket) -> Verified:
    """Reads all that readers see of a bucket, and recomputes every digest: of each piece, and of
    each file and the list of its blocks from its pieces; and of the files at plain keys. Raises
    BucketError where there is no edition, or its record is damaged.
    """
    head, edition = current(bucket)
    contents = edition.contents()
    places: dict[str, list[str]] = {}
    for path, record in edition.places():
        places.setdefault(record.sha256, []).append(path)
    done = Verified(head, sum(map(len, places.values())), sum(contents.values()))
    places |= {one: places[sha256] for sha256, one in edition.blocks.items()}
    whole, blocks, broken, read = hashlib.sha256(), hashlib.sha256(), False, 0
    with following("verifying", done.size, None) as at:
        for piece, data, wrong in arriving(bucket, _all(edition, contents)):
            if piece.number == 0:
                whole, blocks, broken = hashlib.sha256(), hashlib.sha256(), False
            if wrong:
                broken = True
                done.wrong[piece.key] = Wrong(f"SHA-256 {piece.sha256}", wrong)
                done.paths[piece.key] = places[piece.file]
            several = contents[piece.file] > piece.size
            if several:
                whole.update(data)
                blocks.update(digests_of(data))
            read += piece.size
            at(read)
            last = PIECE * piece.number + piece.size == contents[piece.file]
            if last and several and not broken:
                listed = edition.blocks[piece.file]
                if (whole.hexdigest(), blocks.hexdigest()) != (piece.file, listed):
                    key = edition_key(head.edition)
                    done.wrong[key] = Wrong(f"pieces of a file of SHA-256 {piece.file}", "others")
                    done.paths[key] = places[piece.file]
    for key, one in plain.verify(bucket).items():
        done.wrong[key], done.paths[key] = one, [key.removeprefix(f"{plain.FOLDER}/")]
    return done


def _all(edition: Edition, contents: dict[str, int]) -> Iterator[Piece]:
    for sha256, size in contents.items():
        yield from pieces_of(edition, sha256, size)


def history(bucket: Bucket) -> list[Head]:
    """The editions that were published, the last first; damaged heads are left out."""
    found = []
    for key in head_keys(bucket):
        with suppress(BucketError):
            found.append(Head.read(bucket, key))
    return found


def rollback(bucket: Bucket, edition: str | None = None) -> Head:
    """Publishes an edition again that is here; by default the one that the current one replaced.
    The name may be given by its first digits, eight or more.

    Raises BucketError where there is none, where objects of it are missing, where a push or another
    rollback was published meanwhile.
    """
    with at_work(bucket, "push", ["gc"], "wmtp rollback") as mark:
        before = last_number(bucket)
        wanted = _wanted(bucket, before, edition)
        there = bucket.listing(OBJECTS)
        needed = Edition.read(bucket, wanted).objects()
        lost = [key for key, size in needed.items() if key not in there or there[key].size != size]
        if lost:
            raise BucketError(
                "This edition cannot be restored: one of its objects was changed or removed",
                expected=f"{needed[lost[0]]} bytes",
                found=f"{there[lost[0]].size} bytes" if lost[0] in there else "nothing",
                where=f"{bucket.url.rstrip('/')}/{lost[0]}",
                hint=f"`wmtp history {shlex.quote(bucket.url)}` lists others; name one of those.",
            )
        mark.require()  # so all that was there is there
        head = Head.publish(bucket, wanted, before)
    if head is None:
        raise BucketError(
            "Another edition was published meanwhile, and this one was not",
            where=bucket.url,
            hint=f"`wmtp history {shlex.quote(bucket.url)}` shows it; then name the edition to go "
            "back to.",
        )
    return head


def _wanted(bucket: Bucket, last: int, edition: str | None) -> str:
    heads = history(bucket)
    now = heads[0].edition if heads and heads[0].number == last else None
    if edition is None:
        names = [head.edition for head in heads if head.edition != now][:1]
    else:
        names = [head.edition for head in heads if head.edition.startswith(edition)]
        names = list(dict.fromkeys(names)) if len(edition) >= 8 else []
    if len(names) != 1:
        others = [name[:12] for name in dict.fromkeys(head.edition for head in heads)]
        raise BucketError(
            "There is no such edition to go back to",
            expected=f"one of {', '.join(others)}" if others else "an edition that was pushed",
            found=edition or "nothing that the current edition replaced",
            where=bucket.url,
            hint=f"`wmtp history {shlex.quote(bucket.url)}` lists what is there; name one of "
            "those.",
        )
    return names[0]


@dataclass
class Removed:
    """What `gc` removed from a bucket, or would: keys with their sizes in bytes."""

    objects: dict[str, int] = field(default_factory=dict)
    editions: int = 0

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(self.objects.values())


def gc(bucket: Bucket, *, keep: int = 2, dry_run: bool = False) -> Removed:
    """Removes all but the last `keep` editions, and objects that none of those needs: of older
    editions, and of pushes that did not end.

    Raises BucketError where a push is at work, and where a record is damaged (then nothing is
    removed: it cannot be known what it needs).
    """
    if keep < 1:
        raise BucketError("At least one edition is kept", expected="1 or more", found=keep)
    with at_work(bucket, "gc", against=["push", plain.FOLDER]) as mark:
        url = shlex.quote(bucket.url)
        with _advice(f"if all that you need is in `wmtp history {url}`, remove this object."):
            heads = list(_heads(bucket))
        kept = list(dict.fromkeys(head.edition for head in heads))[:keep]
        needed: set[str] = {edition_key(name) for name in kept}
        with _advice(f"`wmtp push {url} --force` where the storage is, `wmtp gc {url} --keep 1`."):
            for name in kept:
                needed |= Edition.read(bucket, name).objects().keys()
        old_heads = [head.key for head in heads if head.edition not in kept]
        done = Removed()
        for folder in (EDITIONS, OBJECTS):
            for key, stat in bucket.listing(folder).items():
                if key not in needed:
                    done.objects[key] = stat.size
        done.editions = len({head.edition for head in heads}) - len(kept)
        unneeded = list(done.objects)
        leftovers = bucket.leftovers([OBJECTS, EDITIONS, HEADS, plain.FOLDER, plain.RECORD])
        there = {key: walks.status(path) for key, path in leftovers.items()}
        done.objects |= {key: found.st_size for key, found in there.items() if found is not None}
        marks = mark.seen()
        newest = marks[mark.key].modified
        forgotten = [key for key, one in marks.items() if newest - one.modified >= FORGOTTEN]
        if not dry_run:
            # A head goes before what it leads to.
            for keys in (old_heads, unneeded, forgotten):
                for start in range(0, len(keys), _REMOVED):
                    mark.require()
                    bucket.remove(keys[start : start + _REMOVED])
            for path in leftovers.values():
                path.unlink(missing_ok=True)
        return done


def _heads(bucket: Bucket) -> Iterator[Head]:
    """All heads, the last first, but those that another `gc` removes meanwhile. Raises BucketError
    at one that is damaged."""
    for key in head_keys(bucket):
        try:
            yield Head.read(bucket, key)
        except BucketError:
            if key in head_keys(bucket):
                raise


@contextmanager
def _advice(hint: str) -> Iterator[None]:
    """Where a record is damaged, what helps `gc`: going back would leave the record there."""
    try:
        yield
    except DamagedRecordError as error:
        raise DamagedRecordError(
            f"{error.problem}, and nothing was removed",
            expected=error.expected,
            found=error.found,
            where=error.where,
            hint=hint,
        ) from error
