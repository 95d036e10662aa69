"""The page's three processes (code server, web server, daemon): started, kept, and all ended again.

One that ends by itself is started again. A code server that runs but no longer answers is reloaded
by the web server (`code_location.py`).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TypeAlias
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from wmtp_assets.errors import WmtpError
from wmtp_assets.orchestration.names import LOCATION, running_folder
from wmtp_assets.storage.locks import exclusive_now, holder, is_locked
from wmtp_assets.storage.socket_folder import socket_folder
from wmtp_assets.web.dagster_internals import DAEMON
from wmtp_assets.web.session import (
    ENTRY,
    LinkError,
    link_command,
    link_file,
    page_url,
    read_link,
)

READY_WITHIN_SECONDS = 180
# Of a page that is at work on a loaded machine; one that is gone refuses at once.
ANSWERS_WITHIN_SECONDS = 120
# Dagster's code server ends when it hears nothing of its own parent for that long (default 30 s,
# which a loaded machine reaches). The page's processes end together by other means.
HEARTBEAT_SECONDS = 3600
# A process that ends more often than that stays ended.
MOST_ENDS, ENDS_WITHIN_SECONDS = 5, 120
# What Python's multiprocessing may make in a temporary folder; Dagster's sockets are shorter.
LONGEST_SOCKET = "/pymp-01234567/listener-01234567"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
HINT = "The link lets one browser in, once; `{command}` prints another. Ctrl-C ends the page."
WARNING = "NO TOKEN: anyone who reaches this address may use the page. Ctrl-C ends it."


_Start: TypeAlias = Callable[
    [Sequence[str]], tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]
]


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


@dataclass
class _Part:
    """One of the page's processes: how it is started, and what it is now."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes]
    guardian: subprocess.Popen[bytes]
    ends: list[float] = field(default_factory=list)  # when it ended by itself


def check_alone(home: Path, port: int) -> None:
    """Raises PageError when a page that may start runs is served from this home already.

    Each has a daemon, and every daemon of a home starts what is scheduled.
    """
    if is_locked(_page_lock(home)):
        raise _not_alone(home, port)


def serve(home: Path, host: str, port: int, read_only: bool, ask_for_token: bool) -> None:
    """Serves Dagster's UI until Ctrl-C or SIGTERM, then ends every process that it started.

    `home` is the folder with dagster.yaml; every process runs in it, and is started again when it
    ends by itself. With `read_only` no daemon is started. Unless `ask_for_token`, anyone who
    reaches the port may use the page: for a proxy with a login of its own.

    Raises:
        PageError: the port is in use, another page that may start runs is served from this home, or
            one of the processes ends again and again.
        SocketPathError: no temporary folder has a path that is short enough for sockets.
    """
    check_port(host, port)
    link = link_file(home, host, port)
    with _asked_to_stop() as stop, contextlib.ExitStack() as stack:
        folder = stack.enter_context(socket_folder("wmtp-page-", len(LONGEST_SOCKET)))
        address = str(folder / "code.sock")
        # Bars of libraries would freeze the log's page.
        environment = {**os.environ, "TQDM_DISABLE": "1", "DAGSTER_HOME": str(home)}
        # Dagster's own sockets are here too: no other account may enter this folder.
        environment["TMPDIR"] = str(folder)
        if not read_only:
            if not stack.enter_context(exclusive_now(_page_lock(home), machines=False)):
                raise _not_alone(home, port)
            stack.callback(_end_runs_of_the_dead, home)
        stack.callback(link.unlink, missing_ok=True)  # the web server itself ends by the signal
        parts: list[_Part] = []
        stack.callback(_end_all, parts)
        start = _starter(home, environment)

        def add(name: str, *arguments: str) -> None:
            parts.append(_Part(name, arguments, *start(arguments)))

        add(
            "code server",
            *("dagster", "code-server", "start", "--socket", address, "--log-level", "warning"),
            *("--heartbeat-ttl", str(HEARTBEAT_SECONDS)),
            *("--module-name", "wmtp_assets.definitions", "--location-name", LOCATION),
        )
        _wait_until(lambda: Path(address).exists(), parts, stop)
        flags = ["--link", str(link)] if ask_for_token else ["--no-token"]
        flags += ["--read-only"] if read_only else []
        add("web server", "wmtp_assets.web.server", host, str(port), address, *flags)
        _wait_until(lambda: answers(host, port), parts, stop)
        if not read_only:
            # The daemon must call the location as the web server does, or it drops what that
            # enqueues. It comes after the web server, which opens a new home.
            server = {"host": "localhost", "socket": address, "location_name": LOCATION}
            workspace = folder / "workspace.yaml"
            workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
            add("daemon", DAEMON, "run", "-w", str(workspace), "--log-level", "error")
        if not stop.is_set():
            where = read_link(link) if ask_for_token else f"{page_url(host, port)}{ENTRY}"
            print(f"The page is at {where}")
            hint = HINT.format(command=link_command(host, port))
            print(hint if ask_for_token else WARNING, flush=True)
        while not stop.wait(0.5):
            for part in parts:
                if part.process.poll() is not None:
                    _start_again(part, start)
        print("\nwmtp: the page ends, and every process of it.", file=sys.stderr, flush=True)


