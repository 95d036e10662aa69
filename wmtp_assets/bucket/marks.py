"""Who is at work in a bucket: `wmtp gc` must not remove what a push counts on, nor the other way,
and of those who publish each waits for its turn.

Each writes a mark of its own, and then looks for marks of others. So of two at least one sees the
other, and does not begin. A mark that was not renewed for a day, or in the way of a turn for a
minute, is a killed process's.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.place import Bucket, Stat
from wmtp_assets.errors import one_line
from wmtp_assets.interrupts import before_ending
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.receipts import host

FOLDER = "at-work"
FORGOTTEN = timedelta(days=1)
_RENEWED = 3600.0  # seconds
TURN = timedelta(minutes=1)
"""After which a turn is over: it takes one request with a few hundred bytes."""
_COMMANDS = {"push": "wmtp push", "plain": "wmtp push --layout plain", "gc": "wmtp gc"}
_KEY = re.compile(rf"{FOLDER}/({'|'.join(_COMMANDS)})-[0-9a-f]{{16}}\.json")
_LONGEST = 4096  # bytes of a mark that are looked at


class Mark:
    """One process's mark, which keeps those out that do one of `against`; it runs `command`."""

    def __init__(
        self, bucket: Bucket, kind: str, against: Sequence[str] = (), command: str = ""
    ) -> None:
        self._bucket, self._against = bucket, against
        self._command = command or _COMMANDS.get(kind, kind)
        self.key = f"{FOLDER}/{kind}-{secrets.token_hex(8)}.json"
        self._put()

    def renew(self) -> None:
        """Once an hour, `require`; it may be called as often as one likes."""
        if _clock() - self._written > _RENEWED:
            self.require()

    def require(self) -> None:
        """Writes the mark anew. Raises BucketError where it has expired, so that others may
        have done what it should have kept them from: this process, or its machine, was stopped."""
        old = self._bucket.listing(FOLDER).get(self.key)
        self._put()
        # Both times are the bucket's: this machine's clock may be wrong, or have stood still.
        if old is None or self.seen()[self.key].modified - old.modified >= FORGOTTEN:
            raise BucketError(
                f"`{self._command}` was stopped for so long that its mark in the "
                "bucket expired, and has ended",
                expected="a mark that was renewed every hour",
                found="none" if old is None else f"one of {old.modified:%Y-%m-%d %H:%M} UTC",
                where=f"{self._bucket.url.rstrip('/')}/{self.key}",
                hint="run it again: what is there is not sent again.",
            )
        self.require_alone()

    def require_alone(self) -> None:
        """Raises BucketError where somebody is doing what this mark is `against`."""
        for kind in self._against:
            for key, stat in self.others(kind, FORGOTTEN).items():
                renewed = f"{stat.modified:%Y-%m-%d %H:%M:%S} UTC"
                until = f"{stat.modified + FORGOTTEN:%Y-%m-%d %H:%M:%S} UTC"
                raise BucketError(
                    f"`{_COMMANDS[kind]}` is running on this bucket, so "
                    f"`{self._command}` was not started",
                    found=f"its mark, of {_process(self._bucket, key)}, renewed {renewed}",
                    where=f"{self._bucket.url.rstrip('/')}/{key}",
                    hint="run it again when that has ended. If it was killed, `wmtp gc "
                    f"{shlex.quote(self._bucket.url)} --ended {key}` removes its mark, which "
                    f"otherwise expires at {until}.",
                )

    def others(self, kind: str, forgotten: timedelta) -> dict[str, Stat]:
        """Other marks of `kind` that were renewed less than `forgotten` before this was written."""
        marks = self.seen()
        here = marks.pop(self.key).modified
        return {
            key: stat
            for key, stat in marks.items()
            if key.startswith(f"{FOLDER}/{kind}-") and here - stat.modified < forgotten
        }

    def seen(self) -> dict[str, Stat]:
        """All marks. Raises BucketError where this one is not among them: then others are not, too,
        and nobody is kept from anything."""
        marks = self._bucket.listing(FOLDER)
        if self.key not in marks:
            raise BucketError(
                "The bucket does not list an object that was just written",
                expected=f"{self.key}, which this process has just written",
                found=f"{len(marks)} others",
                where=f"{self._bucket.url.rstrip('/')}/{FOLDER}",
                hint="run it again, unless somebody removes marks of running commands. A "
                "store whose listings lag behind its writes cannot be used.",
            )
        return marks

    def remove(self) -> None:
        """Removes the mark. Where the bucket refuses, it stays until it expires: what was
        done is done, and what went wrong before is what is to be reported."""
        with suppress(BucketError):
            self._bucket.remove([self.key])

    def _put(self) -> None:
        self._bucket.put(self.key, json_bytes({"host": host(), "process": os.getpid()}))
        self._written = _clock()


def remove_mark(bucket: Bucket, key: str) -> None:
    """Removes the mark of a process that was killed. One that lives, or awakes, ends when it looks
    at its mark next: before it publishes, and before each thousand objects that it removes.

    Raises BucketError where there is none of this key.
    """
    marks = [one for one in bucket.listing(FOLDER) if _KEY.fullmatch(one)]
    if key not in marks:
        raise BucketError(
            "There is no such mark of a process at work",
            expected=f"one of {', '.join(marks)}" if marks else "none: nobody is at work",
            found=one_line(key),
            where=bucket.url,
            hint="give the key that the refusal names, or leave --ended out.",
        )
    bucket.remove([key])


def _process(bucket: Bucket, key: str) -> str:
    """Whose mark this is, as far as it says."""
    try:
        value = json.loads(bucket.get(key, _LONGEST) or b"")
        return one_line(f"process {value['process']} on {value['host']}")
    except (ValueError, KeyError, TypeError, RecursionError):
        return "a process that it does not name"


@contextmanager
def at_work(bucket: Bucket, kind: str, against: Sequence[str], command: str = "") -> Iterator[Mark]:
    """Marks this process, which runs `command`, as doing `kind` for the block. Raises BucketError
    where another one is doing one of `against`."""
    mark = Mark(bucket, kind, against, command)
    try:
        with before_ending(mark.remove):
            mark.require_alone()
            yield mark
    finally:
        mark.remove()


@contextmanager
def alone(bucket: Bucket, kind: str) -> Iterator[None]:
    """For the block, this process is the only one that is doing `kind` in this bucket; it waits for
    its turn, after one that was killed in its own for `TURN`.

    Whoever finds no other mark beside its own goes on, and whoever comes later finds that mark. Of
    those who find each other, the one whose mark sorts first waits, and the others withdraw.
    """
    while True:
        mark = Mark(bucket, kind)
        try:
            for _ in range(100):
                others = mark.others(kind, TURN)
                if not others:
                    with before_ending(mark.remove):
                        yield
                    return
                if min(others) < mark.key:
                    break
                time.sleep(0.01)
        finally:
            mark.remove()
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - no secret


def _clock() -> float:
    """Seconds that also count while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
