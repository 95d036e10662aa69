"""Locks between machines, by files: for file systems where each machine grants flock alone.

A claim is a file beside a lock that exists while a process holds the lock. Only one process can
create it, and it is never seen half-written: it is written under another name, and link(2), which
the file server executes for all of its clients, gives it its final name. It names its process,
which touches it every `REFRESH` seconds.

    <lock>.owner                 the holder's claim
    <lock>.owner.<nonce>         whoever removes the claim <nonce> of a dead process
    <lock>.reader-<nonce>        a reader's, one of many

A holder counts as dead only if that is certain: its process no longer exists on this machine, or
the claim is on a disk of this machine and the machine was restarted. For a process on another
machine this cannot be known, so its claim is valid until a waiting process has seen it untouched
for `LEASE` seconds, in several looks, because a file server that hangs stops both processes. A
waiting process never compares clocks of different machines. A holder that was itself stopped for so
long notices it before it publishes (`Held.require`), and ends with an error.

Removing a dead claim is a race as well, and link(2) decides it too, at a name that belongs to that
claim. The winner removes the claim only if it is still the dead one. If the winner dies, the
next process takes its place with the winner's own nonce. Nonces are never reused, so a late process
cannot remove a claim that was made since.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

from wmtp_assets.storage import disk, walks
from wmtp_assets.storage.errors import LACKING, StorageError
from wmtp_assets.storage.file_systems import file_system_of
from wmtp_assets.storage.holders import Holder, boot, this_process

REFRESH = 15.0
LEASE = 120.0
"""Seconds. A holder misses eight touches before it is considered dead."""
FORGOTTEN = 3600.0
"""Seconds by the file server's clock after which who cannot wait considers a claim dead."""

_LOOKS = 8  # at least, in LEASE seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 2.0
OWNER = ".owner"
_READER = ".reader-"
_NONCE = re.compile(r"[0-9a-f]{12}")
_LARGEST_PID = 1 << 22  # of Linux
# Who may not write a claim, or where the disk takes none, holds flock alone, and heeds others'
# claims. What is wrong with the disk is reported by the write that matters.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
_WITHOUT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS}) | _DISK


class Seen(NamedTuple):
    """A claim as found on disk: by whom (None where it cannot be read), and its time (ns)."""

    claim: Holder | None
    touched: int
    inode: int

    @property
    def nonce(self) -> str:
        """What distinguishes it from every other claim of this name."""
        return self.claim.nonce if self.claim else f"unread-{self.inode}"


class Held:
    """A claim of this process; or, with no `path`, that there could be none."""

    def __init__(self, nonce: str, path: Path | None) -> None:
        self.nonce = nonce
        self.path = path

    def release(self) -> None:
        """Gives it up. Nothing happens in a forked child, and where it was taken over."""
        if self.path is None or _ours.pop(self.nonce, None) is None:
            return
        with suppress(OSError):
            seen = read(self.path)
            if seen is not None and seen.nonce == self.nonce:
                disk.unlink(self.path)

    def require(self) -> None:
        """Raises StorageError where another process has taken it over: this one was stopped, or cut
        off from the file system, for longer than others wait."""
        if self.path is None or self.nonce not in _ours:
            return
        seen = read(self.path)
        if seen is None or seen.nonce != self.nonce:
            raise StorageError(
                "This process was stopped for so long that another one took over its lock",
                expected="a heartbeat at least every "
                f"{LEASE:g} s, by touching the file of the lock",
                found=str(seen.claim) if seen and seen.claim else "no such file any more",
                where=self.path,
                hint="nothing was published by this process; run the same command again.",
            )


_ours: dict[str, Path] = {}  # what this process holds or is about to, by nonce
_refreshing: list[threading.Thread] = []
_guard = threading.Lock()


def _drop_in_child() -> None:
    global _guard
    _ours.clear()
    _refreshing.clear()
    _guard = threading.Lock()


os.register_at_fork(after_in_child=_drop_in_child)


def acquire(lock: Path, on_wait: Callable[[str], None] | None = None) -> Held:
    """Claims `lock` for this process; waits for another that has it, after calling `on_wait` with a
    description of it.

    The caller holds the flock of the same lock: where that holds, there is no race. Raises
    `OSError`, StorageError.
    """
    held = _acquire(lock, True, on_wait)
    if held is None:
        raise RuntimeError(f"waiting for {lock} ended without it")
    return held


def acquire_now(lock: Path) -> Held | None:
    """As `acquire`, without waiting: None where another process has it."""
    return _acquire(lock, False, None)


def is_claimed(lock: Path) -> bool:
    """Whether a process claims `lock` that may be alive. Writes nothing."""
    try:
        seen = read(_beside(lock, OWNER))
    except OSError:
        return False
    if seen is None or _is_dead(seen, lock):
        return False
    if seen.claim is not None and seen.claim.is_visible:
        return True
    return time.time() - seen.touched / 1e9 < FORGOTTEN


