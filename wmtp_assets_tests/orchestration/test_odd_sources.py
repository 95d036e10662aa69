"""Odd checkpoints through the whole house: a stale index, wrapped weights, and who says so."""

from __future__ import annotations

import json
import re
import warnings
from importlib import resources
from pathlib import Path

import dagster as dg
import pytest
import torch

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.definitions import build_defs
from wmtp_assets.sample import write_sample
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.artifact_checks.breaking import answers

SHEARED, STARLING = "models/ref-sheared-llama-2.7b", "models/starling-rm-7b"


@pytest.fixture
def odd(tmp_path: Path) -> Project:
    """The sample with a stale index and a wrapped state dict upstream, and an empty storage."""
    hub = tmp_path / "hub"
    write_sample(hub)
    (index,) = hub.glob("**/Sheared-LLaMA-2.7B/**/pytorch_model.bin.index.json")
    value = json.loads(index.read_bytes())
    value["metadata"]["total_size"] *= 2
    index.write_text(json.dumps(value))
    (weights,) = hub.glob("**/Starling-RM-7B-alpha/**/pytorch_model.bin")
    state = torch.load(weights, weights_only=True)
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}
    torch.save({**wrapped, "epoch": 3}, weights)
    _list_anew(hub / "assets.lock", (index, weights))
    text = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(path: pytorch_model\.bin)\n *sha256: \w+", r"\1", text)
    text = text.replace(
        "layout: llama-reward",
        "layout: llama-reward\n    weights_key: state_dict\n    strip_prefix: module.",
    )
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    return Project(load_catalog(path), tmp_path / "storage", str(hub))


def _list_anew(lock: Path, changed: tuple[Path, ...]) -> None:
    """Makes the mirror's list of its files say what `changed` are now."""
    listed = json.loads(lock.read_bytes())
    for path in changed:
        (repo,) = (entry for name, entry in listed["repos"].items() if name in str(path))
        files = repo["files"]
        files[path.name] |= {"size": path.stat().st_size, "sha256": sha256_file(path)}
    lock.write_text(json.dumps(listed))


@pytest.mark.slow
def test_differences_are_in_the_log_the_certificate_the_facts_and_the_check(odd: Project) -> None:
    wanted = {f"{model}{part}" for model in (SHEARED, STARLING) for part in ("_raw", "")}
    keys = {dg.AssetKey(name.split("/")) for name in wanted}
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        defs = build_defs(odd.catalog, odd.hub_spec, odd.storage)
        job = defs.resolve_job_def("materialize_all").get_subset(
            asset_selection=keys, asset_check_selection=set()
        )
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        said = [
            entry.user_message
            for entry in instance.all_logs(result.run_id)
            if entry.level == 30  # a warning
        ]
    assert result.success, said[-3:]
    checkpoint = odd.store.path(SHEARED)
    certificate = json.loads((checkpoint / "certificate.json").read_bytes())
    (warning,) = certificate["warnings"]
    stated, held = re.findall(r"([\d,]+)(?:, the| bytes)", warning)
    assert int(stated.replace(",", "")) == 2 * int(held.replace(",", ""))
    assert any(warning in line for line in said)
    receipt = odd.store.current(SHEARED)
    assert receipt is not None
    assert receipt.facts["warnings"] == [warning]
    finding = answers(odd, SHEARED)["certificate_matches_target"]
    assert finding.passed
    assert finding.details["warnings"] == [warning]
    # The same tensors as before it was wrapped: every question about them has its old answer.
    assert [f.name for f in answers(odd, STARLING).values() if not f.passed] == []
    certificate = json.loads((odd.store.path(STARLING) / "certificate.json").read_bytes())
    assert {t["source_name"].partition(".")[0] for t in certificate["tensors"]} == {"module"}
