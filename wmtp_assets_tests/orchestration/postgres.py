"""A real Postgres server on loopback: Debian's, with a cluster of its own in a temporary folder."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from wmtp_assets.orchestration import home
from wmtp_assets_tests.ports import reserved_port

CONFIG = Path(home.__file__).with_name("dagster.postgres.yaml")
USER, PASSWORD = "wmtp", "hunter2/@:%secret"
PATIENCE = "240"  # seconds, of a loaded machine
_RUNS_AS = "postgres"  # Debian's account: the server refuses to be root's


def programs() -> Path | None:
    """The folder of the server's programs, which Debian leaves out of PATH; None without one."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4])
    )
    there = shutil.which("postgres")
    return found[-1].parent if found else Path(there).resolve().parent if there else None


needs_postgres = pytest.mark.skipif(
    programs() is None, reason="no Postgres server is installed: apt-get install postgresql"
)


@dataclass(frozen=True)
class Server:
    """A cluster in `folder`; it listens on 127.0.0.1 alone, and asks for the password."""

    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """The variables of Postgres's own clients, as a user exports them."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
            "PGDATABASE": "postgres",
        }

    def call(self, program: str, *arguments: str) -> str:
        """What one of the server's programs prints, called by the account that the server has."""
        folder = programs()
        assert folder is not None
        done = subprocess.run(
            [folder / program, *arguments],
            cwd=self.folder,
            env={
                **{"PATH": os.environ["PATH"], "LC_ALL": "C"},
                "PGCTLTIMEOUT": "240",  # seconds, of a loaded machine
                **self.environment,
            },
            user=_RUNS_AS if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def control(self, *arguments: str) -> None:
        """`pg_ctl`, which waits until it is done."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
        options += "-c fsync=off"  # what a process loses that is killed is the same
        at = ("-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-t", PATIENCE)
        self.call("pg_ctl", *at, "-o", options, *arguments)

    def sql(self, text: str, database: str = "postgres") -> str:
        """The rows that a statement gives, as psql prints them unaligned."""
        return self.call("psql", "-w", "-q", "-At", "-c", text, database).strip()

    def new_database(self, name: str) -> dict[str, str]:
        """Makes an empty database: what leads to it."""
        self.sql(f"CREATE DATABASE {name}")
        return {**self.environment, "PGDATABASE": name}


@contextmanager
def running_server() -> Iterator[Server]:
    """A server that runs while the block does."""
    with tempfile.TemporaryDirectory(prefix="wmtp-pg-") as name, reserved_port() as port:
        folder = Path(name)
        if os.geteuid() == 0:
            account = pwd.getpwnam(_RUNS_AS)
            os.chown(folder, account.pw_uid, account.pw_gid)
        server = Server(folder, port)
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        (folder / "password").chmod(0o644)
        server.call(
            "initdb",
            *("-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", "-E", "UTF8"),
            *("--locale=C", "--no-sync", "--pwfile", str(folder / "password")),
        )
        server.control("start")
        try:
            yield server
        finally:
            server.control("stop", "-m", "immediate")


def written_home(folder: Path, **changes: str) -> Path:
    """A Dagster home whose configuration is the one for Postgres, with other values by name."""
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG.read_text(encoding="utf-8")
    for name, value in changes.items():
        text, count = re.subn(rf"(?m)^( +{name}): \S+", rf"\1: {value}", text)
        assert count == 1, name
    (folder / "dagster.yaml").write_text(text, encoding="utf-8")
    return folder
