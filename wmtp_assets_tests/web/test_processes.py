"""What is said before the page's processes are started."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.web.processes import PageError, check_port
from wmtp_assets_tests.living import begun
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.tiny import scrap
from wmtp_assets_tests.ports import reserved_port
from wmtp_assets_tests.web.pages import SECONDS, make, processes_of, running_page


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PageError) as refused:
            check_port("127.0.0.1", port)
    said = str(refused.value)
    assert f"127.0.0.1:{port}" in said
    assert "Address already in use" in said
    assert f"wmtp ui --port {port + 1}" in said


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of the dead")
def test_a_page_whose_command_was_killed_serves_no_longer(project: Project, tmp_path: Path) -> None:
    """Here by `make run`, which makes what is stale first."""
    world = tiny.rows(project, tmp_path / "world")
    scrap(world.storage / "datasets_v2")
    variables = {name: world.variables[name] for name in ("WMTP_CATALOG", "WMTP_HUB")}
    variables["WMTP_STORAGE"] = str(world.storage)
    with running_page(tmp_path, command=make("run"), **variables) as page:
        assert (world.storage / "datasets_v2/humaneval/processed/test.jsonl").is_file()
        assert "The gate is OPEN" in page.said()
        first, *others = processes_of(page)[1:]
        assert (first / "cmdline").read_bytes().endswith(b"/wmtp\0run\0")
        ours = {entry: at for entry in (first, *others) if (at := begun(entry))}
        assert len(ours) >= 4
        os.kill(int(first.name), signal.SIGKILL)
        page.process.wait()
        until = time.monotonic() + SECONDS
        while living := [entry.name for entry, at in ours.items() if begun(entry) == at]:
            assert time.monotonic() < until, living
            time.sleep(0.2)
        # A process counts as ended with its first thread; others may hold its sockets for a while.
        while not is_free(page.port):
            assert time.monotonic() < until
            time.sleep(0.2)


def is_free(port: int) -> bool:
    try:
        check_port("127.0.0.1", port)
    except PageError:
        return False
    return True


def test_a_free_port_is_no_problem_and_stays_free() -> None:
    with reserved_port() as port:
        check_port("127.0.0.1", port)
        check_port("127.0.0.1", port)
