"""Reads beside a program that removes what is read, and of processes that end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from wmtp_assets_tests.living import begun, below, content

COMING_AND_GOING = """
import pathlib, shutil
while True:
    pathlib.Path("a/b/c").mkdir(parents=True)
    pathlib.Path("a/b/c/file").write_bytes(b"1")
    shutil.rmtree("a")
    print(flush=True)
"""


def test_what_goes_meanwhile_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"kept")
    other = subprocess.Popen(
        [sys.executable, "-c", COMING_AND_GOING], cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    try:
        for _ in range(300):
            other.stdout.readline()
            found = {path.name: content(path) for path in below(tmp_path)}
            assert found["kept"] == b"kept"
            assert set(found) <= {"kept", "a", "b", "c", "file"}
    finally:
        other.kill()
        other.wait()


def test_a_process_that_ended_has_no_content() -> None:
    program = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()  # the kernel shows no arguments of a program that it still loads
        entry = Path(f"/proc/{other.pid}")
        assert content(entry / "cmdline")
        at = begun(entry)
        assert at is not None
        assert begun(entry) == at
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is there, and lives no longer
        assert begun(entry) is None
    assert begun(entry) is None
    assert content(entry / "cmdline") is None
    assert below(entry) == []
