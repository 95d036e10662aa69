"""What attacks aim at, and how one sees that they hit nothing: files, ports, sockets, a parent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wmtp_assets.execution import kernel
from wmtp_assets.execution.confinement import Layer
from wmtp_assets.execution.judge import Judge
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.syscalls import NUMBERS
from wmtp_assets.execution.tasks import ProgramTask

HERE = Path(__file__).parent
PACKAGE = Path(kernel.__file__).parents[1]
TOKEN = "hf_secret-of-the-canary"  # noqa: S105
NOBODY = 65534
OTHERS_PYTHON = "/usr/bin/python3"
OTHERS = {
    "nobody": ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    "root of a container": (
        "setpriv",
        # what Docker leaves its root
        "--bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,"
        "+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap",
        "--inh-caps=-all",
    ),
    "root without capabilities": ("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
}


@dataclass(frozen=True)
class Attack:
    """A program, and what its docstring says of it."""

    name: str
    source: str

    def states(self, what: str) -> str:
        """What stands behind a word such as "Says"."""
        found = re.search(rf"^{what}: (.*)$", self.source, re.M)
        return found[1] if found else ""

    @property
    def title(self) -> str:
        return self.source.partition('"""')[2].partition("\n\n")[0].replace("\n", " ")

    @property
    def row(self) -> str:
        """Its line in docs/sandbox.md."""
        says = self.states("Verdict").replace(" or failed: ", " or ")
        return f"| {self.title} | {self.states('Stopped by')} | {says} |"


