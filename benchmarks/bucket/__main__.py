"""What buckets hold to, in a folder (file://) and in a real S3 server on loopback (swift).

Prints a line of JSON per figure, {"name", "value", "bar", "ok"}; exits 1 when a bar is missed.
SIZE= (bytes of the storage, default 1e9), ROUNDS= (default 3), RACES= (1000), FLIPS= (200), TMPDIR
as usual. Needs three times SIZE on the disk.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bucket import rounds
from benchmarks.measure import forget, run
from benchmarks.report import Report
from wmtp_assets.bucket import Bucket
from wmtp_assets.bucket.edition import PIECE
from wmtp_assets_tests.bucket import s3_server
from wmtp_assets_tests.bucket.small import Small, small

SPEED_BAR = 0.9  # of the throughput of a plain put of the same files
MEMORY_BAR = 200.0  # MB
AGAIN_BAR = 1.1  # of the bytes, with one kill -9


def main() -> int:
    size = int(float(os.environ.get("SIZE", "1e9")))
    with tempfile.TemporaryDirectory(prefix="bench-bucket-") as name, ExitStack() as held:
        folder = Path(name)
        report = Report()
        bases = {"file": f"file://{folder}/bucket"}
        if s3_server.is_installed():
            os.environ.update(held.enter_context(s3_server.served(folder / "s3")))
            bases["s3"] = f"s3://{s3_server.BUCKET}"
        else:
            print(f"no s3://: there is no swift in {s3_server.FOLDER}", file=sys.stderr)
        made = small(folder / "storage", size)
        for kind, base in bases.items():
            counts(report, kind, base, folder / f"counts-{kind}")
            kills(report, kind, base, made, folder / f"kills-{kind}")
            speed(report, kind, base, made, folder / f"speed-{kind}")
    return 0 if report.ok else 1


def counts(report: Report, kind: str, base: str, folder: Path) -> None:
    """Races and flips."""
    number = int(os.environ.get("RACES", "1000"))
    won = rounds.races(Bucket(f"{base}/races", make=True), number)
    report.figure(f"{kind}: races with one winner, of {number}", won, number, least=True)
    number = int(os.environ.get("FLIPS", "200"))
    missed = rounds.flips(f"{base}/flips", folder, number, time.time_ns(), PIECE + 1)
    found = number - len(missed)
    report.figure(f"{kind}: flips found, of {number}", found, number, least=True)
    for one in missed:
        print(f"not found: {one}", file=sys.stderr)


def kills(report: Report, kind: str, base: str, made: Small, folder: Path) -> None:
    """kill -9 at a piece that is drawn, then the same command again; then once more."""
    url = f"{base}/kills"
    folder.mkdir()
    total = sum(made.edition()[0].contents().values())
    for what, root in (("push", made.root), ("pull", folder / "pulled")):
        log = folder / f"{what}.log"
        rounds.killed(what, root, url, log, random.randrange(1, total // PIECE))
        ratio = rounds.resumed(what, root, url, log) / total
        name = f"{kind}: bytes of a {what} with one kill -9, to those of the files"
        report.figure(name, ratio, AGAIN_BAR)
        log.unlink()
        again = rounds.resumed(what, root, url, log)
        report.figure(f"{kind}: bytes of a {what} of what is there", again, 0)
    empty(url)


def speed(report: Report, kind: str, base: str, made: Small, folder: Path) -> None:
    """Interleaved: the push, and obstore's put of the same files; memory of each command."""
    times: dict[str, list[float]] = {}
    memory: dict[str, float] = {}
    for turn in range(int(os.environ.get("ROUNDS", "3"))):
        urls = {way: f"{base}/speed-{way}-{turn}" for way in ("push", "plain")}
        urls |= {"verify": urls["push"], "pull": urls["push"]}
        pulled = folder / f"pulled-{turn}"
        for way in ("push", "plain", "verify", "pull"):
            forget(made.root)
            root = pulled if way == "pull" else made.root
            done = run(["benchmarks.bucket.ways", way, str(root), urls[way]])
            times.setdefault(way, []).append(done.wall)
            memory[way] = max(memory.get(way, 0.0), done.peak_mb)
        for url in set(urls.values()):
            empty(url)
        shutil.rmtree(pulled)
    ratio = statistics.median(
        plain / ours for plain, ours in zip(times["plain"], times["push"], strict=True)
    )
    name = f"{kind}: throughput of a push, to obstore's put of the same files"
    report.figure(name, ratio, SPEED_BAR, least=True)
    for way in ("push", "pull", "verify"):
        name = f"{kind}: MB of memory of {way}"
        report.figure(name, memory[way], MEMORY_BAR)
    for way, some in times.items():
        report.figure(f"{kind}: seconds of {way}", statistics.median(some))


def empty(url: str) -> None:
    """Removes what is in a bucket."""
    bucket = Bucket(url, make=True)
    bucket.remove(bucket.listing(""))


if __name__ == "__main__":
    sys.exit(main())
