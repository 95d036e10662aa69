"""Every question about fetched files, each seen to come out wrong for what it is about."""

from __future__ import annotations

from wmtp_assets.artifacts import Project
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


def test_weights_that_were_let_go_are_a_warning_and_named(copied: Project) -> None:
    weights = next(path for path in release_weights(copied, dry_run=False) if path.suffix == ".pth")
    weights.unlink()
    found = answers(copied, f"{MTP}_raw")
    assert {name for name, finding in found.items() if not finding.passed} == {"weights_kept"}
    assert weights.name in str(found["weights_kept"].found)
    assert failed(copied, MTP) == set()
