"""Names from upstream become paths only when they stay where they belong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.names import UnsafeNameError, check_name, safe_target
from wmtp_assets.hub.source import open_hub
from wmtp_assets.storage.bounds import checked_path
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub

HOSTILE = {
    "absolute": "/etc/passwd",
    "up": "../escape.bin",
    "up in the middle": "a/../../escape.bin",
    "drive letter": "C:/windows/system.bin",
    "drive letter alone": "c:x.bin",
    "backslash": "a\\..\\escape.bin",
    "NUL": "weights.bin\0.txt",
    "newline": "a\nb.bin",
    "empty": "",
    "empty segment": "a//b.bin",
    "trailing slash": "a/",
    "dot": "./a.bin",
    "too long": "x" * 256,
    "lone surrogate": "\udcff.bin",
}


@pytest.mark.parametrize("path", HOSTILE.values(), ids=HOSTILE)
def test_a_name_that_could_leave_its_folder_is_refused(path: str) -> None:
    with pytest.raises(UnsafeNameError):
        check_name(path)
    with pytest.raises(StorageError):  # nor may a receipt or a catalog name it
        checked_path(path)


@pytest.mark.parametrize(
    "path", ["a.bin", "7B_1T_4/consolidated.pth", ".gitattributes", "ü/…/日本"]
)
def test_an_honest_name_passes_as_it_is(path: str) -> None:
    assert check_name(path) == path


@given(st.text(max_size=60))
def test_whatever_passes_lies_under_the_folder(path: str) -> None:
    try:
        check_name(path)
    except UnsafeNameError:
        return
    root = Path("/some/where")
    joined = root / path
    assert joined.is_relative_to(root)
    assert joined.resolve().is_relative_to(root.resolve())
    assert joined != root


def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_not(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (root / "stays").symlink_to("real")
    (root / "leaves").symlink_to(outside)
    (root / "file").symlink_to(outside / "file")
    assert safe_target(root, "stays/x") == root / "stays" / "x"
    for path in ("leaves/x", "leaves/deeper/x", "file"):
        with pytest.raises(UnsafeNameError, match="leads out"):
            safe_target(root, path)


@pytest.mark.parametrize("path", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_writes_nothing_and_asks_for_nothing(
    path: str, loopback: LoopbackHub, into: Path, lock: Lock, tmp_path: Path
) -> None:
    repo = RepoId("model", "org/name")
    loopback.world.commit("model", "org/name", {"good.bin": b"good"})
    loopback.world.repos["model", "org/name"].at("main")[1][path] = loopback.world.repos[
        "model", "org/name"
    ].at("main")[1]["good.bin"]
    wanted = [WantedFile("good.bin"), WantedFile(path)]
    with pytest.raises(UnsafeNameError):
        fetch(open_hub(None, QUICK), repo, "main", wanted, into, lock, print)
    assert list(tmp_path.iterdir()) == []
    assert [seen for seen in loopback.world.seen if "storage" in seen.path] == []


def test_a_linked_folder_is_refused_before_any_write(
    loopback: LoopbackHub, into: Path, lock: Lock, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (into / "models" / "org").mkdir(parents=True)
    (into / "models" / "org" / "name").symlink_to(outside)
    loopback.world.commit("model", "org/name", {"good.bin": b"good"})
    with pytest.raises(UnsafeNameError):
        fetch(
            open_hub(None, QUICK),
            RepoId("model", "org/name"),
            "main",
            [WantedFile("good.bin")],
            into,
            lock,
            print,
        )
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("name", ["../x/y", "a/b/c", "a b", "/a", "a/..", ".a/b", "", "a/b\n"])
def test_a_repository_name_that_could_not_be_one_is_refused(name: str) -> None:
    with pytest.raises(WmtpError, match="not the name of a repository"):
        RepoId("model", name)
