"""What the doctor says, and how soon."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import NoReturn

import huggingface_hub.constants
import pytest

from wmtp_assets.hub import doctor
from wmtp_assets.hub.doctor import Fact, diagnose
from wmtp_assets.hub.files import RepoId, WantedFile, WantedRepo
from wmtp_assets.hub.refusals import HubError
from wmtp_assets.hub.retry import Policy
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import CANARY
from wmtp_assets_tests.hub.loopback import LoopbackHub

OPEN, GATED = RepoId("dataset", "org/open"), RepoId("model", "org/gated")


@pytest.fixture
def wanted(loopback: LoopbackHub) -> list[WantedRepo]:
    files = {"weights.bin": b"w" * 5000}
    return [
        WantedRepo(
            OPEN,
            loopback.world.commit("dataset", "org/open", files),
            (WantedFile("weights.bin"),),
            "CC-BY-4.0",
        ),
        WantedRepo(
            GATED,
            loopback.world.commit("model", "org/gated", files, gated=True),
            (WantedFile("weights.bin"),),
            "own licence",
            gated=True,
        ),
    ]


def problems(facts: list[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.state == "problem"]


def test_all_is_well_when_the_gate_is_open(
    loopback: LoopbackHub, wanted: list[WantedRepo], tmp_path: Path
) -> None:
    loopback.world.tokens[CANARY].add("org/gated")
    facts = diagnose(None, wanted, {tmp_path / "storage": 1000}, 1000)
    assert problems(facts) == []
    told = "\n".join(fact.found for fact in facts)
    assert "datasets/org/open: open, 1 file, 5.00 kB" in told
    assert "org/gated: own licence (gated: must be accepted)" in told
    assert CANARY not in repr(facts)
    assert not (tmp_path / "storage").exists()


def test_a_gate_that_is_shut_is_reported_with_the_page_to_open(
    loopback: LoopbackHub, wanted: list[WantedRepo]
) -> None:
    (problem,) = problems(diagnose(None, wanted, {}, 0))
    assert "has not been let in" in problem.found
    assert f"{loopback.endpoint}/org/gated" in problem.hint
    assert loopback.world.bodies("weights.bin") == []


def test_a_missing_token_is_reported(
    wanted: list[WantedRepo], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    token, repository = problems(diagnose(None, wanted, {}, 0))
    assert (token.name, repository.name) == ("token", "repository")
    assert "org/gated" in token.found


def test_a_file_that_is_not_there_is_reported(
    loopback: LoopbackHub, wanted: list[WantedRepo]
) -> None:
    asked = [WantedRepo(OPEN, wanted[0].revision, (WantedFile("other.bin"),))]
    (problem,) = problems(diagnose(None, asked, {}, 0))
    assert "datasets/org/open has no other.bin" in problem.found


def test_too_little_disk_and_memory_are_reported_once_per_file_system(tmp_path: Path) -> None:
    facts = diagnose(str(tmp_path), [], {tmp_path / "a": 1 << 59, tmp_path / "b": 1 << 59}, 1 << 60)
    disk, memory = problems(facts)
    assert (disk.name, memory.name) == ("disk", "memory")
    assert disk.expected == "1152921504.61 GB"


@pytest.mark.parametrize("endpoint", ["refused", "silent", "no such host"])
def test_without_a_network_it_says_so_once_and_soon(
    endpoint: str, wanted: list[WantedRepo], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        monkeypatch.setenv(
            "HF_ENDPOINT",
            {
                "refused": "http://127.0.0.1:1",
                "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
                "no such host": "http://hub.invalid",
            }[endpoint],
        )
        monkeypatch.setattr(doctor, "_HURRIED", Policy(tries=1, connect=1.0, stall=1.0))
        (problem,) = problems(diagnose(None, wanted * 4, {}, 0))
    assert problem.name == "upstream"
    assert "None of the 8 repositories was asked" in problem.hint


def test_a_name_server_that_hangs_does_not_hang_the_doctor(
    wanted: list[WantedRepo], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> NoReturn:
        over.wait()
        raise socket.gaierror("the test is over")

    monkeypatch.setattr(doctor, "_DEADLINE", 1.0)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setenv("HF_ENDPOINT", "http://slow.invalid")
    try:
        (problem,) = problems(diagnose(None, wanted, {}, 0))  # else it waits for ever
    finally:
        over.set()  # no look-up outlives the test
    assert "No answer in time" in problem.found


def test_a_directory_needs_no_token_and_no_network(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "org" / "gated"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w")
    asked = [WantedRepo(GATED, "main", (WantedFile("weights.bin"),), gated=True)]
    assert problems(diagnose(str(tmp_path), asked, {tmp_path: 1}, 1)) == []
    asked = [WantedRepo(OPEN, "main", (WantedFile("weights.bin"),))]
    (problem,) = problems(diagnose(str(tmp_path), asked, {}, 0))
    assert "The mirror has no dataset" in problem.found


@pytest.mark.parametrize("endpoint", ["http://[::1", "huggingface.co", "http://", "ftp://host"])
def test_an_endpoint_that_is_no_address_is_reported_once_and_not_shown(
    endpoint: str, wanted: list[WantedRepo], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    (problem,) = problems(diagnose(None, wanted, {}, 0))
    assert problem.name == "upstream"
    assert "HF_ENDPOINT is not the address of a server" in problem.found
    with pytest.raises(HubError, match="correct HF_ENDPOINT"):
        open_hub(None)
