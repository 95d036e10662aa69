"""Locks between processes: one works, the others wait, and a dead process holds nothing.

The only module that calls `flock`. A lock of the storage is one on a file under `.locks/`; the
kernel releases it when its holder dies, however it dies. Those files are never removed: a file that
comes and goes would let two processes lock two files of one name. A file or folder that is open
anyway (a temporary, a journal, a mirror's folder) is locked itself: `lock_open`, `try_lock_open`.

flock works within a machine, but not on every file system between machines. So an exclusive holder
also makes a claim (`claims.py`), on every file system: a disk of this machine may be NFS for
others. Readers, of which there may be many, make one only if it may be a network file system.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from wmtp_assets.storage import claims, disk
from wmtp_assets.storage.claims import Held, abandoned
from wmtp_assets.storage.errors import LACKING, StorageError, lacking
from wmtp_assets.storage.file_systems import file_system_of

__all__ = [
    "Held",
    "Hold",
    "abandoned",
    "exclusive",
    "exclusive_now",
    "holder",
    "holder_process",
    "is_locked",
    "lock_open",
    "shared",
    "try_lock_open",
    "unheld",
]

_held: set[int] = set()


def _drop_in_child() -> None:
    """A forked worker must not keep its dead parent's locks alive; closing does not unlock."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_drop_in_child)


def lock_open(descriptor: int, where: Path) -> None:
    """Locks what is open, exclusively, until it is closed; waits for another holder.

    Raises `StorageError` where the file system has no locks.
    """
    _flock(descriptor, fcntl.LOCK_EX, where)


def try_lock_open(descriptor: int, where: Path) -> bool:
    """As `lock_open`, without waiting: False where another process holds the lock."""
    try:
        _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, where)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds a file that is there, opened as this package opens files, or claims
    it on another machine."""
    with unheld(path) as free:
        return not free


@contextmanager
def unheld(path: Path) -> Iterator[bool]:
    """Whether no process holds a file; see `is_locked`. Where none does, none on this machine will
    for as long as the block runs. Writes nothing."""
    try:
        descriptor = disk.open_existing(path)
    except OSError:  # nothing, or nothing that this package could hold
        yield True
        return
    try:
        yield try_lock_open(descriptor, path) and not claims.is_claimed(path)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(
    path: Path, on_wait: Callable[[str], None] | None = None, *, machines: bool = True
) -> Iterator[Held]:
    """Holds the lock for the block; waits for it, after calling `on_wait` with its holder.

    It holds between machines as well, unless `machines` is False (of what one machine alone uses).
    Before something is published, `Held.require` says whether it still does.
    """
    descriptor = _try(path, fcntl.LOCK_EX)
    if descriptor is None:
        if on_wait is not None:
            on_wait(holder(path))
        descriptor = _wait(path, fcntl.LOCK_EX)
    with ExitStack() as held:
        held.callback(_release, descriptor)
        claim = Held("", None)
        if machines:
            claim = claims.acquire(path, on_wait)
            held.callback(claim.release)
            claims.wait_for_readers(path)
        _sign(descriptor)
        yield claim


@contextmanager
def exclusive_now(path: Path, *, machines: bool = True) -> Iterator[Held | None]:
    """Holds the lock for the block, or yields None at once if it is held, or a reader shares it."""
    descriptor = _try(path, fcntl.LOCK_EX)
    with ExitStack() as held:
        if descriptor is None:
            yield None
            return
        held.callback(_release, descriptor)
        claim: Held | None = Held("", None)
        if machines:
            claim = claims.acquire_now(path)
            if claim is None:
                yield None
                return
            held.callback(claim.release)
            if claims.has_readers(path):
                yield None
                return
        _sign(descriptor)
        yield claim


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Holds the lock together with other readers; only `exclusive_now` elsewhere is refused.

    A reader who may not write in the storage and finds no lock file goes without: the account that
    runs `gc` can write, and reading must work on a read-only disk.
    """
    share = None
    with suppress(OSError, StorageError):
        share = _share(path)
    try:
        yield
    finally:
        if share is not None:
            _give_up(*share)


class Hold:
    """A reader's share of a lock for as long as this object lives, or until `release`.

    A forked child holds it too, for its copy of what is read; on a network's file system, from the
    view of other machines, as long as its parent lives. A pickled one is its path: unpickling it
    takes another share. As with `shared`, a reader who may not open the lock file goes without.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.release: Callable[[], object] = lambda: None
        with suppress(OSError, StorageError):
            descriptor, claim = _share(path)
            _held.discard(descriptor)  # not to be closed in a child
            self.release = weakref.finalize(self, _close, descriptor, claim)

    def __reduce__(self) -> tuple[type[Hold], tuple[Path]]:
        return Hold, (self.path,)


def _share(path: Path) -> tuple[int, Held | None]:
    """A reader's descriptor of the lock, and its claim where other machines may not see flock."""
    descriptor = _wait(path, fcntl.LOCK_SH)
    if file_system_of(path.parent).is_local:
        return descriptor, None
    try:
        return descriptor, claims.enter(path)
    except BaseException:
        _release(descriptor)
        raise


def _give_up(descriptor: int, claim: Held | None) -> None:
    try:
        if claim is not None:
            claim.release()
    finally:
        _release(descriptor)


def _close(descriptor: int, claim: Held | None) -> None:
    try:
        if claim is not None:
            claim.release()
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """A description of who signed the lock last."""
    try:
        note = json.loads(_note(path))
        return f"process {note['pid']} on {note['host']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def holder_process(path: Path) -> int | None:
    """The number of the process that signed the lock last; None where it was on another machine."""
    try:
        note = json.loads(_note(path))
        return int(note["pid"]) if note["host"] == platform.node() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(path: Path) -> bytes:
    descriptor = disk.open_existing(path)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def _try(path: Path, kind: int) -> int | None:
    try:
        return _wait(path, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _wait(path: Path, kind: int) -> int:
    disk.make_folders(path.parent)
    while True:
        descriptor = _open(path, kind)
        try:
            _flock(descriptor, kind, path)
            there, mine = disk.status(path), os.fstat(descriptor)
            if (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
                _held.add(descriptor)
                return descriptor
        except FileNotFoundError:
            pass  # removed meanwhile: lock the file that is there now
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _flock(descriptor: int, kind: int, where: Path) -> None:
    try:
        fcntl.flock(descriptor, kind)
    except OSError as error:
        if error.errno in LACKING | {errno.ENOLCK}:
            raise lacking("locks", where, error) from error
        raise


def _open(path: Path, kind: int) -> int:
    try:
        return disk.open_or_create(path)
    except OSError as error:
        readable = (errno.EACCES, errno.EPERM, *((errno.EROFS,) if kind & fcntl.LOCK_SH else ()))
        if error.errno not in readable:
            raise
        # Another user's lock file, or a disk that is read-only: the kernel locks what is open for
        # reading, too.
        try:
            return disk.open_existing(path)
        except OSError:
            raise error from None


def _release(descriptor: int) -> None:
    if descriptor in _held:  # else this is a forked child, which has closed it already
        _held.discard(descriptor)
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Leaves a note of who holds the lock; a full disk must not keep `gc` from locking.

    A lock file that has a second name elsewhere (a hard link) is locked, and not written.
    """
    if os.fstat(descriptor).st_nlink > 1:
        return
    note = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with suppress(OSError):
        disk.truncate(descriptor)
        disk.write(descriptor, json.dumps(note).encode())
