"""The token goes to the Hub and nowhere else: no other host, no message, no log, no file."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import HubRequest, answer_to_error, public_url, scrub
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import CANARY, QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub

REPO = RepoId("model", "org/name")


def test_the_token_goes_to_the_hub_and_not_to_the_host_it_redirects_to(
    loopback: LoopbackHub, into: Path, lock: Lock
) -> None:
    files = {"config.json": b"{}", "weights.bin": random.Random(1).randbytes(100_000)}
    loopback.world.commit("model", "org/name", files)
    wanted = [WantedFile(path) for path in files]
    fetch(open_hub(None, QUICK), REPO, "main", wanted, into, lock, print)
    hub_host, storage_host = (url.split("//")[1] for url in (loopback.endpoint, loopback.storage))
    sent = {(seen.host, seen.authorization) for seen in loopback.world.seen}
    assert sent == {(hub_host, f"Bearer {CANARY}"), (storage_host, None)}


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_neither_token_nor_signed_address_is_in_a_log_of_a_good_fetch(
    level: int, loopback: LoopbackHub, into: Path, lock: Lock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level)
    loopback.world.commit("model", "org/name", {"weights.bin": random.Random(1).randbytes(9_000)})
    lines: list[str] = []
    wanted = [WantedFile("weights.bin")]
    fetch(open_hub(None, QUICK), REPO, "main", wanted, into, lock, lines.append)
    told = caplog.text + "".join(lines) + lock.path.read_text()
    assert CANARY not in told
    assert "secret-signature" not in told


def test_what_upstream_says_is_quoted_without_secrets_or_tricks() -> None:
    hostile = (
        f"you sent {CANARY} to\r\nhttps://host/path?Signature=abc&x=1 \x1b[31mred\x00 "
        f"hf_{'A' * 30} {'long ' * 100}"
    )
    said = scrub(hostile, CANARY)
    assert CANARY not in said
    assert "Signature=abc" not in said
    assert f"hf_{'A' * 30}" not in said
    assert said.isprintable()
    assert len(said) < 250


def test_an_error_made_of_an_answer_that_echoes_the_token_does_not() -> None:
    error = answer_to_error(
        HubRequest("https://hub.example", REPO, "main", "weights.bin"),
        403,
        {"x-error-message": f"no access for Bearer {CANARY}"},
        token=CANARY,
    )
    assert CANARY not in str(error)
    assert "(token)" in str(error)


def test_an_endpoint_with_a_password_is_shown_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert public_url("https://user:pass@host:8080/hub?x=1#y") == "https://host:8080/hub"
    monkeypatch.setenv("HF_ENDPOINT", "http://user:password@127.0.0.1:1")
    hub = open_hub(None, QUICK)
    assert "password" not in hub.spec
    with pytest.raises(Exception, match="Cannot reach") as caught:
        hub.head(REPO)
    assert "password" not in str(caught.value)
