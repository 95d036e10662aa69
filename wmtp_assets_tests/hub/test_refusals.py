"""Six refusals, six errors, each with what to do and the page to open."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest

from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import (
    BlockedError,
    HubError,
    HubRefusalError,
    NoSuchFileError,
    NoSuchRepoError,
    NoSuchRevisionError,
    NoTokenError,
    TokenWithoutAccessError,
)
from wmtp_assets.hub.retry import GaveUpError
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import CANARY, QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.world import Fault, FaultKind

REPO = RepoId("model", "org/gated")


@pytest.fixture
def no_token(loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))


def refused(into: Path, lock: Lock, repo: RepoId = REPO, revision: str = "main") -> HubError:
    with pytest.raises(HubError) as caught:
        fetch(open_hub(None, QUICK), repo, revision, [WantedFile("weights.bin")], into, lock, print)
    return caught.value


@pytest.fixture
def gated(loopback: LoopbackHub) -> LoopbackHub:
    loopback.world.commit("model", "org/gated", {"weights.bin": b"secret"}, gated=True)
    return loopback


@pytest.mark.usefixtures("no_token")
def test_no_token_for_a_gated_repository(gated: LoopbackHub, into: Path, lock: Lock) -> None:
    error = refused(into, lock)
    assert type(error) is NoTokenError
    assert "is gated, and no token was sent" in str(error)
    assert f"{gated.endpoint}/org/gated" in str(error)
    assert f"{gated.endpoint}/settings/tokens" in str(error)
    assert "HF_TOKEN" in str(error)


def test_a_token_that_was_not_let_in(gated: LoopbackHub, into: Path, lock: Lock) -> None:
    error = refused(into, lock)
    assert type(error) is TokenWithoutAccessError
    assert "accept the licence" in str(error)
    assert f"{gated.endpoint}/org/gated" in str(error)


def test_a_token_that_was_let_in_fetches(gated: LoopbackHub, into: Path, lock: Lock) -> None:
    gated.world.tokens[CANARY].add("org/gated")
    fetch(open_hub(None, QUICK), REPO, "main", [WantedFile("weights.bin")], into, lock, print)
    assert (into / REPO.folder / "weights.bin").read_bytes() == b"secret"


def test_a_token_that_the_hub_does_not_know(
    gated: LoopbackHub, into: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mistypedmistypedmistyped")
    error = refused(into, lock)
    assert type(error) is NoTokenError
    assert "does not accept this token" in str(error)
    assert "mistyped" not in str(error).replace("(mistyped, expired or revoked)", "")


def test_a_repository_that_is_blocked(gated: LoopbackHub, into: Path, lock: Lock) -> None:
    gated.world.repos["model", "org/gated"].disabled = True
    error = refused(into, lock)
    assert type(error) is BlockedError
    assert "Access to this resource is disabled" in str(error)
    assert f"{gated.endpoint}/org/gated" in str(error)


def test_no_such_repository(loopback: LoopbackHub, into: Path, lock: Lock) -> None:
    error = refused(into, lock, RepoId("dataset", "org/missing"))
    assert type(error) is NoSuchRepoError
    assert f"{loopback.endpoint}/datasets/org/missing" in str(error)


@pytest.mark.usefixtures("no_token")
def test_no_such_repository_without_a_token_mentions_that_it_may_be_private(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    error = refused(into, lock)
    assert type(error) is NoSuchRepoError
    assert "If it is private, set HF_TOKEN" in str(error)


def test_no_such_revision(gated: LoopbackHub, into: Path, lock: Lock) -> None:
    error = refused(into, lock, revision="1" * 40)
    assert type(error) is NoSuchRevisionError
    assert "1" * 40 in str(error)
    assert f"{gated.endpoint}/org/gated/commits/main" in str(error)


def test_no_such_file(loopback: LoopbackHub, into: Path, lock: Lock) -> None:
    loopback.world.commit("model", "org/gated", {"other.bin": b""})
    error = refused(into, lock)
    assert type(error) is NoSuchFileError
    assert "weights.bin" in str(error)


def test_no_refusal_is_one_that_dagster_or_we_would_try_again() -> None:
    assert not issubclass(HubRefusalError, GaveUpError)


def test_a_hub_that_cannot_be_reached_is_said_to_be_so(
    into: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(GaveUpError, match=r"Cannot reach 127\.0\.0\.1:1 \(3 times in a row\)"):
        open_hub(None, QUICK).head(REPO)


def test_offline_mode_is_said_to_be_the_reason(
    loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "is_offline_mode", lambda: True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        open_hub(None, QUICK).head(REPO)


def test_an_answer_that_is_not_json_is_not_taken_for_one(
    loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A captive portal: every address answers 200 with a page of its own.
    monkeypatch.setenv("HF_ENDPOINT", f"{loopback.endpoint}/portal")
    with pytest.raises(HubError):
        open_hub(None, QUICK).head(REPO)


@pytest.mark.parametrize("kind", ["429", "503"])
def test_a_busy_api_is_come_back_to(kind: FaultKind, loopback: LoopbackHub) -> None:
    commit = loopback.world.commit("model", "org/gated", {"weights.bin": b""})
    loopback.world.faults["org/gated"] = Fault(kind, times=2)
    assert open_hub(None, QUICK).head(REPO) == commit
