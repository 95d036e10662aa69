"""A model as Llama-3 is, added by YAML alone, with the tokenizer.json of its own: made, checked,
let through the gate and read; with another's tokenizer it is refused, and both sizes are named."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.released_weights import checkpoint_of
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.cli import main
from wmtp_assets.sample.tokenizer import tokenizer_model
from wmtp_assets_tests import llama_3
from wmtp_assets_tests.artifact_checks.breaking import run_checks
from wmtp_assets_tests.artifacts.workbench import Workbench
from wmtp_assets_tests.catalog.test_reader import SAMPLE
from wmtp_assets_tests.corpora.test_tokens import TRAPS
from wmtp_assets_tests.json_tokenizers import BEGIN, PIECES, SPECIAL, trained
from wmtp_assets_tests.orchestration import tiny

NAME = llama_3.NAME
ROWS = "counted-by-llama-3"
DATASET = f"""\
  {ROWS}:
    layout: humaneval
    tokenizer: {NAME}
    upstream: {{repository: openai/openai_humaneval, revision: sample-4, licence: sample}}
    splits:
      test: {{files: [openai_humaneval/test-00000-of-00001.parquet], rows: 12}}
"""
MICRO = f"""\
  micro-llama-3:
    slice_of: {NAME}
    layers: 2
    dim: 32
    ffn: 64
    expected: {{parameters: 51360, tensors: 21}}
