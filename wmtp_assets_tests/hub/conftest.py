"""A loopback Hub for the whole session, a fresh world and a canary token for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from wmtp_assets.hub import doctor, transfer
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.retry import Policy
from wmtp_assets_tests.hub.loopback import LoopbackHub, serving
from wmtp_assets_tests.hub.world import World

CANARY = "hf_CANARYcanaryCANARYcanaryCANARYcanary"

#: Waits little between tries, and takes no answer of a loaded machine for a stall.
QUICK = Policy(
    tries=3, first_wait=0.01, widest_wait=0.05, longest_wait=1.0, connect=300, stall=300, answer=300
)
#: For what never answers. On a loaded machine it may take right answers for stalls, too.
IMPATIENT = replace(QUICK, connect=2.0, stall=0.4, answer=1.0)


@pytest.fixture(scope="session")
def running() -> Iterator[LoopbackHub]:
    with serving(World()) as hub:
        yield hub


@pytest.fixture
def loopback(running: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LoopbackHub:
    """The running Hub with nothing in it, and an environment that points at it."""
    running.world = World()  # what the server still does for an earlier test is not seen here
    running.world.tokens[CANARY] = set()
    monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
    monkeypatch.setenv("HF_TOKEN", CANARY)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    huggingface_hub.close_session()
    return running


@pytest.fixture(autouse=True)
def patient_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may let every server here wait."""
    monkeypatch.setattr(
        doctor, "_HURRIED", replace(doctor._HURRIED, connect=300, stall=300, answer=300)
    )
    monkeypatch.setattr(doctor, "_DEADLINE", 1200.0)


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    return Lock(tmp_path / "storage" / "assets.lock")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "storage" / "upstream"


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file of a megabyte go the way of one of gigabytes: many pieces, several connections."""
    monkeypatch.setattr(transfer, "_PARALLEL_FROM", 1 << 20)
    monkeypatch.setattr(transfer, "_PIECE", 256 << 10)
    monkeypatch.setattr(transfer, "_JUDGE_AFTER", 0.0)
    monkeypatch.setattr(transfer, "_FAST", float("inf"))
