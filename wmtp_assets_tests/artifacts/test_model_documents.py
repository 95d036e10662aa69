"""What the documents beside a model say to those who train from it, and to what was made before."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.artifacts.structure import ModelMetadata, structure_fault
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.artifact_checks.breaking import answers, document, failed, recommit

MODELS = ("meta-llama-mtp", "ref-sheared-llama-2.7b", "starling-rm-7b", "micro-mtp", "micro-ref")
# What verifiers and training read of meta_adapter.yaml, which they prefer where it exists.
READ_OF_ADAPTER = {
    "n_future_tokens",
    "rope_theta",
    "num_hidden_layers",
    "hidden_size",
    "vocab_size",
    "intermediate_size",
    "model_name",
    "max_position_embeddings",
    "cache",
}
# What the first document of the training project lists of metadata.json.
LISTED = {
    "model_name",
    "version",
    "n_params",
    "format",
    "files",
    "sha256",
    "source",
    "tokenizer_shared_with",
    "value_head",
    "distributed",
}


def metadata_of(project: Project, model: str) -> tuple[Path, dict[str, Any]]:
    folder = project.storage / "models_v2" / model
    return folder, json.loads((folder / "metadata.json").read_bytes())


@pytest.mark.parametrize("model", MODELS)
def test_metadata_has_every_field_that_is_listed_and_each_is_true(
    project: Project, model: str
) -> None:
    folder, found = metadata_of(project, model)
    assert found.keys() >= LISTED
    assert structure_fault(ModelMetadata, found) == ""
    files = {role: folder / path for role, path in found["files"].items()}
    assert [role for role, path in files.items() if not path.is_file()] == []
    assert {"checkpoint", "checksums", "config", "certificate", "tokenizer"} <= files.keys()
    assert found["sha256"]["checkpoint"] == sha256_file(files["checkpoint"])
    assert found["sha256"]["tokenizer.model"] == sha256_file(files["tokenizer"])
    assert found["model_name"] == found["name"] == model
    assert found["n_params"] == found["parameters"]
    origin = project.catalog.upstream_of(model)
    assert found["source"]["repository"] == origin.repository
    assert found["source"]["revision"] == origin.revision
    receipt = project.store.current(f"models/{model}")
    assert receipt is not None
    assert found["version"] == receipt.version
    own = None if model == "meta-llama-mtp" else "meta-llama-mtp"
    assert found["tokenizer_shared_with"] == own
    assert found["value_head"]["stored"] is (model == "starling-rm-7b")


def test_the_adapter_is_there_for_models_of_several_predictions_and_for_no_others(
    project: Project,
) -> None:
    path = "configs/meta_adapter.yaml"
    for model in MODELS:
        folder, metadata = metadata_of(project, model)
        is_mtp = metadata["layout"] == "meta-mtp"
        assert (folder / path).is_file() is is_mtp
        assert (metadata["files"].get("adapter") == path) is is_mtp
        if not is_mtp:
            continue
        adapter = yaml.safe_load((folder / path).read_bytes())
        config = json.loads((folder / "configs/config.json").read_bytes())
        assert adapter.keys() >= READ_OF_ADAPTER
        assert adapter["model_name"] == model
        assert adapter["num_hidden_layers"] == config["num_hidden_layers"]
        assert adapter["max_position_embeddings"] == config["max_position_embeddings"] == 2048
        assert adapter.get("target_device") == ("mps" if model == "micro-mtp" else None)


ELSEWISE: dict[str, tuple[str, str, Callable[[dict[str, Any]], object], set[str]]] = {
    "another model's name": (
        "metadata",
        "metadata.json",
        lambda v: v.update(model_name="b"),
        set(),
    ),
    "other files": ("metadata", "metadata.json", lambda v: v["files"].update(config="x"), set()),
    "a value head": (
        "metadata",
        "metadata.json",
        lambda v: v["value_head"].update(stored=True),
        {"metadata_agrees"},
    ),
    "no sharding": (
        "metadata",
        "metadata.json",
        lambda v: v["distributed"].update(fsdp_compatible=False),
        {"metadata_agrees"},
    ),
    "a version of another form": (
        "metadata",
        "metadata.json",
        lambda v: v.update(version="v2"),
        {"metadata_structure"},
    ),
    "more positions in config.json": (
        "config",
        "config.json",
        lambda v: v.update(max_position_embeddings=8192),
        set(),
    ),
}


@pytest.mark.parametrize("case", ELSEWISE)
def test_a_field_that_says_otherwise_is_found(copied: Project, case: str) -> None:
    part, file, change, more = ELSEWISE[case]
    name = f"models/micro-mtp_{part}"
    recommit(copied, name, document(file, change))
    assert failed(copied, name) == {"derived_from_inputs"} | more


def as_before(folder: Path) -> None:
    """The documents of a model as they were before they said all that training reads."""
    for path in folder.iterdir():
        if path.name == "metadata.json":
            value = json.loads(path.read_bytes())
            kept = {n: one for n, one in value.items() if n not in LISTED or n == "sha256"}
            del kept["sha256"]["checkpoint"]
            path.write_text(json.dumps(kept, indent=2))
        elif path.name == "meta_adapter.yaml":
            adapter = yaml.safe_load(path.read_bytes())
            for new in ("model_name", "num_hidden_layers", "max_position_embeddings", "cache"):
                del adapter[new]
            adapter.pop("target_device", None)
            path.write_text(yaml.safe_dump(adapter, sort_keys=False))
        elif path.name == "config.json" and "meta-mtp" in path.read_text():
            value = json.loads(path.read_bytes())
            del value["max_position_embeddings"]
            path.write_text(json.dumps(value, indent=2))


def test_of_an_earlier_storage_only_the_documents_are_made_again(copied: Project) -> None:
    before = {name: copied.store.current(name) for name in copied.artifacts}
    versions = {Kind.CONFIG: "2", Kind.ADAPTER: "1", Kind.MODEL_METADATA: "2"}
    changed = [one for one in copied.artifacts.values() if one.kind in versions]
    for one in changed:
        recommit(copied, one.name, as_before, code_version=versions[one.kind])
    # A slice is made from its base's config too, whose bytes were others.
    micro, config = "models/micro-mtp", copied.store.current("models/meta-llama-mtp_config")
    sliced = copied.store.current(micro)
    assert config is not None
    assert sliced is not None
    recommit(
        copied,
        micro,
        lambda folder: None,
        inputs={**sliced.inputs, "models/meta-llama-mtp_config": config.digest},
    )
    for name in (micro, *(one.name for one in changed)):
        home, current = copied.store.versions.home(name), copied.store.current(name)
        assert current is not None
        for other in home.iterdir():
            if other.is_dir() and other.name not in ("current", current.version):
                shutil.rmtree(other)  # else the version of today would be taken up again
    said = answers(copied, "models/micro-mtp_metadata")["inputs_current"]
    assert "made by an earlier version" in str(said.found)

    made = set()
    log = logging.getLogger("test")
    for artifact in copied.artifacts.values():
        outcome = make_artifact(copied, artifact, load_inputs(copied, artifact), log)
        if not outcome.unchanged:
            made.add(artifact.name)
    assert made == {micro, *(one.name for one in changed)}
    for name, receipt in before.items():
        again = copied.store.current(name)
        assert again is not None
        assert receipt is not None
        assert again.digest == receipt.digest, name


def test_an_alias_is_the_same_files_again_in_the_current_generation(
    current_project: Project, project: Project
) -> None:
    storage = current_project.storage
    model, alias = (storage / "models" / name for name in ("micro-ref", "micro-reference"))
    whole = model.resolve()
    below = [one.relative_to(whole) for one in whole.rglob("*") if one.is_file()]
    assert {Path("hf/config.json"), Path("safetensors/model.safetensors")} <= set(below)
    for path in below:
        assert (alias / path).resolve() == (model / path).resolve()
    assert not (storage / "models_v2" / "micro-reference").exists()
    assert not (project.storage / "models_v2" / "micro-reference").exists()
    sets = current_project.sets
    assert "models/micro-reference" in sets["models/micro-ref"].mounts
    assert json.loads((alias / "metadata.json").read_bytes())["model_name"] == "micro-ref"
