"""The page as a user starts it, `wmtp ui`, in folders of its own, and a browser for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wmtp_assets_tests.living import below
from wmtp_assets_tests.ports import reserved_port

CHECKOUT = Path(__file__).parents[2]
SECONDS = 240  # a loaded machine


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers (lower case, repeated ones listed) and body."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes


@dataclass
class Page:
    """A page that runs. `root` holds everything: `home`, `storage`, `user` (HOME), `outside`."""

    root: Path
    port: int
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]
    cookie: str = ""
    told: list[bytes] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def said(self) -> str:
        """What it printed so far."""
        return (self.root / "said").read_text(encoding="utf-8", errors="replace")

    def request(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """Asks with the session's cookie (unless one is given); the answer's body is kept."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie and "cookie" not in sent:
            sent["cookie"] = self.cookie
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, target, body, sent)
            reply = connection.getresponse()
            found: dict[str, list[str]] = {}
            for name, value in reply.getheaders():
                found.setdefault(name.lower(), []).append(value)
            answer = Answer(reply.status, found, reply.read())
        self.told.append(answer.body)
        return answer

    def raw(self, data: bytes) -> bytes:
        """Sends bytes as they are and reads until the server hangs up, as they must ask it to."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as line:
            # Both directions stay open: a server gives up what it has not answered when one ends.
            line.sendall(data)
            received = b""
            while piece := line.recv(65536):
                received += piece
        return received

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        """Asks GraphQL as the page does; the whole answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        answer = self.request("POST", "/graphql", body, content_type="application/json")
        value: dict[str, Any] = json.loads(answer.body)
        return value

    def link(self) -> str:
        """The next link's path and query, from the command that the page printed."""
        command = re.search("`wmtp (ui --link[^`]*)`", self.said())
        assert command, self.said()
        done = subprocess.run(
            [wmtp(), *command[1].split()],
            env=dict(self.environment),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip().removeprefix(f"http://{self.host}")

    def enter(self, link: str) -> Answer:
        """Opens a link in a browser without a cookie, and keeps the one that it gets."""
        answer = self.request("GET", link, cookie="")
        for cookie in answer.headers.get("set-cookie", []):
            self.cookie = cookie.partition(";")[0]
        return answer


def wmtp() -> str:
    """The command."""
    return str(Path(sys.executable).with_name("wmtp"))


def make(target: str) -> tuple[str, ...]:
    """`make` in the checkout with the packages that are here: nothing is installed."""
    installed = ("--old-file", ".venv/.installed")
    where = ("--no-print-directory", "--directory", str(CHECKOUT))
    # Not a part of `make test`; and what ignores SIGTERM, as workers of tests do, passes none on.
    alone = ("env", "--default-signal=TERM", "--unset=MAKEFLAGS", "--unset=MAKELEVEL")
    return (*alone, "make", *where, *installed, target, f"wmtp={wmtp()}")


@contextlib.contextmanager
def running_page(
    root: Path,
    *options: str,
    poll_seconds: int | None = None,
    config: str = "dagster.yaml",
    command: tuple[str, ...] | None = None,
    **environment: str,
) -> Iterator[Page]:
    """Starts `wmtp ui` below `root` and ends it; the environment is the given one and no more.

    `poll_seconds`: how often the daemon looks whether runs live. `config`: the checkout's file that
    becomes the home's dagster.yaml. `command`: another one that serves the page, at PORT.
    """
    for name in ("home", "storage", "user", "outside", "tmp"):
        (root / name).mkdir()
    shutil.copy(CHECKOUT / config, root / "home" / "dagster.yaml")
    shutil.copy(CHECKOUT / "workspace.yaml", root / "home")
    if poll_seconds is not None:
        written = root / "home" / "dagster.yaml"
        text, count = re.subn(
            r"poll_interval_seconds: \d+",
            f"poll_interval_seconds: {poll_seconds}",
            written.read_text(encoding="utf-8"),
        )
        assert count == 1
        written.write_text(text, encoding="utf-8")
    with (
        reserved_port() as port,
        _served(root, port, [*(command or (wmtp(), "ui")), *options], environment) as page,
    ):
        yield page


@contextlib.contextmanager
def _served(
    root: Path, port: int, command: list[str], environment: Mapping[str, str]
) -> Iterator[Page]:
    sent = {
        "PATH": os.environ["PATH"],
        "HOME": str(root / "user"),
        "TMPDIR": str(root / "tmp"),
        "DAGSTER_HOME": str(root / "home"),
        "WMTP_STORAGE": str(root / "storage"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PORT": str(port),
        "DAGSTER_GRPC_TIMEOUT_SECONDS": str(SECONDS),
        **environment,
    }
    with (root / "said").open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=root / "home",
            env=sent,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    page = Page(root, port, process, sent)
    try:
        until = time.monotonic() + SECONDS
        while "Ctrl-C ends" not in page.said():
            assert process.poll() is None, page.said()
            assert time.monotonic() < until, page.said()
            time.sleep(0.2)
        yield page
    finally:
        if process.returncode is None:  # else its number may be another's by now
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS)
            # A session of its own, so that nothing is left, whichever the test has killed.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def printed_link(page: Page) -> str:
    """The path and query of the link that the page printed when it was ready."""
    found = re.search(rf"The page is at http://{re.escape(page.host)}(/\S*)", page.said())
    assert found, page.said()
    return found[1]


def processes_of(page: Page) -> list[Path]:
    """/proc of the page's process and of every process below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [page.process.pid]
    while waiting:
        pid = waiting.pop()
        found.append(Path("/proc") / str(pid))
        waiting += parents.get(pid, [])
    return found


def listening_ports(page: Page) -> set[tuple[str, int]]:
    """Address (as the kernel writes it, hexadecimal) and port of every TCP socket on which one of
    the page's processes listens."""
    own = set()
    for process in processes_of(page):
        for entry in below(process / "fd"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                own.add(str(entry.readlink()))
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():  # a kernel without IPv6
            continue
        for line in table.read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and f"socket:[{parts[9]}]" in own:
                address, _, port = parts[1].partition(":")
                found.add((address, int(port, 16)))
    return found
