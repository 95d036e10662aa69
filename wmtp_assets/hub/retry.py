"""Retries: bounded exponential back-off, and the server's Retry-After."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

from wmtp_assets.errors import TransientError

T = TypeVar("T")


class RetryableError(TransientError):
    """A failure that may not recur; `after` is the server's Retry-After, in seconds."""

    def __init__(
        self,
        problem: str,
        *,
        after: float | None = None,
        expected: object = None,
        found: object = None,
        where: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(problem, expected=expected, found=found, where=where, hint=hint)
        self.after = after


def stalled(silence: str, where: object) -> RetryableError:
    """The error of a connection that is open and gives nothing."""
    return RetryableError(
        f"The connection stalled: {silence}", expected="bytes", found="silence", where=where
    )


class GaveUpError(TransientError):
    """As many tries in a row as the policy allows have failed."""


@dataclass(frozen=True)
class Policy:
    """How often, and after what waits, to try again; every time in seconds.

    `tries` counts failures in a row without progress: a connection that breaks every minute but
    moves bytes is never given up on. `stall` is how long a connection may be silent (or under 1 kB
    per second), and how long the headers of an answer may take, before it is named stalled and made
    anew. `answer` is how long the whole of an answer of the API may take. A Retry-After beyond
    `longest_wait` is not waited for but reported.
    """

    tries: int = 6
    first_wait: float = 0.5
    widest_wait: float = 30.0
    longest_wait: float = 300.0
    connect: float = 10.0
    stall: float = 30.0
    answer: float = 120.0

    def wait_before(self, failure: int, error: RetryableError) -> float:
        """Seconds to wait after the `failure`-th failure in a row (from 1).

        Doubles, with up to a quarter of jitter so that several connections do not return at
        once; never less than the server asked for.
        """
        backoff: float = min(self.widest_wait, self.first_wait * 2.0 ** (failure - 1))
        backoff *= 1 + random.random() / 4  # noqa: S311 - jitter, not a secret
        return max(backoff, error.after or 0.0)

    def is_last(self, failure: int, error: RetryableError) -> bool:
        """Whether nothing is to be tried after this failure."""
        return failure >= self.tries or (error.after or 0.0) > self.longest_wait


class Retries:
    """Failures in a row, counted against a policy; `progress` begins a new count."""

    def __init__(self, policy: Policy, note: Callable[[str], None]) -> None:
        self.policy = policy
        self.count = 0
        self._note = note
        self._in_a_row = 0

    def progress(self) -> None:
        """Bytes moved at a pace worth waiting for: failures before this no longer count."""
        self._in_a_row = 0

    def wait_after(
        self, error: RetryableError, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Wait as long as is right after `error`, or raise GaveUpError."""
        self._in_a_row += 1
        if self.policy.is_last(self._in_a_row, error):
            raise _give_up(self._in_a_row, error) from None
        wait = self.policy.wait_before(self._in_a_row, error)
        self.count += 1
        self._note(f"{error.problem}; trying again in {wait:.1f} s ({self._in_a_row} in a row)")
        sleep(wait)


def _give_up(failures: int, error: RetryableError) -> GaveUpError:
    """The error that ends a row of `failures`, saying what the last one was."""
    asked = f"; the server asks to come back in {error.after:.0f} s" if error.after else ""
    times = f" ({failures} times in a row)" if failures > 1 else ""
    return GaveUpError(
        f"{error.problem}{times}{asked}",
        expected=error.expected,
        found=error.found,
        where=error.where,
        hint=error.hint or "run the same command again later: it continues where this one ended.",
    )


def with_retries(action: Callable[[], T], retries: Retries) -> T:
    """Do `action` until it works; GaveUpError after as many failures as the policy allows."""
    while True:
        try:
            return action()
        except RetryableError as error:
            retries.wait_after(error)


def retry_after(header: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date), None if unreadable."""
    if header is None:
        return None
    with suppress(ValueError):
        seconds = float(header)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now())
    except (ValueError, OverflowError, TypeError, IndexError):
        return None  # a year that no clock has, or no date at all
