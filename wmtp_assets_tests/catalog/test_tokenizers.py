"""Whose tokenizer each model and dataset has, by the catalog alone; and Llama-3-8B's entry."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.catalog.artifacts import TOKENIZER, artifacts_of
from wmtp_assets.catalog.contract import published_sets
from wmtp_assets.catalog.reader import CatalogError
from wmtp_assets.catalog.tokenizers import published_files, tokenizer_of
from wmtp_assets.checkpoints.layouts import expected_shapes
from wmtp_assets_tests.catalog.test_reader import SAMPLE

REF, STARLING = "ref-sheared-llama-2.7b", "starling-rm-7b"
PAGE = Path(__file__).parents[2] / "docs/catalog.md"
# config.json of meta-llama/Meta-Llama-3-8B, but for what has to do with no shape.
LLAMA_3_8B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "vocab_size": 128256,
}


def changed(change: Callable[[Any], None], path: Path) -> Path:
    value = yaml.safe_load(SAMPLE)
    change(value)
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return path


def of_ref(**more: Any) -> Callable[[Any], None]:
    """The reference model has a tokenizer of its own; `more` are fields of other entries."""

    def change(value: Any) -> None:
        value["models"][REF]["tokenizer"] = "own"
        for name, field in more.items():
            section = "datasets" if name in value["datasets"] else "models"
            value[section][name.replace("_", "-")]["tokenizer"] = field

    return change


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """The reference model has its own tokenizer, Starling that one, and so has MBPP."""

    def change(value: Any) -> None:
        of_ref(mbpp="micro-ref")(value)
        value["models"][STARLING]["tokenizer"] = REF
        value["contract"] = ["phase1", "current"]

    return load_catalog(changed(change, tmp_path / "mine.yaml"))


def test_a_tokenizer_of_a_models_own_is_an_artifact_of_its_own(catalog: Catalog) -> None:
    own = f"models/{REF}_tokenizer"
    artifacts = artifacts_of(catalog)
    owners = [*catalog.models, *catalog.datasets]
    assert {name for name in owners if tokenizer_of(catalog, name) == own} == {
        REF,
        STARLING,
        "micro-ref",
        "mbpp",
    }
    assert {tokenizer_of(catalog, name) for name in owners} == {own, TOKENIZER}
    made, raw = artifacts[own], artifacts[f"{own}_raw"]
    assert (made.owner, made.group, made.status) == (REF, "ref_sheared_llama_2_7b", "required")
    assert made.inputs == (raw.name,)
    files = ["tokenizer.model", "config.json"]
    assert [file["path"] for file in raw.settings["files"]] == files  # type: ignore[attr-defined]
    assert artifacts[f"models/{STARLING}"].inputs[1:] == (raw.name,)
    assert artifacts["datasets/mbpp_test"].inputs[1] == own
    assert artifacts["datasets/humaneval_test"].inputs[1] == TOKENIZER
    for model in (REF, STARLING, "micro-ref"):
        assert artifacts[f"models/{model}_metadata"].inputs[-1] == own
        (links,) = [one.links for one in published_sets(catalog) if one.name == f"models/{model}"]
        for folder in ("models_v2", "models"):
            for file in published_files(made.settings):
                assert links[f"{folder}/{model}/tokenizer/{file}"] == (own, file)


def test_where_nothing_says_otherwise_everything_is_as_it_was(catalog: Catalog) -> None:
    sample = load_catalog("sample")
    before, after = artifacts_of(sample), artifacts_of(catalog)
    assert [name for name, one in before.items() if one.kind == "tokenizer"] == [TOKENIZER]
    for name in (TOKENIZER, f"{TOKENIZER}_raw", "models/meta-llama-mtp", "models/micro-mtp"):
        assert after[name].inputs == before[name].inputs
        assert after[name].settings_digest == before[name].settings_digest
    assert "tokenizer_config" not in str(before[TOKENIZER].settings)


def test_a_tokenizer_is_required_where_something_that_has_it_is(tmp_path: Path) -> None:
    def change(value: Any, *, status: str) -> None:
        for name in (REF, "micro-ref"):
            value["models"][name]["status"] = "optional"
        value["datasets"]["mbpp"]["status"] = status
        of_ref(mbpp=REF)(value)

    for status in ("required", "optional"):
        path = changed(lambda value, it=status: change(value, status=it), tmp_path / "mine.yaml")  # type: ignore[misc]
        assert artifacts_of(load_catalog(path))[f"models/{REF}_tokenizer"].status == status


def _renamed(value: Any) -> None:
    value["models"]["own"] = value["models"].pop(STARLING)


@pytest.mark.parametrize(
    ("change", "named", "words"),
    [
        (of_ref(mbpp="nobody"), "datasets.mbpp.tokenizer", "no model is called 'nobody'"),
        (of_ref(starling_rm_7b="nobody"), f"models.{STARLING}.tokenizer", "is no model of this"),
        (
            of_ref(starling_rm_7b="micro-ref"),
            f"models.{STARLING}.tokenizer",
            "no tokenizer of its own: name a model whose entry says `tokenizer: own`",
        ),
        (
            of_ref(starling_rm_7b="meta-llama-mtp"),
            f"models.{STARLING}.tokenizer",
            "the tokenizer of 'meta-llama-mtp' is the shared one: write shared",
        ),
        (
            of_ref(starling_rm_7b="own"),
            f"models.{STARLING}.tokenizer",
            "files.tokenizer names no file",
        ),
        (of_ref(meta_llama_mtp="own"), "models.meta-llama-mtp.tokenizer", "leave this out"),
        (_renamed, "models.own", "choose another name"),
    ],
)
def test_what_cannot_be_is_named_by_field(
    tmp_path: Path, change: Callable[[Any], None], named: str, words: str
) -> None:
    with pytest.raises(CatalogError) as refusal:
        load_catalog(changed(change, tmp_path / "mine.yaml"))
    assert "1 mistake." in str(refusal.value)
    assert f"{named}: " in str(refusal.value)
    assert words in str(refusal.value)


def test_the_entry_of_llama_3_8b_on_the_page_is_one(tmp_path: Path) -> None:
    (entry,) = re.findall(
        r"^```yaml\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    path = tmp_path / "mine.yaml"
    path.write_text(SAMPLE.replace("datasets:\n", f"{entry}\ndatasets:\n", 1), encoding="utf-8")
    catalog = load_catalog(path)
    name = "meta-llama-3-8b"
    made = artifacts_of(catalog)[f"models/{name}_tokenizer"]
    assert published_files(made.settings) == ("tokenizer.json", "tokenizer_config.json")
    shapes = expected_shapes(catalog.upstream_models()[name].layout, LLAMA_3_8B)
    expected = catalog.models[name].expected
    assert (expected.tensors, expected.parameters) == (
        len(shapes),
        sum(map(math.prod, shapes.values())),
    )
    (links,) = [one.links for one in published_sets(catalog) if one.name == f"models/{name}"]
    at = f"models_v2/{name}"
    assert links[f"{at}/hf/tokenizer.json"] == links[f"{at}/tokenizer/tokenizer.json"]
    assert f"{at}/hf/tokenizer.model" not in links
