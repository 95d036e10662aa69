"""What the public Hub does beyond the plain case: Xet-backed files, signed addresses elsewhere.

It announces chunked storage to clients that know it, in headers of the same answers that redirect
everybody else. Bytes are fetched by plain HTTP all the same: the SHA-256 is the file's own, and
the stock client's chunks would go past the verification.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from huggingface_hub import get_hf_file_metadata, hf_hub_url

from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import CANARY, QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.world import Fault, FaultKind

REPO = RepoId("model", "org/name")
WEIGHTS = random.Random(3).randbytes(300_000)


@pytest.fixture
def commit(loopback: LoopbackHub) -> str:
    loopback.world.xet = True
    return loopback.world.commit("model", "org/name", {"weights.bin": WEIGHTS, "config.json": b"1"})


def test_the_loopback_hub_announces_xet_so_that_the_stock_client_would_follow(
    loopback: LoopbackHub, commit: str
) -> None:
    url = hf_hub_url("org/name", "weights.bin", revision=commit, endpoint=loopback.endpoint)
    told = get_hf_file_metadata(url, endpoint=loopback.endpoint, timeout=300)
    assert told.xet_file_data is not None
    assert told.xet_file_data.refresh_route.startswith(loopback.storage)


@pytest.mark.parametrize("fault", [None, "reset", "expired", "503"])
def test_a_xet_backed_file_is_fetched_verified_and_resumed_by_plain_http(
    fault: FaultKind | None, loopback: LoopbackHub, commit: str, into: Path, lock: Lock
) -> None:
    if fault is not None:
        loopback.world.faults["weights.bin"] = Fault(fault, times=1, at=100_000)
    wanted = [WantedFile("weights.bin"), WantedFile("config.json")]
    weights, _ = fetch(open_hub(None, QUICK), REPO, commit, wanted, into, lock, print)
    assert (into / REPO.folder / "weights.bin").read_bytes() == WEIGHTS
    assert weights.received == len(WEIGHTS)
    assert weights.retries == (fault is not None)
    # Nobody went where the announcement points, and the storage host never saw the token.
    asked = {seen.path for seen in loopback.world.seen}
    assert not [path for path in asked if "xet" in path or "reconstructions" in path]
    storage_host = loopback.storage.split("//")[1]
    there = [seen for seen in loopback.world.seen if seen.host == storage_host]
    assert there
    assert {seen.authorization for seen in there} == {None}
    assert {seen.authorization for seen in loopback.world.seen} == {None, f"Bearer {CANARY}"}


def test_a_resume_asks_for_a_fresh_signed_address(
    loopback: LoopbackHub, commit: str, into: Path, lock: Lock
) -> None:
    loopback.world.faults["weights.bin"] = Fault("reset", times=1, at=100_000)
    fetch(open_hub(None, QUICK), REPO, commit, [WantedFile("weights.bin")], into, lock, print)
    heads = [seen for seen in loopback.world.seen if seen.method == "HEAD"]
    assert len(heads) == 2
    first, second = loopback.world.bodies("weights.bin")
    assert (first.range, second.range) == (None, f"bytes=100000-{len(WEIGHTS) - 1}")
    assert second.if_range is not None