def _acquire(lock: Path, wait: bool, on_wait: Callable[[str], None] | None) -> Held | None:
    path = _beside(lock, OWNER)
    with _Written(lock) as mine:
        patience = _Patience()
        told = False
        while not mine.appears_at(path):
            seen = read(path)
            if seen is None:
                if mine.file is None:
                    return Held(mine.nonce, None)
                continue
            if patience.is_dead(path, seen, lock) or (not wait and mine.outlived(seen)):
                if mine.file is None:
                    return Held(mine.nonce, None)
                if _removed(path, seen, mine, patience, lock):
                    continue
            if not wait:
                return None
            if on_wait is not None and not told:
                on_wait(str(seen.claim or "another process"))
                told = True
            patience.pause()
        return mine.kept(path)


def enter(lock: Path) -> Held:
    """A reader's claim of `lock`, beside those of other readers; waits for an owner to be gone.

    Who may not write there goes without. Raises `OSError` for anything else.
    """
    patience = _Patience()
    while True:
        with _Written(lock) as mine:
            path = _beside(lock, f"{_READER}{mine.nonce}")
            if not mine.appears_at(path):
                return Held(mine.nonce, None)
            held = mine.kept(path)
        # The owner looks for readers after it has made its claim, a reader for the owner after its
        # own: one of the two sees the other.
        seen = read(_beside(lock, OWNER))
        if seen is None or patience.is_dead(_beside(lock, OWNER), seen, lock):
            return held
        held.release()
        patience.pause()


def has_readers(lock: Path) -> bool:
    """Whether a reader has claimed `lock`; removes what dead ones have left. The caller owns it."""
    return _has_readers(lock, lambda path, seen: _is_dead(seen, lock))


def wait_for_readers(lock: Path) -> None:
    """Waits until no reader claims `lock`. The caller owns it, so that no other one comes."""
    pauses = _Patience()
    of_each: dict[Path, _Patience] = defaultdict(_Patience)
    while _has_readers(lock, lambda path, seen: of_each[path].is_dead(path, seen, lock)):
        pauses.pause()


def _has_readers(lock: Path, is_dead: Callable[[Path, Seen], bool]) -> bool:
    names = [one for one in disk.listing(lock.parent) if one.startswith(f"{lock.name}{_READER}")]
    if not names:
        return False
    found = False
    with _Written(lock) as mine:
        for path in (lock.parent / name for name in names):
            seen = read(path)
            if seen is not None and (is_dead(path, seen) or mine.outlived(seen)):
                with suppress(FileNotFoundError):
                    disk.unlink(path)
            elif seen is not None:
                found = True
    return found


def owner(lock: Path) -> Holder | None:
    """Who claims `lock` now; None where nobody does, or nobody that can be known."""
    try:
        seen = read(_beside(lock, OWNER))
    except OSError:
        return None
    return seen.claim if seen else None


def abandoned(folder: Path) -> Iterator[Path]:
    """Files left below a folder of locks by a process that died while it removed a dead one's
    claim: no longer needed."""
    for path in walks.files_below(folder, denied=True):
        if f"{OWNER}." in path.name:
            with suppress(OSError):
                if time.time() - path.lstat().st_mtime > FORGOTTEN:
                    yield path


def read(path: Path) -> Seen | None:
    """A claim as found on disk; None for nothing. Raises `OSError`, also where it is a link.

    The file is opened: then a client of a file server asks it for what is there now.
    """
    try:
        descriptor = disk.open_existing(path)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(descriptor)
        data = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    claim = None
    with suppress(ValueError, TypeError, RecursionError):
        claim = _stated(json.loads(data))
    return Seen(claim, found.st_mtime_ns, found.st_ino)


def _stated(value: Any) -> Holder:
    """The holder that a claim's JSON states. Raises ValueError or TypeError for anything else."""
    holder = Holder(**value)
    for each in fields(Holder):
        if type(getattr(holder, each.name)).__name__ != each.type:
            raise TypeError(each.name)
    # The nonce becomes part of a file's name, the number is given to the kernel.
    if not _NONCE.fullmatch(holder.nonce) or not 0 < holder.pid <= _LARGEST_PID:
        raise ValueError(holder)
    return holder


