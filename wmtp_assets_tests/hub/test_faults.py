"""Every fault on every kind of file, from the Hub and from a directory.

After each: under the name stand the right bytes, or the old ones, or nothing; the token is
nowhere; a call without the fault converges; nothing is left lying about.
"""

from __future__ import annotations

import logging
import random
import shutil
import traceback
from collections.abc import Sequence
from pathlib import Path

import pytest

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub import transfer
from wmtp_assets.hub.fetch import DigestMismatchError, fetch
from wmtp_assets.hub.files import Fetched, RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import (
    BlockedError,
    HubError,
    NoSuchFileError,
    NoSuchRepoError,
    NoSuchRevisionError,
    NoTokenError,
    TokenWithoutAccessError,
)
from wmtp_assets.hub.retry import GaveUpError
from wmtp_assets.hub.source import open_hub
from wmtp_assets.hub.transfer import ChangingUpstreamError
from wmtp_assets_tests.hub.conftest import CANARY, QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.secrets import leaking_files, leaks
from wmtp_assets_tests.hub.world import Fault, FaultKind

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

#: What each fault must come to when it does not go away: the error, or None for the right bytes.
LASTING: dict[FaultKind, type[WmtpError] | None] = {
    "401": NoTokenError,
    "403 gated": TokenWithoutAccessError,
    "403 bare": BlockedError,
    "404 repo": NoSuchRepoError,
    "404 revision": NoSuchRevisionError,
    "404 file": NoSuchFileError,
    "404 bare": NoSuchFileError,
    "500 on HEAD": GaveUpError,
    "stall on HEAD": GaveUpError,
    "another commit": HubError,
    "no commit": HubError,
    "size that lies": HubError,
    "flip": DigestMismatchError,
    "truncate": GaveUpError,
    "short": DigestMismatchError,
    "overrun": DigestMismatchError,
    "long": DigestMismatchError,
    "reset": GaveUpError,
    "stall": GaveUpError,
    "trickle": GaveUpError,
    "416": None,
    "range ignored": None,
    "429": GaveUpError,
    "503": GaveUpError,
    "expired": GaveUpError,
    "new etag": GaveUpError,
    "replaced": ChangingUpstreamError,
    "gzip": HubError,
}
#: Faults that a single try gets over by itself when they happen once.
HEALS = {
    "500 on HEAD", "stall on HEAD", "flip", "truncate", "short", "overrun",
    "long", "reset", "stall", "416", "range ignored", "429", "503", "expired", "new etag",
}  # fmt: skip
#: Faults of bytes leave an empty file alone: there is nothing to ask for.
OF_BYTES = {
    "flip", "truncate", "short", "overrun", "long", "reset", "stall", "trickle", "416",
    "range ignored", "429", "503", "expired", "new etag", "replaced", "gzip",
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file of a megabyte go the way of one of gigabytes: many pieces, several connections."""
    monkeypatch.setattr(transfer, "_PARALLEL_FROM", 1 << 20)
    monkeypatch.setattr(transfer, "_PIECE", 256 << 10)


def attempt(into: Path, lock: Lock, path: str, log: list[str]) -> list[Fetched] | WmtpError:
    """One call, on a Hub opened for it, and its outcome."""
    try:
        return fetch(
            open_hub(None, QUICK), REPO, "main", [WantedFile(path)], into, lock, log.append
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


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("kind", LASTING)
def test_a_lasting_fault_ends_in_its_own_error_and_a_later_call_converges(
    kind: FaultKind,
    path: str,
    loopback: LoopbackHub,
    into: Path,
    lock: Lock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    loopback.world.commit("model", "org/name", FILES, lfs=(".bin", ".model"))
    old = into / REPO.folder / path
    old.parent.mkdir(parents=True)
    old.write_bytes(b"what stood here before")
    right = FILES[path]
    loopback.world.faults[path] = Fault(kind)  # at byte 0: no try makes any progress

    log: list[str] = []
    outcome = attempt(into, lock, path, log)

    expected = LASTING[kind]
    if kind == "expired" and not path.endswith((".bin", ".model")):
        expected = None  # kept in git: no storage host, no signed address
    if kind == "replaced" and path != "config.json":
        expected = GaveUpError  # by then only the SHA-256 is believed, and no byte arrives
    if kind == "short" and path == "weights.bin":
        expected = GaveUpError  # a partial answer that is too short looks like a broken line
    if not right and kind in OF_BYTES:
        expected = None
    if expected is None:
        assert isinstance(outcome, list), outcome
        check_standing(into, path, [right])
    else:
        assert type(outcome) is expected, outcome
        check_standing(into, path, [b"what stood here before"])
        assert lock.file(REPO, path) is None
    assert_nowhere(CANARY, outcome, [*log, caplog.text], into.parent)

    loopback.world.faults.clear()
    right = loopback.world.files("model", "org/name")[path].read(0, 1 << 30)
    converges(into, lock, path, right)


@pytest.mark.parametrize("path", [path for path, data in FILES.items() if data])
@pytest.mark.parametrize("kind", sorted(HEALS))
def test_a_fault_that_happens_once_is_got_over_in_the_same_call(
    kind: FaultKind, path: str, loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    right = FILES[path]
    loopback.world.commit("model", "org/name", FILES, lfs=(".bin", ".model"))
    loopback.world.faults[path] = Fault(kind, times=1, at=len(right) // 10)
    log: list[str] = []
    outcome = attempt(into, lock, path, log)
    assert isinstance(outcome, list), (outcome, log)
    assert files_under(into) == {f"{REPO.folder}/{path}": right}
    if kind == "expired" and not path.endswith((".bin", ".model")):
        return
    if kind in ("416", "range ignored") and path != "weights.bin":
        return  # a whole small file is asked for without a range
    if kind in ("range ignored", "short") and path == "weights.bin" and not log:
        return
    assert log, "what was got over is told"


@pytest.mark.parametrize("path", [path for path, data in FILES.items() if data])
@pytest.mark.parametrize("kind", ["reset", "stall", "truncate", "429", "503"])
def test_what_had_arrived_before_a_break_is_not_fetched_again(
    kind: FaultKind, path: str, loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    right = FILES[path]
    loopback.world.commit("model", "org/name", FILES, lfs=(".bin", ".model"))
    loopback.world.faults[path] = Fault(kind, times=2, at=len(right) // 10)
    outcome = attempt(into, lock, path, [])
    assert isinstance(outcome, list), outcome
    assert (into / REPO.folder / path).read_bytes() == right
    assert outcome[0].received == len(right)
    assert outcome[0].retries >= 1


def test_a_line_that_breaks_again_and_again_but_moves_is_not_given_up_on(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults["sub/folder/tokenizer.model"] = Fault("reset", at=5_000)
    outcome = attempt(into, lock, "sub/folder/tokenizer.model", [])
    assert isinstance(outcome, list), outcome
    assert outcome[0].retries == 90_001 // 5_000 > QUICK.tries


def test_an_etag_that_changes_midway_drops_the_partial_and_says_so(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    path = "sub/folder/tokenizer.model"
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults[path] = Fault("new etag", times=1, at=40_000)
    log: list[str] = []
    outcome = attempt(into, lock, path, log)
    assert isinstance(outcome, list), outcome
    assert [line for line in log if "dropped" in line and "ETag changed from" in line]
    ranged = [seen for seen in loopback.world.bodies(path) if seen.if_range]
    assert ranged, "a resume names what it resumes"


def test_a_host_whose_etags_are_never_twice_the_same_is_held_to_the_digest(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    path = "weights.bin"
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults[path] = Fault("new etag", at=50_000)
    outcome = attempt(into, lock, path, [])
    assert isinstance(outcome, list), outcome
    assert (into / REPO.folder / path).read_bytes() == FILES[path]


def test_a_file_that_is_replaced_midway_is_never_spliced_from_both(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    path = "sub/folder/tokenizer.model"
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults[path] = Fault("replaced", times=1, at=40_000)
    outcome = attempt(into, lock, path, [])
    assert isinstance(outcome, HubError)
    check_standing(into, path, [None])
    converges(into, lock, path, FILES[path][::-1])


def test_a_commit_that_moves_between_two_calls_drops_the_partial_and_says_so(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    path = "sub/folder/tokenizer.model"
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults[path] = Fault("stall", at=40_000)
    loopback.world.faults[path].times = 1
    # Stop after the first break: the second answer is a refusal.
    first = attempt_then_refuse(loopback, into, lock, path)
    assert isinstance(first, WmtpError)
    loopback.world.faults.clear()
    new = FILES | {path: FILES[path][::-1]}
    loopback.world.commit("model", "org/name", new)
    log: list[str] = []
    outcome = attempt(into, lock, path, log)
    assert isinstance(outcome, list)
    assert [line for line in log if "dropped: upstream's commit changed" in line]
    assert outcome[0].resumed_from == 0
    assert files_under(into) == {f"{REPO.folder}/{path}": new[path]}


def attempt_then_refuse(
    loopback: LoopbackHub, into: Path, lock: Lock, path: str
) -> list[Fetched] | WmtpError:
    """A call whose line breaks after `at` bytes and is then answered 403 for good."""

    def refuse(line: str) -> None:
        if "trying again" in line:
            loopback.world.faults[path] = Fault("403 bare")

    try:
        return fetch(open_hub(None, QUICK), REPO, "main", [WantedFile(path)], into, lock, refuse)
    except WmtpError as error:
        return error


def test_the_next_call_continues_where_a_failed_one_ended(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    path = "sub/folder/tokenizer.model"
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults[path] = Fault("reset", times=1, at=40_000)
    first = attempt_then_refuse(loopback, into, lock, path)
    assert isinstance(first, BlockedError)
    loopback.world.faults.clear()
    log: list[str] = []
    outcome = attempt(into, lock, path, log)
    assert isinstance(outcome, list)
    assert outcome[0].resumed_from == 40_000
    assert outcome[0].received == len(FILES[path]) - 40_000
    assert [line for line in log if "continues from 40,000 of 90,001 bytes" in line]
    assert files_under(into) == {f"{REPO.folder}/{path}": FILES[path]}


def test_a_mismatch_is_put_aside_and_fetched_once_more_before_it_fails(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    path = "weights.bin"
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults[path] = Fault("flip")
    outcome = attempt(into, lock, path, [])
    assert isinstance(outcome, DigestMismatchError)
    assert str(outcome.expected) in str(outcome)
    assert str(outcome.found) in str(outcome)
    (kept,) = (into / ".quarantine" / REPO.folder).iterdir()
    assert str(kept) in str(outcome)
    assert len(kept.read_bytes()) == len(FILES[path])
    assert kept.read_bytes() != FILES[path]
    assert sum(seen.sent for seen in loopback.world.bodies(path)) == 2 * len(FILES[path])


def test_retry_after_is_waited_for(loopback: LoopbackHub, into: Path, lock: Lock) -> None:
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults["config.json"] = Fault("429", times=1, retry_after="0.7")
    outcome = attempt(into, lock, "config.json", [])
    assert isinstance(outcome, list)
    assert outcome[0].seconds >= 0.7
    assert outcome[0].retries == 1


def test_a_retry_after_beyond_patience_is_told_at_once(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults["config.json"] = Fault("429", retry_after="3600")
    outcome = attempt(into, lock, "config.json", [])
    assert isinstance(outcome, GaveUpError)
    assert "come back in 3600 s" in str(outcome)
    asked = [s for s in loopback.world.seen if s.method == "GET" and s.path.endswith("config.json")]
    assert len(asked) == 1


@pytest.mark.parametrize("kind", ["401", "403 gated", "403 bare", "404 repo", "404 file"])
def test_a_refusal_is_asked_once_only(
    kind: FaultKind, loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults["config.json"] = Fault(kind)
    assert isinstance(attempt(into, lock, "config.json", []), WmtpError)
    asked = [seen for seen in loopback.world.seen if seen.path.endswith("config.json")]
    assert len(asked) == 1


def test_a_stall_is_called_one(loopback: LoopbackHub, into: Path, lock: Lock) -> None:
    loopback.world.commit("model", "org/name", FILES)
    loopback.world.faults["config.json"] = Fault("stall", at=100)
    outcome = attempt(into, lock, "config.json", [])
    assert "The connection stalled: no byte for 0.4 s (3 times in a row)" in str(outcome)


class TestDirectory:
    """The same engine, from a folder: the faults that a disk has."""

    @pytest.fixture
    def mirror(self, loopback: LoopbackHub, tmp_path: Path) -> Path:
        """A mirror with a record of its digests."""
        root = tmp_path / "mirror"
        loopback.world.commit("model", "org/name", FILES, lfs=(".bin", ".model"))
        wanted = [WantedFile(path) for path in FILES]
        fetch(open_hub(None, QUICK), REPO, "main", wanted, root, Lock(root / "assets.lock"), print)
        return root

    @pytest.mark.parametrize("path", [path for path, data in FILES.items() if data])
    @pytest.mark.parametrize("kind", ["flip", "shorter", "longer", "gone"])
    def test_a_spoiled_mirror_is_found_out(
        self, kind: str, path: str, mirror: Path, into: Path, lock: Lock
    ) -> None:
        file = mirror / REPO.folder / path
        right = file.read_bytes()
        spoiled = {
            "flip": right[:-1] + bytes([right[-1] ^ 1]),
            "shorter": right[:-1],
            "longer": right + b"!",
        }
        if kind == "gone":
            file.unlink()
        else:
            file.write_bytes(spoiled[kind])
        hub = open_hub(str(mirror), QUICK)
        error = {"gone": NoSuchFileError, "flip": DigestMismatchError}.get(kind, HubError)
        with pytest.raises(error):
            fetch(hub, REPO, "main", [WantedFile(path)], into, lock, print)
        check_standing(into, path, [None])
        file.write_bytes(right)
        (fetched,) = fetch(hub, REPO, "main", [WantedFile(path)], into, lock, print)
        assert files_under(into) == {f"{REPO.folder}/{path}": right}
        assert fetched.size == len(right)

    def test_a_folder_without_a_record_is_held_to_the_catalogs_digests(
        self, mirror: Path, into: Path, lock: Lock
    ) -> None:
        (mirror / "assets.lock").unlink()
        held = open_hub(str(mirror), QUICK)
        wanted = [WantedFile("config.json", sha256="0" * 64)]
        with pytest.raises(DigestMismatchError):
            fetch(held, REPO, "main", wanted, into, lock, print)
        shutil.rmtree(into)
        fetch(held, REPO, "any", [WantedFile("config.json")], into, lock, print)
        assert files_under(into) == {f"{REPO.folder}/config.json": FILES["config.json"]}
        assert lock.commit(REPO) == "directory"
