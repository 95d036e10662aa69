"""The same engine, from a folder: the faults that a disk has."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from wmtp_assets.hub.fetch import DigestMismatchError, fetch
from wmtp_assets.hub.files import WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import (
    HubError,
    NoSuchFileError,
)
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.fetching import (
    FILES,
    REPO,
    check_standing,
    files_under,
)
from wmtp_assets_tests.hub.loopback import LoopbackHub

pytestmark = pytest.mark.usefixtures("small_pieces")


@pytest.fixture
def mirror(loopback: LoopbackHub, tmp_path: Path) -> Path:
    """A mirror with a record of its digests."""
    root = tmp_path / "mirror"
    loopback.world.commit("model", "org/name", FILES, lfs=(".bin", ".model"))
    wanted = [WantedFile(path) for path in FILES]
    fetch(open_hub(None, QUICK), REPO, "main", wanted, root, Lock(root / "assets.lock"), print)
    return root


@pytest.mark.parametrize("path", [path for path, data in FILES.items() if data])
@pytest.mark.parametrize("kind", ["flip", "shorter", "longer", "gone"])
def test_a_spoiled_mirror_is_found_out(
    kind: str, path: str, mirror: Path, into: Path, lock: Lock
) -> None:
    file = mirror / REPO.folder / path
    right = file.read_bytes()
    spoiled = {
        "flip": right[:-1] + bytes([right[-1] ^ 1]),
        "shorter": right[:-1],
        "longer": right + b"!",
    }
    if kind == "gone":
        file.unlink()
    else:
        file.write_bytes(spoiled[kind])
    hub = open_hub(str(mirror), QUICK)
    error = {"gone": NoSuchFileError, "flip": DigestMismatchError}.get(kind, HubError)
    with pytest.raises(error):
        fetch(hub, REPO, "main", [WantedFile(path)], into, lock, print)
    check_standing(into, path, [None])
    file.write_bytes(right)
    (fetched,) = fetch(hub, REPO, "main", [WantedFile(path)], into, lock, print)
    assert files_under(into) == {f"{REPO.folder}/{path}": right}
    assert fetched.size == len(right)


@pytest.mark.parametrize("kind", ["nothing", "file", "pipe", "dangling link", "link to itself"])
def test_a_mirror_that_is_no_folder_is_said_to_be_so_and_the_remedy_works(
    kind: str, mirror: Path, into: Path, lock: Lock, tmp_path: Path
) -> None:
    root = tmp_path / "elsewhere"
    makers = {
        "file": root.touch,
        "pipe": lambda: os.mkfifo(root),
        "dangling link": lambda: root.symlink_to("nowhere"),
        "link to itself": lambda: root.symlink_to(root.name),
    }
    if kind in makers:
        makers[kind]()
    wanted = [WantedFile("config.json")]
    with pytest.raises(HubError, match="WMTP_HUB") as caught:
        fetch(open_hub(str(root), QUICK), REPO, "main", wanted, into, lock, print)
    assert str(root) in str(caught.value)
    fetch(open_hub(str(mirror), QUICK), REPO, "main", wanted, into, lock, print)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_in_a_mirror_is_not_opened(
    kind: str, mirror: Path, into: Path, lock: Lock
) -> None:
    file = mirror / REPO.folder / "config.json"
    file.unlink()
    file.mkdir() if kind == "folder" else os.mkfifo(file)
    with pytest.raises(NoSuchFileError):
        fetch(
            open_hub(str(mirror), QUICK), REPO, "main", [WantedFile("config.json")],
            into, lock, print,
        )  # fmt: skip
    with pytest.raises(NoSuchFileError, match=f"Found: a {kind}"):
        open_hub(str(mirror), QUICK).locate(REPO, "main", "config.json")


def test_a_folder_without_a_record_is_held_to_the_catalogs_digests(
    mirror: Path, into: Path, lock: Lock
) -> None:
    (mirror / "assets.lock").unlink()
    held = open_hub(str(mirror), QUICK)
    wanted = [WantedFile("config.json", sha256="0" * 64)]
    with pytest.raises(DigestMismatchError):
        fetch(held, REPO, "main", wanted, into, lock, print)
    shutil.rmtree(into)
    fetch(held, REPO, "any", [WantedFile("config.json")], into, lock, print)
    assert files_under(into) == {f"{REPO.folder}/config.json": FILES["config.json"]}
    assert lock.commit(REPO) == "directory"
