"""What is kept of a broken fetch, what is dropped, and what a person is told of either."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.fetch import DigestMismatchError, fetch
from wmtp_assets.hub.files import Fetched, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import (
    BlockedError,
    HubError,
)
from wmtp_assets.hub.retry import GaveUpError
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.fetching import (
    FILES,
    REPO,
    attempt,
    check_standing,
    converges,
    files_under,
)
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.world import Fault, FaultKind

pytestmark = pytest.mark.usefixtures("small_pieces")


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
    loopback.world.faults[path] = Fault("reset", times=1, at=40_000)
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


def test_a_retry_after_beyond_the_policy_is_reported_at_once(
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
    loopback.world.faults["config.json"] = Fault("stall")
    policy = replace(QUICK, tries=2, stall=0.8)
    outcome = attempt(into, lock, "config.json", [], policy)
    assert "The connection stalled: no byte for 0.8 s (2 times in a row)" in str(outcome)
