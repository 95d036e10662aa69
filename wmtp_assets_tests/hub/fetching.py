"""One fetch against the loopback Hub, and what is looked at after every one."""

from __future__ import annotations

import random
import traceback
from collections.abc import Sequence
from pathlib import Path

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import Fetched, RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.retry import Policy
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.secrets import leaking_files, leaks

REPO = RepoId("model", "org/name")
_RANDOM = random.Random(5)

#: One of each kind: kept in git (no SHA-256 upstream), empty, in LFS behind a redirect (fetched
#: over one connection), and in LFS and large (many pieces over several connections).
FILES = {
    "config.json": _RANDOM.randbytes(3_000),
    "empty.txt": b"",
    "sub/folder/tokenizer.model": _RANDOM.randbytes(90_001),
    "weights.bin": _RANDOM.randbytes(1_200_007),
}


def attempt(
    into: Path, lock: Lock, path: str, log: list[str], policy: Policy = QUICK
) -> list[Fetched] | WmtpError:
    """One call, on a Hub opened for it, and its outcome."""
    try:
        return fetch(
            open_hub(None, policy), REPO, "main", [WantedFile(path)], into, lock, log.append
        )
    except WmtpError as error:
        return error


def files_under(root: Path) -> dict[str, bytes]:
    """All files that lie there, apart from the records."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in ("assets.lock",)
    }


def assert_nowhere(secret: str, outcome: object, log: Sequence[str], root: Path) -> None:
    """No piece of the secret is in a message, log line, crash report with locals, or file."""
    told = [str(outcome), repr(outcome), *log]
    if isinstance(outcome, BaseException):
        report = traceback.TracebackException.from_exception(outcome, capture_locals=True)
        told += list(report.format())
    assert leaks(secret, told) == []
    assert leaking_files(secret, root) == []


def check_standing(into: Path, path: str, allowed: Sequence[bytes | None]) -> None:
    target = into / REPO.folder / path
    assert (target.read_bytes() if target.exists() else None) in allowed


def converges(into: Path, lock: Lock, path: str, right: bytes) -> None:
    """A call without the fault ends with the right bytes, and nothing else."""
    outcome = attempt(into, lock, path, [])
    assert isinstance(outcome, list), outcome
    assert files_under(into) == {f"{REPO.folder}/{path}": right}
    assert not [p for p in into.rglob(".*") if p.name in (".partial", ".quarantine")]
    held = lock.file(REPO, path)
    assert held is not None
    assert (held.size, held.sha256) == (len(right), outcome[0].sha256)
