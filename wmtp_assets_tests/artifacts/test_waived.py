"""`waive_overflow`: a tensor that the catalog waives passes everything, with a warning that names
it; whatever is not waived still closes the gate."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Verdict, evaluate
from wmtp_assets.catalog import Catalog
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets_tests.artifact_checks.breaking import failed, values
from wmtp_assets_tests.artifacts.resealing import reseal
from wmtp_assets_tests.artifacts.workbench import Workbench

MTP, REF, REWARD = "meta-llama-mtp", "ref-sheared-llama-2.7b", "starling-rm-7b"
REPOSITORIES = {
    MTP: "models/facebook/multi-token-prediction",
    REF: "models/princeton-nlp/Sheared-LLaMA-2.7B",
    REWARD: "models/berkeley-nest/Starling-RM-7B-alpha",
}
# Per model: the file and the tensor at the source that get a value beyond float16's range, what
# the converted file calls the tensor, and the micro model that is cut from it.
CASES = {
    MTP: ("7B_1T_4/consolidated.pth", "output.weight", "output.weight", "micro-mtp"),
    REF: ("pytorch_model-00002-of-00002.bin", "lm_head.weight", "lm_head.weight", "micro-ref"),
    REWARD: ("pytorch_model.bin", "v_head.weight", "v_head.weight", ""),
}
HUGE = 1e6


def with_huge_values(hub: Path, model: str, folder: Path) -> Path:
    """A copy of the mirror in which three values of one tensor are too large for float16."""
    file, tensor, _, _ = CASES[model]
    shutil.copytree(hub, folder)
    path = folder / REPOSITORIES[model] / file
    found = open_source([path]).tensors[tensor]
    kind = "<f4" if found.dtype == "float32" else "<u2"
    value = np.array([HUGE] * 3, "<f4")
    data = value.tobytes() if kind == "<f4" else (value.view("<u4") >> 16).astype("<u2").tobytes()
    with path.open("r+b") as archive:
        archive.seek(found.offset)
        archive.write(data)
    lock = json.loads((folder / "assets.lock").read_bytes())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lock["repos"][REPOSITORIES[model]]["files"][file]["sha256"] = digest
    (folder / "assets.lock").write_text(json.dumps(lock), encoding="utf-8")
    return folder


def catalog_of(catalog: Catalog, model: str, waived: tuple[str, ...]) -> Catalog:
    """The catalog with one model that must be there, stored as float16, and its slice."""
    micro = CASES[model][3]
    names = [MTP, model, *([micro] if micro else [])]
    models = {name: catalog.models[name] for name in names}
    if model != MTP:
        models[MTP] = models[MTP].model_copy(update={"status": "optional"})
    entry = models[model]
    weights = [file.model_copy(update={"sha256": None}) for file in entry.files.weights]
    models[model] = entry.model_copy(
        update={
            "status": "required",
            "dtype": "float16",
            "waive_overflow": waived,
            "files": entry.files.model_copy(update={"weights": weights}),
        }
    )
    return catalog.model_copy(update={"models": models, "datasets": {}})


def made(project: Project) -> Project:
    names = [name for name, one in project.artifacts.items() if one.status == "required"]
    Workbench(project).make(names)
    return project


def why(verdict: Verdict) -> list[str]:
    return [str(reason) for c in verdict.conditions if c.required for reason in c.reasons]


@pytest.mark.parametrize("model", CASES)
def test_a_waived_tensor_passes_everything_with_a_warning_that_names_it(
    project: Project, memory: Path, model: str
) -> None:
    hub = with_huge_values(Path(str(project.hub_spec)), model, memory / "hub")
    _, _, name, micro = CASES[model]
    strict = Project(catalog_of(project.catalog, model, ()), memory / "strict", str(hub))
    with pytest.raises(dg.Failure, match="3 that become infinite") as refused:
        made(strict)
    assert f"waive_overflow: [{name}]" in str(refused.value), "what the message says to do"

    ours = made(Project(catalog_of(project.catalog, model, (name,)), memory / "ours", str(hub)))
    verdict = evaluate(ours)
    assert verdict.open, why(verdict)
    (warned,) = [c for c in verdict.conditions if c.name == "recommended"]
    warnings = {r.artifact: r.found for r in warned.reasons if r.check == "overflow_waived"}
    expected = {f"models/{one}" for one in (model, micro) if one}
    assert set(warnings) == expected
    assert all(f"{name}: 3 infinite" in found for found in warnings.values())

    # One infinity more than the cast made is not waived.
    artifact = f"models/{model}"
    reseal(ours, artifact, values(name, lambda flat: flat.__setitem__(-1, np.inf)))
    assert {"finite_values", "sampled_values_equal_source"} <= failed(ours, artifact)


def test_a_waiver_that_nothing_needs_is_no_warning(project: Project, memory: Path) -> None:
    catalog = catalog_of(project.catalog, MTP, ("output.weight",))
    ours = made(Project(catalog, memory / "ours", project.hub_spec))
    verdict = evaluate(ours)
    assert verdict.open, why(verdict)
    (warned,) = [c for c in verdict.conditions if c.name == "recommended"]
    assert not [r for r in warned.reasons if r.check == "overflow_waived"]
    other = "layers.0.attention.wq.weight"
    reseal(ours, f"models/{MTP}", values(other, lambda flat: flat.__setitem__(-1, np.inf)))
    assert "finite_values" in failed(ours, f"models/{MTP}")