"""
SIZE = PIECES + SPECIAL


def with_entries(world: tiny.Tiny, *, models: str, datasets: str = "") -> None:
    text = world.catalog.read_text()
    text = text.replace("datasets:\n", f"{models}datasets:\n{datasets}", 1)
    world.catalog.write_text(text)


@pytest.fixture
def world(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tiny.Tiny:
    """A storage with a model and a split, and a hub that has the new model besides."""
    made = tiny.whole(project, tmp_path / "world")
    shutil.copytree(made.hub, tmp_path / "hub")
    llama_3.write_repository(tmp_path / "hub")
    world = tiny.Tiny(made.folder, tmp_path / "hub")
    for name in tiny.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)
    return world


def materialized(capsys: pytest.CaptureFixture[str], *names: str) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["materialize", *names, "--json"])
    return status, json.dumps(json.loads(capsys.readouterr().out)["failures"])


@pytest.mark.slow
def test_a_model_with_a_tokenizer_of_its_own_is_made_checked_released_and_read(
    world: tiny.Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(world.project.artifacts)
    with_entries(world, models=llama_3.entry() + MICRO, datasets=DATASET)
    new = set(world.project.artifacts) - before
    own = f"models/{NAME}_tokenizer"
    assert {own, f"{own}_raw"} <= new
    assert stale_artifacts(world.project, world.project.artifacts) == new
    served = world.catalog.read_text().replace(
        "models:\n", "contract: [phase1, current]\nmodels:\n", 1
    )
    world.catalog.write_text(served)
    new = set(world.project.artifacts) - before
    status, failures = materialized(capsys)
    assert (status, failures) == (0, "[]")
    assert world.opens()
    project = world.project
    findings = [f for name in new for f in run_checks(project, project.artifacts[name])]
    assert [finding for finding in findings if not finding.passed] == []
    names = {finding.name for finding in run_checks(project, project.artifacts[own])}
    assert {"tokenizer_digest", "tokenizer_ids", "derived_from_inputs"} <= names

    theirs = Tokenizer.from_str(trained().decode())
    for model, generation in itertools.product((NAME, "micro-llama-3"), ("models_v2", "models")):
        folder = world.storage / generation / model
        assert (folder / "tokenizer/tokenizer.json").read_bytes() == trained()
        assert not (folder / "tokenizer/tokenizer.model").exists()
        metadata = json.loads((folder / "metadata.json").read_bytes())
        assert metadata["sha256"]["tokenizer.json"] == hashlib.sha256(trained()).hexdigest()
        assert "tokenizer.model" not in metadata["sha256"]
        assert metadata["tokenizer_shared_with"] == (None if model == NAME else NAME)
        for at in ("tokenizer", "hf"):
            ours = AutoTokenizer.from_pretrained(folder / at)
            for text in [*TRAPS, f"def f(x):\n    return {BEGIN}x  # it's 12345\n"]:
                assert ours(text)["input_ids"] == theirs.encode(text).ids, text
                plain = theirs.encode(text, add_special_tokens=False).ids
                assert ours.encode(text, add_special_tokens=False) == plain
            assert (ours.bos_token_id, ours.eos_token_id, ours.pad_token) == (500, 501, None)
    stated = json.loads((folder / "tokenizer/tokenizer_config.json").read_bytes())
    assert not {"chat_template", "auto_map"} & stated.keys()

    folder = world.storage / "models_v2" / NAME
    tokens = torch.arange(SIZE)[None, ::5]
    loaded, report = AutoModelForCausalLM.from_pretrained(
        folder / "hf", dtype=torch.float32, output_loading_info=True
    )
    assert not any(report.values()), report
    with torch.no_grad():
        expected = llama_3.original().float()(tokens).logits
        torch.testing.assert_close(loaded(tokens).logits, expected)
    llama_3.original().to(torch.bfloat16)

    rows = [
        json.loads(line)
        for line in (world.storage / f"datasets_v2/{ROWS}/processed/test.jsonl").open()
    ]

    index = pq.read_table(world.storage / f"datasets_v2/{ROWS}/processed/test.index.parquet")
    for field in ("instruction", "output"):
        counts = [len(theirs.encode(row[field], add_special_tokens=False)) for row in rows]
        assert index[f"{field}_tokens"].to_pylist() == counts


@pytest.mark.slow
def test_another_models_tokenizer_is_refused_with_both_sizes_and_the_hint_is_the_remedy(
    world: tiny.Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    published = dict(tiny.contract(world))
    entry = llama_3.entry()
    shared = re.sub(r"    tokenizer: own\n|      tokenizer(_config)?: .*\n", "", entry)
    assert "tokenizer" not in shared
    text = world.catalog.read_text()
    with_entries(world, models=shared)
    status, failures = materialized(capsys)
    assert status == 1
    assert f"the embedding has {SIZE} rows, the tokenizer 512 pieces" in failures
    assert "write `tokenizer: own`" in failures
    assert tiny.contract(world) == published
    assert not list(world.storage.rglob(f"*/{NAME}/**/model.safetensors")), "converted first"

    wrong = trained(special=SPECIAL - 17)
    hub = world.hub
    llama_3.write_repository(hub, wrong)
    world.catalog.write_text(text)
    with_entries(world, models=entry)  # as the hint says, but the file is another model's
    status, failures = materialized(capsys)
    assert status == 1
    assert f"the embedding has {SIZE} rows, the tokenizer {SIZE - 17} pieces" in failures
    assert tiny.contract(world) == published
    assert not list(world.storage.rglob(f"*/{NAME}/**/model.safetensors")), "converted first"
    assert not world.opens()

    llama_3.write_repository(hub)
    status, failures = materialized(capsys, "--force")
    assert (status, failures) == (0, "[]")
    assert world.opens()


@pytest.mark.slow
def test_a_tokenizer_model_may_be_a_models_own_and_others_may_name_it(
    project: Project, tmp_path: Path
) -> None:
    """Without Dagster: one model with the SentencePiece model of its repository, one with that of
    the first, and one whose vocabulary is another."""
    hub, reference = tmp_path / "hub", "ref-sheared-llama-2.7b"
    shutil.copytree(Path(str(project.hub_spec)) / "models", hub / "models")
    llama_3.write_repository(hub)
    value = project.catalog.model_dump(mode="json", by_alias=True)
    entry = value["models"][reference]
    value |= {"models": {"meta-llama-mtp": value["models"]["meta-llama-mtp"]}, "datasets": {}}
    value["models"][reference] = entry | {"tokenizer": "own", "shard_bytes": None}
    again = {**entry["files"], "tokenizer": None}
    value["models"]["again"] = entry | {"tokenizer": reference, "files": again, "shard_bytes": None}
    another = yaml.safe_load(llama_3.entry())[NAME]
    value["models"][NAME] = another | {"tokenizer": reference}
    ours = Project(Catalog.model_validate(value), tmp_path / "storage", str(hub))
    bench, own = Workbench(ours), f"models/{reference}_tokenizer"
    needed = [f"{own}_raw", own]
    for name in (reference, "again"):
        parts = ("_raw", "", "_config", "_certificate", "_metadata", "_card")
        needed += [f"models/{name}{part}" for part in parts]
    bench.make(needed)
    for name in [own, f"models/{reference}_metadata", "models/again_metadata"]:
        found = run_checks(ours, ours.artifacts[name])
        assert [one for one in found if not one.passed] == [], name
    names = {one.name for one in run_checks(ours, ours.artifacts["models/again_metadata"])}
    assert "tokenizer_fits_model" in names
    assert "tokenizer_shared" not in names
    at = ours.storage / "models_v2/again"
    assert (at / "tokenizer/tokenizer.model").read_bytes() == tokenizer_model()
    metadata = json.loads((at / "metadata.json").read_bytes())
    assert metadata["tokenizer_shared_with"] == reference
    bench.make([f"models/{NAME}_raw"])
    sizes = f"the embedding has {SIZE} rows, the tokenizer 512 pieces"
    with pytest.raises(dg.Failure, match=sizes):
        bench.make([f"models/{NAME}"])


def test_the_files_of_a_tokenizer_hold_no_weights_that_could_be_let_go(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SAMPLE.replace("datasets:\n", f"{llama_3.entry()}datasets:\n", 1))
    project = Project(load_catalog(path), tmp_path / "storage")
    weights = checkpoint_of(project, f"models/{NAME}_raw")
    assert weights is not None
    assert weights.name == f"models/{NAME}"
    tokenizer = f"models/{NAME}_tokenizer_raw"
    assert tokenizer in weights.inputs
    assert checkpoint_of(project, tokenizer) is None
