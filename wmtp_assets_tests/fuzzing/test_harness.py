"""The harness itself: what it lets through, what it stops, and that its messages repeat a case."""

from __future__ import annotations

import random
import time

import pytest

from wmtp_assets.errors import WmtpError
from wmtp_assets_tests.fuzzing.harness import LEAST, FuzzError, fuzz
from wmtp_assets_tests.fuzzing.mutations import json_bytes, mutate_bytes, mutate_value


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WMTP_FUZZ_SECONDS", "0")
    monkeypatch.setenv("WMTP_FUZZ_SEED", "7")


def test_inputs_are_read_or_refused_and_counted() -> None:
    def attempt(rng: random.Random) -> None:
        if rng.random() < 0.5:
            raise WmtpError("Refused")

    outcomes = fuzz(attempt)
    assert outcomes.read > 0
    assert outcomes.read + outcomes.refused == LEAST, "although no time was left"
    assert outcomes.problems == {"Refused": outcomes.refused}


def test_any_other_exception_fails_and_its_message_repeats_the_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[float] = []

    def attempt(rng: random.Random) -> None:
        drawn.append(rng.random())
        if len(drawn) == 5:
            raise KeyError("x")

    with pytest.raises(FuzzError, match=r"KeyError: 'x'; repeat with WMTP_FUZZ_SEED=7:4$"):
        fuzz(attempt)
    monkeypatch.setenv("WMTP_FUZZ_SEED", "7:4")
    last = drawn.pop()
    drawn.clear()
    fuzz(attempt)
    assert drawn == [last]


def test_a_slow_input_fails() -> None:
    with pytest.raises(FuzzError, match=r"took more than 0\.1 s"):
        fuzz(lambda rng: time.sleep(30), seconds_per_input=0.1)


def test_an_input_that_takes_too_much_memory_fails() -> None:
    def attempt(rng: random.Random) -> None:
        bytearray(b"x") * (64 << 20)

    with pytest.raises(FuzzError, match="MiB of memory"):
        fuzz(attempt, bytes_per_input=32 << 20)


def test_mutations_depend_on_the_seed_alone() -> None:
    value = {"a": [1, {"b": "c"}], "d": None}

    def made(seed: int) -> tuple[bytes, bytes]:
        rng = random.Random(seed)
        return mutate_bytes(rng, bytes(range(100))), json_bytes(rng, mutate_value(rng, value))

    assert [made(seed) for seed in range(50)] == [made(seed) for seed in range(50)]
    assert len({made(seed) for seed in range(50)}) == 50
