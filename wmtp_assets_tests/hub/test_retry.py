"""When to come back, and when not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wmtp_assets.hub.retry import GaveUpError, Policy, Retries, RetryableError, retry_after

POLICY = Policy(tries=5, first_wait=1.0, widest_wait=6.0, longest_wait=100.0)


def waits(errors: int, retries: Retries, make: Callable[[], RetryableError]) -> list[float]:
    slept: list[float] = []
    for _ in range(errors):
        retries.wait_after(make(), sleep=slept.append)
    return slept


def test_waits_double_up_to_a_bound_and_differ_a_little() -> None:
    slept = waits(4, Retries(POLICY, print), lambda: RetryableError("busy"))
    for wait, base in zip(slept, [1, 2, 4, 6], strict=True):
        assert base <= wait <= base * 1.25


def test_the_servers_word_is_kept_to() -> None:
    slept = waits(1, Retries(POLICY, print), lambda: RetryableError("busy", after=50))
    assert slept == [50]


def test_a_row_of_failures_ends_and_says_what_the_last_one_was() -> None:
    retries = Retries(POLICY, print)
    waits(4, retries, lambda: RetryableError("busy"))
    with pytest.raises(GaveUpError, match=r"busy \(5 times in a row\)"):
        waits(1, retries, lambda: RetryableError("busy"))


def test_progress_begins_a_new_row() -> None:
    retries = Retries(POLICY, print)
    for _ in range(10):
        waits(3, retries, lambda: RetryableError("busy"))
        retries.progress()
    assert retries.count == 30


def test_a_wait_longer_than_patience_is_refused_at_once() -> None:
    with pytest.raises(GaveUpError, match="come back in 101 s"):
        waits(1, Retries(POLICY, print), lambda: RetryableError("busy", after=101))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 50.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=lambda: 10.0) == seconds
