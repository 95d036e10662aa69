"""A layout is one module: the one in docs/how-to-add-a-layout.md is added, used and checked."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.reader import CatalogError
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layouts import LAYOUTS, assign
from wmtp_assets_tests.worlds import materialized

PACKAGE = Path(wmtp_assets.__file__).parent
PAGE = Path(__file__).parents[2] / "docs/how-to-add-a-layout.md"
NEW = {
    f"models/acme-tiny{part}"
    for part in ("_raw", "", "_config", "_certificate", "_metadata", "_card")
}


def block_of(language: str) -> str:
    """The one block of the page in this language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    return str(found)


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's module, and its layout among the known ones."""
    path = tmp_path / "acme_llama.py"
    path.write_text(block_of("python"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("acme_llama", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(LAYOUTS, module.LAYOUT.name, module.LAYOUT)
    return module


@pytest.fixture
def original() -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """The sample's catalog with the page's entry."""
    text = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")
    path = tmp_path / "with_acme.yaml"
    entry = block_of("yaml")
    path.write_text(text.replace("datasets:\n", f"{entry}\ndatasets:\n", 1), encoding="utf-8")
    return path


@pytest.fixture
def with_acme(
    tmp_path: Path,
    acme: ModuleType,
    original: LlamaForCausalLM,
    catalog: Path,
    copied: Project,
    sample: Path,
) -> Project:
    """The sample made, and a mirror that has Acme's model besides."""
    shutil.copytree(sample / "hub", tmp_path / "hub")
    repository = tmp_path / "hub/models/acme/acme-tiny"
    repository.mkdir(parents=True)
    tensors = {acme._acme(name): tensor for name, tensor in original.state_dict().items()}
    assert "blocks.1.attn.out.weight" in tensors
    save_file(tensors, repository / "model.safetensors")
    config = {**original.config.to_dict(), "architectures": ["AcmeForCausalLM"]}
    (repository / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return Project(load_catalog(catalog), copied.storage, str(tmp_path / "hub"))


@pytest.mark.slow
def test_a_model_of_a_new_layout_is_converted_checked_and_let_through_the_gate(
    with_acme: Project, project: Project, original: LlamaForCausalLM
) -> None:
    assert set(with_acme.artifacts) - set(project.artifacts) == NEW
    result = materialized(with_acme, NEW)
    checks = result.get_asset_check_evaluations()
    assert [check.check_name for check in checks if not check.passed] == []
    assert result.success
    assert "causal_lm_loads" in {check.check_name for check in checks}
    findings = [f for name in NEW for f in run_checks(with_acme, with_acme.artifacts[name])]
    assert [finding.name for finding in findings if not finding.passed] == []
    verdict = evaluate(with_acme)
    assert verdict.open, verdict

    folder = with_acme.storage / "models_v2/acme-tiny"
    assert json.loads((folder / "metadata.json").read_bytes())["layout"] == "acme-llama"
    tokens = torch.arange(7)[None] * 31
    with torch.no_grad():
        expected = original.half().float()(tokens).logits
        found = AutoModelForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32)(tokens)
    torch.testing.assert_close(found.logits, expected)


def test_what_the_new_layout_does_not_find_is_named(
    acme: ModuleType, original: LlamaForCausalLM
) -> None:
    config = {**original.config.to_dict(), "architectures": ["AcmeForCausalLM"]}
    names = [acme._acme(name) for name in original.state_dict()]
    assert assign("acme-llama", config, names).left_out == {}
    others = [*(name for name in names if name != "blocks.0.norm1.weight"), "extra"]
    with pytest.raises(LayoutError, match=r"missing blocks\.0\.norm1\.weight.* unexpected extra"):
        assign("acme-llama", config, others)


def test_a_layout_that_nobody_added_is_refused_by_file_line_and_field(catalog: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog(catalog)
    line = catalog.read_text(encoding="utf-8").splitlines().index("    layout: acme-llama") + 1
    assert f"{catalog}:{line} models.acme-tiny.layout" in str(caught.value)
    for name in LAYOUTS:
        assert repr(name) in str(caught.value)


def test_every_module_of_the_folder_is_a_layout() -> None:
    modules = {path.stem for path in (PACKAGE / "checkpoints/layouts").glob("*.py")}
    assert {name.replace("-", "_") for name in LAYOUTS} == modules - {"__init__"}


def test_no_other_module_asks_which_layout_a_model_has() -> None:
    """What depends on the layout is said in its module: nobody else names one."""
    named = set(LAYOUTS) - {"llama"}  # which is a model type of transformers as well
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.parent == PACKAGE / "checkpoints/layouts":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in named:
                found.append(f"{path}:{node.lineno} {node.value!r}")
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
                if any(side.rpartition(".")[2] == "layout" for side in sides) and (
                    {"'llama'", "MTP", "LLAMA", "REWARD"} & set(sides)
                ):
                    found.append(f"{path}:{node.lineno} {ast.unparse(node)}")
    assert found == []
