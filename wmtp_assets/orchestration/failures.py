"""Why a step of a run failed, by the message of our own error, and whether it could be tried."""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

import dagster as dg

from wmtp_assets.errors import TransientError, WmtpError


class _Error(Protocol):
    """What Dagster records of an exception."""

    @property
    def cls_name(self) -> str | None: ...

    @property
    def cause(self) -> _Error | None: ...

    @property
    def message(self) -> str: ...


@dataclass(frozen=True)
class Failure:
    """A step that failed, or a set that was not published.

    `could_not_try`: the disk, the network or upstream refused, nothing is wrong with what is
    stored.
    """

    step: str
    message: str
    could_not_try: bool = False

    def __str__(self) -> str:
        return (
            self.message if self.message.startswith(self.step) else f"{self.step}: {self.message}"
        )


def failure_of(event: dg.DagsterEvent, fetching: Collection[str]) -> Failure:
    """What a step's failure event says; `fetching` names the steps that fetch."""
    step = event.step_key or "the run"
    error = event.step_failure_data.error
    if error is None:
        return Failure(step, "failed without a message")
    refused = step in fetching or any(map(_of_system, _chain(error)))
    return Failure(step, words_of(error), refused)


def words_of(error: _Error) -> str:
    """What an error recorded by Dagster says: of our own its message, without the class's name."""
    cause = error.cause or error
    return re.sub(r"^wmtp_assets(\.\w+)+: ", "", cause.message.strip())


def is_of_environment(error: WmtpError) -> bool:
    """Whether the disk or the network refused, rather than what is stored being wrong."""
    return isinstance(error, TransientError) or isinstance(error.__cause__, OSError)


def _chain(error: _Error) -> Iterator[_Error]:
    one: _Error | None = error
    while one is not None:
        yield one
        one = one.cause


def _of_system(error: _Error) -> bool:
    """Whether an error in the chain is an OSError: the system's own refusal."""
    kind = getattr(builtins, error.cls_name or "", None)
    return isinstance(kind, type) and issubclass(kind, OSError)