def running_link(home: Path, host: str, port: int) -> str:
    """The next link to the page that is running. Raises LinkError when there is none."""
    link = read_link(link_file(home, host, port))
    # A page that was killed leaves its link behind.
    if not answers(host, port, ANSWERS_WITHIN_SECONDS):
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


def _wait_until(ready: Callable[[], bool], parts: Sequence[_Part], stop: threading.Event) -> None:
    """Waits until `ready()` or a stop; an error when a process ends by itself, or at the limit."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while not stop.is_set() and not ready():
        for part in parts:
            if part.process.poll() is not None:
                raise _ended(part)
        if time.monotonic() > deadline:
            raise PageError(f"Dagster was not ready within {READY_WITHIN_SECONDS} s")
        stop.wait(0.2)


def _start_again(part: _Part, start: _Start) -> None:
    """Starts a process again that ended by itself. Raises PageError when it keeps ending."""
    now = time.monotonic()
    part.ends = [end for end in part.ends if now - end < ENDS_WITHIN_SECONDS] + [now]
    if len(part.ends) > MOST_ENDS:
        raise _ended(part)
    print(
        f"wmtp: Dagster's {part.name} ended by itself (exit status {part.process.returncode}); "
        "it is started again.",
        file=sys.stderr,
        flush=True,
    )
    _end_all([part])  # what it started and left behind
    part.process, part.guardian = start(part.arguments)


def _ended(part: _Part) -> PageError:
    return PageError(
        f"Dagster's {part.name} ended by itself",
        found=f"exit status {part.process.returncode}",
        hint="see its output above; `wmtp validate` checks the definitions.",
    )


def _page_lock(home: Path) -> Path:
    """What the process holds that serves the page of this home that may start runs."""
    return Path(os.path.realpath(home)) / ".dagster" / "page.lock"


def _not_alone(home: Path, port: int) -> PageError:
    return PageError(
        "A page that may start runs is served from this Dagster home already",
        found=holder(_page_lock(home)),
        where=home,
        hint="use that one (`wmtp ui --link`, with its --port, prints a link to it), or end it, or "
        f"serve one beside it that starts nothing: wmtp ui --read-only --port {port + 1}",
    )


def _end_runs_of_the_dead(home: Path) -> None:
    """Ends, in the history, the runs that ended with the page."""
    if not any(running_folder(home).glob("*")):
        return
    # Dagster is imported here only: this process does nothing else with it.
    from wmtp_assets.orchestration.history import end_dead_runs
    from wmtp_assets.orchestration.home import open_instance

    os.environ["DAGSTER_HOME"] = str(home)
    os.chdir(home)
    with contextlib.suppress(Exception), open_instance() as instance:  # the next start does it
        end_dead_runs(instance, none_is_launched=True)


def answers(host: str, port: int, seconds: float = 5) -> bool:
    """Whether a page is there: it answers within `seconds`, if only that it wants a session."""
    url = page_url(host, port) + "/server_info"
    try:
        with urlopen(Request(url), timeout=seconds) as reply:  # noqa: S310 - http, of ours
            return bool(reply.status == 200)
    except HTTPError as refused:
        return refused.code == 401
    except OSError:
        return False


def _starter(home: Path, environment: Mapping[str, str]) -> _Start:
    """What starts a module of this Python in a session of its own, and its guardian.

    A page whose command is gone would go on serving. So the kernel kills what was started when this
    process dies, by whatever death (Linux), and the guardian kills what that had started.
    """
    end_with_parent = _end_with_parent()

    def start(arguments: Sequence[str]) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, "-m", *arguments],
            cwd=home,
            start_new_session=True,
            env=environment,
            preexec_fn=end_with_parent,  # before any thread of this process is started
        )
        guardian = subprocess.Popen(  # noqa: S603 - a shell of the system, and a number
            ["/bin/sh", "-c", f"read -r _; kill -s KILL -- -{process.pid}"],
            stdin=subprocess.PIPE,  # ends when this process does
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return process, guardian

    return start


def _end_with_parent() -> Callable[[], None] | None:
    """What a child calls so that it is killed when this process dies; None where the system has no
    such call."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # found before the fork: a child must not search

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask


def _end_all(parts: Sequence[_Part]) -> None:
    """Ends each process and what it started: politely, then not."""
    for part in parts:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(part.process.pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    for part in parts:
        with contextlib.suppress(subprocess.TimeoutExpired):
            part.process.wait(max(0.1, deadline - time.monotonic()))
    for part in parts:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(part.process.pid, signal.SIGKILL)
        part.process.wait()
        part.guardian.kill()
        part.guardian.communicate()
