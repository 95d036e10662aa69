"""Rounds of what a bucket must withstand; the tests run a few of each, the benchmark all of them.

As a program, `python -m benchmarks.bucket.rounds push|pull ROOT URL LOG [AFTER [one-by-one]]` moves
a storage, writes the size of every piece that it sends or asks for to LOG, and kills itself after
AFTER of them.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

from wmtp_assets.bucket import Bucket, BucketError, Head, verify
from wmtp_assets_tests.bucket.small import Small, small

REPOSITORY = Path(__file__).parents[2]


def races(bucket: Bucket, count: int) -> int:
    """Of so many races of two writers for the next edition, those that had exactly one winner, whom
    readers then see."""
    barrier = Barrier(2)

    def publish(name: str, after: int) -> Head | None:
        barrier.wait()
        return Head.publish(bucket, name, after)

    good = 0
    with ThreadPoolExecutor(2) as pool:
        for after in range(count):
            won = [one for one in pool.map(publish, ("a" * 64, "b" * 64), (after, after)) if one]
            good += len(won) == 1 and Head.latest(bucket) == won[0]
    return good


def flips(url: str, folder: Path, count: int, seed: object, size: int = 5000) -> list[str]:
    """Flips so many bits in the bucket at `url`, one at a time, each object in turn, where a
    storage was pushed whose largest file has `size` bytes; says which
    were not found both by verifying and by a pull, or were pulled all the same."""
    bucket, draw = Bucket(url, make=True), random.Random(str(seed))
    small(folder / "storage", size).push(url)
    keys = [key for key, stat in bucket.listing("").items() if stat.size]
    missed = []
    for number in range(count):
        key = keys[number % len(keys)]
        before = bucket.get(key)
        assert before is not None
        position = draw.randrange(len(before))
        flipped = bytearray(before)
        flipped[position] ^= 1 << draw.randrange(8)
        bucket.put(key, bytes(flipped))
        fresh = Small(folder / f"pulled-{number}")
        verified, pulled = (
            _found(lambda: verify(bucket).wrong),
            _found(partial(fresh.pull_wrong, url)),
        )
        if not (verified and pulled) or (fresh.root / "published").exists():
            missed.append(f"byte {position} of {key}")
        bucket.put(key, before)
    assert verify(bucket).sound
    return missed


def _found(look: Callable[[], object]) -> bool:
    """Whether something is found to be wrong, or a record to be damaged."""
    try:
        return bool(look())
    except BucketError as error:
        return "damaged" in str(error)


def killed(
    what: str, root: Path, url: str, log: Path, after: int, *, one_by_one: bool = False
) -> None:
    """Pushes or pulls in a process of its own, which kill -9 ends when it sends or asks for the
    piece after `after`; `one_by_one`: when all before that have arrived."""
    done = _moved(what, root, url, log, str(after), *(["one-by-one"] if one_by_one else []))
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def resumed(what: str, root: Path, url: str, log: Path) -> int:
    """The same command to its end; the bytes of all pieces that both sent or asked for."""
    done = _moved(what, root, url, log)
    assert done.returncode == 0, done.stderr.decode()
    return sum(map(int, log.read_text().split()))


def _moved(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "benchmarks.bucket.rounds", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, check=False, capture_output=True)


def main(what: str, root: str, url: str, log: str, after: str = "", order: str = "") -> None:
    name = {"push": "put", "pull": "get"}[what]
    real, count, counting = getattr(Bucket, name), 0, Lock()
    moving = Lock() if order else nullcontext()
    record = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def counted(self: Bucket, key: str, *rest: Any, **more: Any) -> object:
        nonlocal count
        with moving:
            if key.startswith("objects/"):
                with counting:
                    count += 1
                    if after and count > int(after):
                        os.kill(os.getpid(), signal.SIGKILL)
                    size = len(rest[0]) if what == "push" else more["most"]
                    os.write(record, b"%d\n" % size)
            return real(self, key, *rest, **more)

    setattr(Bucket, name, counted)
    getattr(Small(Path(root)), what)(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
