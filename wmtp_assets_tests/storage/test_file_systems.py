"""Which file system a path is on: read from the kernel's list, and named with its consequences."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmtp_assets.artifacts.requirements import file_system
from wmtp_assets.storage import file_systems
from wmtp_assets.storage.file_systems import FileSystem, file_system_of

MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 22 0:25 / /home rw,relatime shared:5 - nfs4 filer:/home rw,vers=4.2,local_lock=none,addr=10.0.0.2
31 22 0:26 / /scratch rw - lustre 10.0.0.3@tcp:/work rw,localflock
32 22 0:27 / /data\040of\040all rw - gpfs gpfs0 rw
33 30 0:28 / /home/mine rw - fuse.sshfs me@host: rw
34 30 0:29 / /home/mine rw - nfs filer:/mine rw,vers=3,nolock,local_lock=all
35 22 0:30 / /new - odd
nonsense
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS, encoding="ascii")
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "mountinfo")


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/", "ext4", "this machine's kernel"),
        ("/homes/me", "ext4", "this machine's kernel"),
        ("/home/me/storage", "nfs4", "kept by the server"),
        ("/home/mine/storage", "nfs", "granted by each machine for itself"),
        ("/scratch/not/there/yet", "lustre", "granted by each machine for itself"),
        ("/data of all", "gpfs", "may be granted by each machine"),
    ],
)
def test_the_mount_that_a_path_is_in_is_found(path: str, kind: str, words: str) -> None:
    found = file_system_of(Path(path))
    assert found.kind == kind
    assert found.is_local is (kind == "ext4")
    assert words in found.locks()


@pytest.mark.usefixtures("mounts")
def test_the_doctor_names_it_with_the_consequences() -> None:
    fact = file_system(Path("/home/mine/storage"))
    assert fact.state == "warning"
    for words in ("nfs: ", "taken over", "not mapped"):
        assert words in fact.found
    assert fact.where == "(mounted at /home/mine from filer:/mine)"
    fact = file_system(Path("/srv"))
    assert (fact.state, fact.hint) == ("ok", "")
    assert fact.found.startswith("ext4: ")
    assert fact.where == "(mounted at / from /dev/vda)"


def test_what_the_system_does_not_say_is_taken_for_a_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_systems, "_MOUNTS", tmp_path / "none")
    assert file_system_of(tmp_path) == FileSystem("unknown", Path("/"))
    assert not file_system_of(tmp_path).is_local


def test_this_machines_own_are_known() -> None:
    assert file_system_of(Path("/dev/shm")).kind == "tmpfs"
    assert file_system_of(Path("/proc/self")).kind == "proc"
