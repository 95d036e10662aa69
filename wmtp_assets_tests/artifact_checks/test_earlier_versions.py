"""What an earlier version of the package made is reported as such, and made again unfetched."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file, save_file

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.kinds import code_version_of
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets_tests.artifact_checks.breaking import answers, recommit

REBUILT = {Kind.CHECKPOINT, Kind.SHARDS, Kind.CONFIG, Kind.TOKENIZER, Kind.MODEL_METADATA}


def as_before(folder: Path) -> None:
    """Rewrites what the first version wrote otherwise: headers, certificates, a config."""
    for path in folder.rglob("*.safetensors"):
        save_file(load_file(path), path)
    certificate = folder / "certificate.json"
    if certificate.exists():
        document = json.loads(certificate.read_bytes())
        document["format"] = 1
        del document["digest_algorithm"]
        for tensor in document["tensors"]:
            tensor["sha256"], tensor["source_sha256"] = tensor["digest"], tensor["source_digest"]
            del tensor["digest"], tensor["source_digest"]
        certificate.write_text(json.dumps(document, indent=2))
    config = folder / "tokenizer_config.json"
    if config.exists():
        document = json.loads(config.read_bytes())
        del document["model_input_names"]
        config.write_text(json.dumps(document))


def test_a_storage_of_the_first_version_is_rebuilt_and_nothing_is_fetched(copied: Project) -> None:
    old = [a for a in copied.artifacts.values() if a.kind in REBUILT]
    assert stale_artifacts(copied, copied.artifacts) == set()
    for artifact in old:
        recommit(copied, artifact.name, as_before, code_version="1")
        finding = answers(copied, artifact.name)["inputs_current"]
        assert not finding.passed
        assert "made by an earlier version" in str(finding.found)
        assert finding.hint == f"wmtp materialize {artifact.name}"
    stale = stale_artifacts(copied, copied.artifacts)
    assert {artifact.name for artifact in old} <= stale
    kinds = {artifact.kind for artifact in copied.artifacts.values() if artifact.name in stale}
    assert Kind.RAW not in kinds


def test_of_rows_only_those_are_rebuilt_whose_format_gives_others(copied: Project) -> None:
    """Rows got their tests in `metadata` where they have some; those of code_contests, which take
    longest to build, have none there and stay as they are."""
    rows = [a for a in copied.artifacts.values() if a.kind is Kind.SPLIT]
    assert {code_version_of(a) for a in rows if a.owner == "codecontests"} == {"3.2"}
    changed = [a for a in rows if a.owner != "codecontests"]
    for artifact in changed:
        recommit(copied, artifact.name, lambda _: None, code_version="3")
        assert not answers(copied, artifact.name)["inputs_current"].passed
    stale = stale_artifacts(copied, copied.artifacts)
    owned = {a.name for a in copied.artifacts.values() if a.owner in {a.owner for a in changed}}
    # Training rows are searched for those of the others again.
    searched = {f"datasets/codecontests_{part}" for part in ("train_leaks", "quality_card")}
    assert stale == {name for name in owned if not copied.artifacts[name].is_fetched} | searched


def test_the_header_says_what_older_versions_of_transformers_ask_for(project: Project) -> None:
    for name, artifact in project.artifacts.items():
        if artifact.kind not in (Kind.CHECKPOINT, Kind.SHARDS):
            continue
        for path in project.store.path(name).rglob("*.safetensors"):
            length = int.from_bytes(path.read_bytes()[:8], "little")
            header = json.loads(path.read_bytes()[8 : 8 + length])
            assert header["__metadata__"] == {"format": "pt"}
            assert read_header(path).parameters > 0
