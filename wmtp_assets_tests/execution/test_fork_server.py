"""What a fork server says ended a child: what did so first, in whatever order the ends are seen."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wmtp_assets.execution.harness import SOLUTION, Request
from wmtp_assets.execution.limits import Limits

sys_path = list(sys.path)
from wmtp_assets.execution import fork_server  # noqa: E402  (a script, which changes sys.path)

sys.path[:] = sys_path


@pytest.fixture
def child(tmp_path: Path) -> Iterator[fork_server._Child]:
    """A child that sleeps, and may do so for a microsecond."""
    pid = os.fork()
    if not pid:
        try:
            time.sleep(600)
        finally:
            os._exit(0)
    ready, theirs = os.pipe()
    os.close(theirs)
    request = Request(SOLUTION, "", Limits(wall_seconds=1e-6))
    made = fork_server._Child(pid, request, str(tmp_path), ready)
    yield made
    made.end("stopped")
    os.close(ready)
    os.waitpid(pid, 0)


def _too_late(child: fork_server._Child) -> None:
    child.watch(0)


def _too_large(child: fork_server._Child) -> None:
    child.deadline = time.monotonic() + 600
    child.limits = Limits(memory_bytes=1)
    child.watch(0)


def _killed_from_outside(child: fork_server._Child) -> None:
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def _nothing(child: fork_server._Child) -> None:
    """It is stopped as it sleeps."""


@pytest.mark.parametrize(
    ("ends", "how"),
    [
        (_too_late, "wall"),
        (_too_large, "memory"),
        (_killed_from_outside, "exit"),
        (_nothing, "stopped"),
    ],
)
def test_what_is_stopped_since_its_partner_ended_was_ended_by_what_came_first(
    child: fork_server._Child, ends: Callable[[fork_server._Child], None], how: str
) -> None:
    # A solution that is killed closes its connection; its tests end, and are reported, before it is
    # seen to have ended: then whoever asked for both has it stopped.
    ends(child)
    child.end("stopped")
    assert child.how == how