def _attacks() -> dict[str, Attack]:
    found = [
        Attack(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted((HERE / "programs").glob("*.py"))
    ]
    here = kernel.machine()
    return {one.name: one for one in found if one.states("Machine") in ("", here)}


ATTACKS = _attacks()
PATIENT = {name for name, one in ATTACKS.items() if "time:" in one.states("Says")}
"""Those that only the clock ends, and so take seconds."""
WALL, BUSY_WALL = 3, 400
"""Seconds on the clock: for those, and for the others, which a busy machine may let wait."""


@dataclass
class Found:
    """How attacks ended, and what came of them."""

    endings: dict[str, dict[str, Any]] = field(default_factory=dict)
    harm: list[str] = field(default_factory=list)

    @property
    def unexpected(self) -> dict[str, str]:
        """Attacks that ended in another way than they state, or say that they got something."""
        return {
            name: f"{one['says']} {one['escaped']} {one['tail']}"
            for name, one in self.endings.items()
            if one["escaped"] or not re.search(ATTACKS[name].states("Says"), one["says"])
        }

    @property
    def escaped(self) -> set[str]:
        return {name for name, one in self.endings.items() if one["escaped"]}


@contextlib.contextmanager
def _place(user: int) -> Iterator[Path]:
    """A folder that everybody can reach, unlike those of pytest, with what attacks are shown."""
    base = Path(tempfile.mkdtemp(prefix="wmtp-attacks-", dir="/tmp"))
    try:
        base.chmod(0o755)
        for name in ("scratch", "outside", "readable", "root/wmtp_assets"):
            (base / name).mkdir(parents=True)
        (base / "outside").chmod(0o777)
        for name, text, mode in (
            ("secret", TOKEN, 0o644),
            ("outside/precious", "precious", 0o666),
            ("readable/file", "may be read\n", 0o666),
        ):
            (base / name).write_text(text)
            (base / name).chmod(mode)
        # The package without its virtual environment, which another user may not be able to read.
        for name in ("__init__.py", "errors.py"):
            shutil.copy(PACKAGE / name, base / "root/wmtp_assets" / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE / "execution", base / "root/wmtp_assets/execution", ignore=ignored)
        shutil.copy(HERE / "runner.py", base / "runner.py")
        if os.getuid() == 0:
            for name in ("scratch", "readable", "readable/file"):
                os.chown(base / name, user, user)
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


def target_of(base: Path) -> dict[str, Any]:
    """What an attack reads from its stdin: whom and what to aim at, how what it leaves in shared
    memory is called, and how many seconds it gives those who watch it to end it."""
    return {
        "numbers": NUMBERS[kernel.machine()],
        "secret": str(base / "secret"),
        "outside": str(base / "outside"),
        "precious": str(base / "outside/precious"),
        "readable": str(base / "readable/file"),
        "parents": [os.getpid()],
        "mark": "wmtp-attacks-",
        "left": f"left-behind-{base.name}",
        "patience": 240,
        "unix": str(base / "socket"),
        "tcp": 1,
        "udp": 1,
        "abstract": "nobody",
    }


def judge(attacks: set[str], limits: Limits, without: tuple[Layer, ...] = ()) -> dict[str, str]:
    """The verdict on each attack, as a program of a contest: `verdict: reason`."""
    with _place(os.getuid()) as base, Judge(2, without=without) as judging:
        given = json.dumps(target_of(base))

        def of(name: str) -> Limits:
            return replace(limits, wall_seconds=WALL if name in PATIENT else BUSY_WALL)

        tasks = (
            (name, ProgramTask(ATTACKS[name].source, [(given, "the end")], of(name)))
            for name in sorted(attacks)
        )
        found = {
            name: f"{said.verdict}: {said.reason.removeprefix('test 1: ')}"
            for name, said in judging.judge(tasks)
        }
        assert _left_behind(base) == []
    return found


def run(
    attacks: set[str],
    *,
    without: tuple[str, ...] = (),
    broken: tuple[str, ...] = (),
    whom: str = "this user",
) -> Found:
    """Runs attacks in a sandbox that lacks `without`, and of which `broken` is taken out.

    `whom` is the user who runs it: "this user", or, by root, one of `OTHERS`.
    """
    user = NOBODY if whom == "nobody" else os.getuid()
    found = Found()
    with _place(user) as base, contextlib.ExitStack() as stack:
        name = f"canary-{base.name}"
        tcp = stack.enter_context(socket.socket())
        udp = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        path = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        path.bind(str(base / "socket"))
        (base / "socket").chmod(0o777)
        abstract.bind(f"\0{name}")
        for one in (tcp, path, abstract):
            one.listen()
        target = target_of(base) | {
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "abstract": name,
        }
        if "watch" in broken:
            target["patience"] = 0
        job = {
            "root": str(base / "root"),
            "without": without,
            "broken": broken,
            "scratch": str(base / "scratch"),
            "readable": [str(base / "readable")],
            "walls": {one: WALL if one in PATIENT else BUSY_WALL for one in attacks},
            "attacks": {one: ATTACKS[one].source for one in sorted(attacks)},
            "target": target,
        }
        command = [sys.executable, "-P", "-S", "-s", "-B", str(base / "runner.py")]
        if whom == "nobody":
            command[0] = OTHERS_PYTHON
        command = [*OTHERS.get(whom, ()), *command]
        done = subprocess.run(
            command,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"},
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said = json.loads(done.stdout.splitlines()[-1])
        found.endings = said["endings"]
        if said["noticed"]["signals"]:
            found.harm.append(f"the parent was sent {said['noticed']['signals']}")
        if said["noticed"]["changed"]:
            found.harm.append("the parent's limits or rights are others")
        found.harm += _received(tcp=tcp, udp=udp, path=path, abstract=abstract)
        found.harm += _left_behind(base)
        if TOKEN in done.stdout + done.stderr:
            found.harm.append("the secret was printed")
    return found


def _received(**listeners: socket.socket) -> list[str]:
    harm = []
    for name, one in listeners.items():
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            if one.type == socket.SOCK_DGRAM:
                harm.append(f"{name} received {one.recv(100)!r}")
            else:
                one.accept()[0].close()
                harm.append(f"somebody connected to {name}")
    return harm


def _left_behind(base: Path) -> list[str]:
    harm = [f"{one} was left behind" for one in (base / "outside").glob("[!p]*")]
    harm += [f"{one} was left behind" for one in (base / "scratch").iterdir()]
    for one in Path("/dev/shm").glob(f"left-behind-{base.name}*"):
        harm.append(f"{one} was left behind")
        one.unlink()
    if (base / "outside/precious").read_text() != "precious":
        harm.append("a file outside was changed")
    if (base / "readable/file").read_text() != "may be read\n":
        harm.append("a file that may be read was changed")
    for path, mode in (("outside/precious", 0o666), ("readable/file", 0o666), ("secret", 0o644)):
        status = (base / path).stat()
        if status.st_mode & 0o777 != mode or status.st_nlink != 1 or status.st_mtime == 0:
            harm.append(f"what {path} is like was changed")
    return harm
