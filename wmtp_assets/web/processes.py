"""Starts the page's three processes (code server, daemon, web server), and ends them all again."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from wmtp_assets.errors import WmtpError
from wmtp_assets.web.dagster_internals import DAEMON
from wmtp_assets.web.session import LinkError, link_command, link_file, page_url, read_link

READY_WITHIN_SECONDS = 180
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
HINT = "The link lets one browser in, once; `{command}` prints another. Ctrl-C ends the page."
WARNING = "NO TOKEN: anyone who reaches this address may use the page. Ctrl-C ends it."


class PageError(WmtpError):
    """The page cannot be served."""


def check_port(host: str, port: int) -> None:
    """Raises PageError when another process already listens on `host`:`port`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PageError(
                f"The page cannot listen on {host}:{port}",
                expected="a free port",
                found=error.strerror,
                hint=f"end what listens there, or choose another port: wmtp ui --port {port + 1}",
            ) from error


def serve(home: Path, host: str, port: int, read_only: bool, ask_for_token: bool) -> None:
    """Serves Dagster's UI until Ctrl-C or SIGTERM, then ends every process that it started.

    `home` is the folder with dagster.yaml; every process runs in it. Unless `ask_for_token`,
    anyone who reaches the port may use the page: for a proxy with a login of its own.

    Raises:
        PageError: the port is in use, or one of the processes ended by itself.
    """
    check_port(host, port)
    folder = Path(tempfile.mkdtemp(prefix="wmtp-"))  # a Unix socket's path must be short
    address = str(folder / "code.sock")
    python = [sys.executable, "-m"]
    # Bars of libraries would freeze the log's page.
    environment = {**os.environ, "TQDM_DISABLE": "1", "DAGSTER_HOME": str(home)}
    # Dagster's own sockets are here too: no other account may enter this folder.
    environment["TMPDIR"] = str(folder)
    link = link_file(home, host, port)
    with _asked_to_stop() as stop, contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(link.unlink, missing_ok=True)  # the web server itself ends by the signal
        started: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(_end_all, started)
        end_with_parent = _end_with_parent()

        def start(name: str, *arguments: str) -> None:
            started[name] = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [*python, *arguments],
                cwd=home,
                start_new_session=True,
                env=environment,
                preexec_fn=end_with_parent,  # before any thread of this process is started
            )

        start(
            "code server",
            *("dagster", "code-server", "start", "--socket", address, "--log-level", "warning"),
            *("--module-name", "wmtp_assets.definitions", "--location-name", "wmtp_assets"),
        )
        _wait_until(lambda: Path(address).exists(), started, stop)
        # The daemon must call the location as the web server does, or it drops what that enqueues.
        server = {"host": "localhost", "socket": address, "location_name": "wmtp_assets"}
        workspace = folder / "workspace.yaml"
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        start("daemon", DAEMON, "run", "-w", str(workspace), "--log-level", "error")
        flags = ["--link", str(link)] if ask_for_token else ["--no-token"]
        flags += ["--read-only"] if read_only else []
        start("web server", "wmtp_assets.web.server", host, str(port), address, *flags)
        _wait_until(lambda: answers(host, port), started, stop)
        if not stop.is_set():
            where = read_link(link) if ask_for_token else page_url(host, port)
            print(f"The page is at {where}")
            hint = HINT.format(command=link_command(host, port))
            print(hint if ask_for_token else WARNING, flush=True)
        _wait_until(lambda: False, started, stop, seconds=None)


def running_link(home: Path, host: str, port: int) -> str:
    """The next link to the page that is running. Raises LinkError when there is none."""
    link = read_link(link_file(home, host, port))
    if not answers(host, port):  # a page that was killed leaves its link behind
        raise LinkError(
            f"No page answers at {page_url(host, port)}", hint="start the page: wmtp ui"
        )
    return link


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    stop = threading.Event()

    def ask(signum: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_until(
    ready: Callable[[], bool],
    started: dict[str, subprocess.Popen[bytes]],
    stop: threading.Event,
    seconds: float | None = READY_WITHIN_SECONDS,
) -> None:
    """Waits until `ready()` or a stop; an error when a process ends by itself, or at the limit."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while not stop.is_set() and not ready():
        for name, process in started.items():
            if process.poll() is not None:
                raise PageError(
                    f"Dagster's {name} ended by itself",
                    found=f"exit status {process.returncode}",
                    hint="see its output above; `wmtp validate` checks the definitions.",
                )
        if deadline is not None and time.monotonic() > deadline:
            raise PageError(f"Dagster was not ready within {seconds:.0f} s")
        stop.wait(0.2)


def answers(host: str, port: int) -> bool:
    """Whether a page is there: it answers, if only that it wants a session."""
    url = page_url(host, port) + "/server_info"
    try:
        with urlopen(Request(url), timeout=5) as reply:  # noqa: S310 - http, from our own parts
            return bool(reply.status == 200)
    except HTTPError as refused:
        return refused.code == 401
    except OSError:
        return False


def _end_with_parent() -> Callable[[], None] | None:
    """What a child calls so that it is killed when this process dies, by whatever death: a page
    whose command is gone would go on serving. None where the system has no such call."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # found before the fork: a child must not search

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask


def _end_all(started: dict[str, subprocess.Popen[bytes]]) -> None:
    """Ends each process and what it started: politely, then not."""
    for process in started.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    for process in started.values():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, deadline - time.monotonic()))
    for process in started.values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
