"""Whose rights programs have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.execution import kernel, privileges

pytestmark = pytest.mark.skipif(not kernel.machine(), reason="no sandbox on this machine")


def test_what_others_can_read(tmp_path: Path) -> None:
    closed, file = tmp_path / "closed", tmp_path / "closed/file"
    closed.mkdir(mode=0o700)
    file.touch()
    file.chmod(0o644)

    def ask(path: Path, *, parents: bool) -> bool:
        privileges.can_be_read_by_others.cache_clear()
        return privileges.can_be_read_by_others(path, parents=parents)

    assert ask(file, parents=False)
    assert not ask(file, parents=True)
    assert not ask(closed, parents=False)
    file.chmod(0o600)
    assert not ask(file, parents=False)
    assert ask(Path("/usr/lib"), parents=True)
    assert ask(tmp_path / "missing", parents=True)


def test_users_are_those_that_this_process_can_become(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges, "has", lambda *_: True)
    monkeypatch.setattr(privileges, "_extents", lambda _: [(0, 4294967295)])
    assert privileges.users() == "own"
    monkeypatch.setattr(privileges, "_extents", lambda _: [(0, 1000), (1000, 64536)])
    assert privileges.users() == "nobody"
    monkeypatch.setattr(privileges, "_extents", lambda kind: [(0, 1)])
    assert privileges.users() == "same"
    monkeypatch.setattr(privileges, "_extents", lambda _: [(0, 4294967295)])
    for lacking in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"):
        number = getattr(privileges, lacking)
        monkeypatch.setattr(privileges, "has", lambda *asked, number=number: number not in asked)
        assert privileges.users() == "same", lacking
    monkeypatch.setattr(privileges, "has", lambda *_: False)
    monkeypatch.setattr(privileges, "_extents", lambda _: [(0, 4294967295)])
    assert privileges.users() == "same"


def test_each_program_is_another_user() -> None:
    drawn = {privileges.user_for("own") for _ in range(50)}
    assert len(drawn) == 50
    assert privileges.user_for("same") is None
    assert privileges.user_for("nobody") == 65534


@pytest.mark.skipif(
    os.getuid() != 0 or not privileges.has(privileges.SETUID),
    reason="only root has capabilities to drop",
)
@pytest.mark.parametrize("keep", [[], [privileges.DAC_READ_SEARCH]], ids=["none", "one"])
def test_root_becomes_another_user_without_capabilities(keep: list[int]) -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, os\n"
            "from wmtp_assets.execution import privileges\n"
            "privileges.drop(1_999_999_999, keep=[int(one) for one in sys.argv[1:]])\n"
            "print(os.getresuid(), os.getresgid(), os.getgroups(), privileges.held())",
            *map(str, keep),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    user = (1_999_999_999,) * 3
    assert said.strip() == f"{user} {user} [] {sum(1 << one for one in keep)}"