class _Written:
    """A claim of this process under a name of its own, for the block; it is registered as living.

    `file` is None where it could not be written.
    """

    def __init__(self, lock: Path) -> None:
        self.nonce = secrets.token_hex(6)
        self.file: Path | None = None
        self._lock = lock
        self._kept = False

    def __enter__(self) -> _Written:
        _ours[self.nonce] = self._lock
        try:
            self._write()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._kept:
            _ours.pop(self.nonce, None)
        if self.file is not None:
            try:
                with suppress(OSError):
                    disk.unlink(self.file)
            except BaseException:  # the caller gets no claim, so nothing holds one
                _ours.pop(self.nonce, None)
                raise

    def appears_at(self, path: Path) -> bool:
        """Gives the claim this name; False where there is a claim of that name already, or none of
        this process can be written."""
        while self.file is not None:
            try:
                disk.hardlink(self.file, path)
            except FileExistsError:
                # A server's answer may have been lost, and the call sent a second time.
                return _is(path, self.nonce)
            except FileNotFoundError:  # gc removed it as a leftover
                self._write()
            except OSError as error:
                if error.errno not in LACKING | {errno.EPERM}:
                    raise
                return self._created(path)
            else:
                return True
        return False

    def kept(self, path: Path) -> Held:
        """From now on the claim at `path` is held, and touched, beyond the block."""
        self._kept = True
        _ours[self.nonce] = path
        _refresh()
        return Held(self.nonce, path)

    def outlived(self, seen: Seen) -> bool:
        """Whether a claim was last touched long before this one was written, both by the clock of
        the file server."""
        if self.file is None or (seen.claim is not None and seen.claim.is_visible):
            return False
        try:
            now = os.lstat(self.file).st_mtime_ns
        except FileNotFoundError:  # gc removed it as a leftover
            return False
        return now - seen.touched > FORGOTTEN * 1e9

    def _write(self) -> None:
        path = disk.fresh(self._lock.parent, disk.TEMPORARY)
        try:
            descriptor = disk.create(path)
        except OSError as error:
            if error.errno not in _WITHOUT:
                raise
            return
        self.file = path
        try:
            disk.write(descriptor, json.dumps(asdict(this_process(self.nonce))).encode())
        except OSError as error:
            with suppress(OSError):
                disk.unlink(path)
            self.file = None
            if error.errno not in _WITHOUT:
                raise
        finally:
            os.close(descriptor)

    def _created(self, path: Path) -> bool:
        """As `appears_at`, where a file cannot have two names."""
        try:
            descriptor = disk.create(path)
        except FileExistsError:
            return False
        try:
            disk.write(descriptor, json.dumps(asdict(this_process(self.nonce))).encode())
        finally:
            os.close(descriptor)
        return _is(path, self.nonce)


class _Patience:
    """How long something has been seen as it is, by a process that waits for it."""

    def __init__(self) -> None:
        self._what: tuple[Path, str, int] | None = None
        self._since = 0.0
        self._looks = 0
        self._pause = _FIRST_PAUSE

    def is_dead(self, path: Path, seen: Seen, lock: Path) -> bool:
        """Whether a claim's process is gone: for certain, or as far as can be known by now."""
        if _is_dead(seen, lock):
            return True
        if seen.claim is not None and seen.claim.is_visible:
            return False  # it is alive
        what = path, seen.nonce, seen.touched
        now = time.monotonic()
        if what != self._what:
            self._what, self._since, self._looks = what, now, 0
        self._looks += 1
        return self._looks > _LOOKS and now - self._since > LEASE

    def pause(self) -> None:
        """Waits a little, and longer each time."""
        time.sleep(self._pause)
        self._pause = min(self._pause * 1.5, _LONGEST_PAUSE)


def _removed(path: Path, dead: Seen, mine: _Written, patience: _Patience, lock: Path) -> bool:
    """Removes a dead claim, if it is still there; False where another process does so just now."""
    rights: list[Path] = []
    nonce = dead.nonce
    while True:
        right = path.with_name(f"{path.name}.{nonce}")
        if mine.appears_at(right):
            rights.append(right)
            break
        seen = read(right)
        if seen is None:
            return True  # it was removed: look again
        if not patience.is_dead(right, seen, lock):
            return False
        rights.append(right)
        nonce = seen.nonce
    now = read(path)
    if now is not None and now.nonce == dead.nonce:
        disk.unlink(path)
    for right in reversed(rights):
        with suppress(FileNotFoundError):
            disk.unlink(right)
    return True


def _is_dead(seen: Seen, lock: Path) -> bool:
    """Whether a claim's process is gone for certain."""
    claim = seen.claim
    if claim is None or claim.nonce in _ours:
        return False
    if claim.is_visible:
        return claim.is_of_this_process or claim.is_gone()
    if not file_system_of(lock.parent).is_local:
        return False
    # On a disk of this machine: its kernel keeps flock for all of its containers, and the caller
    # has it; or the machine was started anew since.
    return claim.boot == boot() or claim.is_before_a_restart()


def _is(path: Path, nonce: str) -> bool:
    seen = read(path)
    return seen is not None and seen.nonce == nonce


def _beside(lock: Path, suffix: str) -> Path:
    return lock.with_name(f"{lock.name}{suffix}")


def _refresh() -> None:
    """Starts the thread that touches this process's claims, unless it runs."""
    with _guard:
        if not any(thread.is_alive() for thread in _refreshing):
            _refreshing[:] = [threading.Thread(target=_touch_all, name="claims", daemon=True)]
            _refreshing[0].start()


def _touch_all() -> None:
    """Touches every claim of this process, as long as there are any."""
    while True:
        time.sleep(REFRESH)
        with _guard:
            held = list(_ours.items())
            if not held:
                _refreshing.clear()
                return
        for nonce, path in held:
            with suppress(OSError):
                if _is(path, nonce):
                    disk.touch(path)
