"""Whether upstream has moved, told without downloading."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wmtp_assets.hub.drift import ChangedFile, drift
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub

REPO = RepoId("model", "org/name")
FILES = {"README.md": b"one", "config.json": b"{}", "weights.bin": b"w" * 100}
TAKEN = [WantedFile("config.json"), WantedFile("weights.bin")]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_nothing_happened(loopback: LoopbackHub) -> None:
    pinned = loopback.world.commit("model", "org/name", FILES)
    found = drift(open_hub(None, QUICK), REPO, pinned, TAKEN)
    assert (found.head, found.moved, found.changed) == (pinned, False, ())


def test_a_change_of_the_readme_alone_changes_no_taken_file(loopback: LoopbackHub) -> None:
    pinned = loopback.world.commit("model", "org/name", FILES)
    head = loopback.world.commit("model", "org/name", FILES | {"README.md": b"two"})
    found = drift(open_hub(None, QUICK), REPO, pinned, TAKEN)
    assert (found.head, found.moved, found.changed) == (head, True, ())


def test_changed_and_vanished_files_are_named_with_their_digests(loopback: LoopbackHub) -> None:
    pinned = loopback.world.commit("model", "org/name", FILES)
    loopback.world.commit("model", "org/name", {"README.md": b"", "weights.bin": b"W" * 100})
    found = drift(open_hub(None, QUICK), REPO, pinned, TAKEN)
    config, weights = found.changed
    assert (config.path, config.after) == ("config.json", None)
    assert config.before is not None
    assert weights == ChangedFile("weights.bin", digest(b"w" * 100), digest(b"W" * 100))
    assert loopback.world.bodies("weights.bin") == []


def test_a_history_that_was_rewritten_is_judged_by_the_catalogs_digests(
    loopback: LoopbackHub,
) -> None:
    loopback.world.commit("model", "org/name", FILES)
    wanted = [WantedFile("weights.bin", sha256=digest(FILES["weights.bin"]))]
    assert drift(open_hub(None, QUICK), REPO, "f" * 40, wanted).changed == ()
    wanted = [WantedFile("weights.bin", sha256="0" * 64), WantedFile("config.json")]
    changed = drift(open_hub(None, QUICK), REPO, "f" * 40, wanted).changed
    assert [file.path for file in changed] == ["weights.bin", "config.json"]


def test_a_directory_without_a_record_does_not_drift(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "org" / "name"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"w")
    found = drift(open_hub(str(tmp_path), QUICK), REPO, "directory", [WantedFile("weights.bin")])
    assert (found.head, found.moved) == ("directory", False)
