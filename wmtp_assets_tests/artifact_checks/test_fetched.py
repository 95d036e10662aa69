"""Every question about fetched files, each seen to come out wrong for what it is about."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import quick, run_checks
from wmtp_assets.artifacts.released_weights import must_return
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.artifacts.unneeded_files import release_weights
from wmtp_assets_tests.artifact_checks.breaking import answers, failed, flip

MTP, REF = "models/meta-llama-mtp", "models/ref-sheared-llama-2.7b"


def test_a_fetched_file_that_changed_on_disk_is_named(copied: Project) -> None:
    shard = "pytorch_model-00002-of-00002.bin"
    (path,) = copied.store.upstream.rglob(shard)
    flip(path)
    found = answers(copied, f"{REF}_raw")
    assert {name for name, finding in found.items() if not finding.passed} == {"fetched_files"}
    assert shard in str(found["fetched_files"].found)


def test_a_fetched_file_that_is_gone_is_named(copied: Project) -> None:
    (path,) = copied.store.upstream.rglob("params.json")
    path.unlink()
    found = answers(copied, f"{MTP}_raw")["fetched_files"]
    assert not found.passed
    assert "params.json: no file" in str(found.found)


@pytest.mark.parametrize("place", ["", "7B_1T_4", "7B_1T_4/params.json"])
def test_a_link_on_the_way_to_a_fetched_file_is_named(
    place: str, copied: Project, tmp_path: Path
) -> None:
    """The bytes behind it are right today; whoever owns them changes them tomorrow."""
    raw = copied.artifacts[f"{MTP}_raw"]
    path = fetched(copied.store, raw.name).upstream / place
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for deep in (True, False):
        findings = run_checks(copied, raw) if deep else quick(copied, raw)
        (wrong,) = [finding for finding in findings if not finding.passed]
        assert wrong.name == "fetched_files"
        assert f"a link to {tmp_path / 'elsewhere'}" in str(wrong.found)
    # The remedy, as it is printed; what follows "then" fetches what is gone.
    command = re.search(r"`(rm [^`]*)`", wrong.hint)
    assert command is not None
    subprocess.run(["sh", "-c", command[1]], check=True)
    assert must_return(copied, raw.name) is place.endswith(".json")
    if not place.endswith(".json"):
        assert all(finding.passed for finding in run_checks(copied, raw))


def test_weights_that_were_let_go_are_a_warning_and_named(copied: Project) -> None:
    released = (path for one in release_weights(copied, dry_run=False) for path in one.files())
    weights = next(path for path in released if path.suffix == ".pth")
    weights.unlink()
    found = answers(copied, f"{MTP}_raw")
    assert {name for name, finding in found.items() if not finding.passed} == {"weights_kept"}
    assert weights.name in str(found["weights_kept"].found)
    assert failed(copied, MTP) == set()


@pytest.mark.parametrize("name", [MTP, f"{MTP}_raw"])
def test_weights_are_not_removed_while_they_are_fetched_or_converted(
    name: str, copied: Project
) -> None:
    (weights,) = copied.store.upstream.rglob("consolidated.pth")
    guarded = release_weights(copied, dry_run=False)
    with copied.store.stage(name):
        held = copied.store.gc(keep=9, guarded=guarded).held
        assert "being made" in held[f"{MTP}_raw"]
        assert weights.is_file()
    assert weights in {one.path for one in copied.store.gc(keep=9, guarded=guarded).removed}
    assert not weights.exists()
