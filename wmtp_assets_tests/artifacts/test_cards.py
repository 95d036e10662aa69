"""Cards and Croissant: read by the Hub's, by `datasets`' and by MLCommons' own code."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import re
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import yaml
from datasets.exceptions import NonMatchingSplitsSizesError
from huggingface_hub import DatasetCard, ModelCard, metadata_load
from markdown_it import MarkdownIt

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.evidence.croissant import croissant_json
from wmtp_assets.artifacts.evidence.dataset_card import (
    DatasetEvidence,
    SplitEvidence,
    SplitFile,
    dataset_card,
)
from wmtp_assets.artifacts.evidence.model_card import model_card
from wmtp_assets.artifacts.evidence.terms import SAMPLE, licence_fields
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.catalog.licences import OwnerTerms, Terms, terms_of
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.schema import row_features
from wmtp_assets.quality.figures.funnel import funnel_of

MODELS = tuple(load_catalog("sample").models)
# Folders below the storage of both generations, whose rows of mbpp and codecontests differ.
FOLDERS = tuple(
    f"{folder}/{name}"
    for folder in ("datasets_v2", "datasets")
    for name in load_catalog("sample").datasets
)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for flag in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setattr(f"datasets.config.{flag}", True, raising=False)


@pytest.fixture(scope="module")
def mlcroissant() -> Any:
    """MLCommons' own reader. Its absl closes the standard error that it was imported with, when
    logging is configured anew: pytest's, which no later test in this process would get over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", sys.__stderr__)
        return importlib.import_module("mlcroissant")


def python_of(card: str) -> str:
    (code,) = re.findall(r"```python\n(.*?)\n```", card, re.DOTALL)
    return str(code)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("model", MODELS)
def test_the_hub_reads_a_models_card_and_its_digests_are_those_of_the_files(
    project: Project, model: str
) -> None:
    folder = project.storage / "models_v2" / model
    card = ModelCard.load(folder / "README.md")
    fields = metadata_load(folder / "README.md")
    assert fields == card.data.to_dict()
    assert (fields["license"], fields["license_name"]) == ("other", "generated-sample")
    assert "base_model" not in fields, "nothing of the real repository is in the sample"
    assert SAMPLE in card.text
    document = json.loads((folder / "metadata.json").read_bytes())
    assert f"| parameters | {document['parameters']:,} |" in card.text
    stated = re.findall(r"^([0-9a-f]{64})  (\S+)$", card.text, re.MULTILINE)
    assert {path for _, path in stated} >= {"safetensors/model.safetensors"}
    for digest, path in stated:
        assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("model", MODELS)
def test_what_a_models_card_says_of_loading_loads_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.chdir(project.storage.parent)
    card = (project.storage / "models_v2" / model / "README.md").read_text("utf-8")
    given: dict[str, Any] = {"tokens": torch.tensor([[1, 15, 20, 7]])}
    exec(compile(python_of(card), model, "exec"), given)  # noqa: S102 - our own card
    assert sum(one.numel() for one in given["model"].parameters()) > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_datasets_card_says_of_loading_gives_every_row_with_its_types(
    current_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(current_project.storage.parent)
    path = current_project.storage / folder
    card = DatasetCard.load(path / "README.md")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    given: dict[str, Any] = {}
    exec(compile(python_of(card.text), folder, "exec"), given)  # noqa: S102 - our own card
    declared = datasets.Features._from_yaml_list(card.data.dataset_info["features"])
    splits = {one["name"]: one["num_examples"] for one in card.data.dataset_info["splits"]}
    whole = datasets.load_dataset(str(path), cache_dir=str(tmp_path / "whole"))
    assert set(given["rows"]) == set(whole) == set(splits)
    for split, count in splits.items():
        rows = lines_of(path / f"processed/{split}.jsonl")
        assert len(rows) == count
        for loaded in (given["rows"][split], whole[split]):
            assert loaded.to_list() == rows
            assert loaded.features == declared


def test_what_the_page_shows_of_loading_works(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/data-quality.md").read_text("utf-8")
    monkeypatch.chdir(project.storage.parent)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    given: dict[str, Any] = {}
    code = python_of(page.partition("## Published evidence")[2])
    exec(compile(code, "data-quality.md", "exec"), given)  # noqa: S102 - our own page
    path = project.storage / "datasets_v2/mbpp"
    assert given["rows"].to_list() == lines_of(path / "processed/test.jsonl")
    declared = metadata_load(path / "README.md")["dataset_info"]["features"]
    assert given["features"] == datasets.Features._from_yaml_list(declared)


def test_a_file_that_lost_rows_is_refused_by_datasets(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "mbpp"
    shutil.copytree(project.storage / "datasets_v2/mbpp", folder)
    rows = folder / "processed/test.jsonl"
    rows.write_bytes(b"".join(rows.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(NonMatchingSplitsSizesError):
        datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


def plain(value: Any) -> Any:
    """A value as mlcroissant gives it, as JSON has it: texts are bytes there, keys whole paths."""
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value


@pytest.mark.parametrize("folder", FOLDERS)
def test_mlcroissant_validates_the_file_and_reads_every_row_by_it(
    current_project: Project, mlcroissant: Any, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("something is fetched")

    monkeypatch.setattr(socket.socket, "connect", refused)
    path = current_project.storage / folder
    dataset = mlcroissant.Dataset(jsonld=path / "croissant.json")
    context = dataset.metadata.ctx
    assert str(context.conforms_to) == "CroissantVersion.V_1_1"
    assert context.issues.errors == set()
    # What only who publishes the files, or upstream, can state.
    missing = {re.findall(r'"(\S+)" is recommended', one)[0] for one in context.issues.warnings}
    assert missing <= {
        "https://schema.org/datePublished",
        "http://mlcommons.org/croissant/citeAs",
    }
    for file in dataset.metadata.distribution:
        data = (path / file.content_url).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file.sha256
        assert f"{len(data)} B" == file.content_size
    splits = [plain(one)["name"] for one in dataset.records("splits")]
    card = metadata_load(path / "README.md")
    assert splits == [one["name"] for one in card["dataset_info"]["splits"]]
    for split in splits:
        rows = lines_of(path / f"processed/{split}.jsonl")
        assert [plain(row) for row in dataset.records(split)] == rows


def test_croissant_of_rows_that_are_others_is_refused(
    project: Project, mlcroissant: Any, tmp_path: Path
) -> None:
    shutil.copytree(project.storage / "datasets_v2/humaneval", tmp_path / "humaneval")
    rows = tmp_path / "humaneval/processed/test.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b"HumanEval/0", b"HumanEval/9"))
    dataset = mlcroissant.Dataset(jsonld=tmp_path / "humaneval/croissant.json")
    with pytest.raises(mlcroissant.GenerationError) as error:
        list(dataset.records("test"))
    assert "is not identical with the reference" in str(error.value.__cause__)


# Without files: what the catalog `full` and a hostile one would say.

HOSTILE = (
    "<img src=x onerror=alert(1)> ![i](https://evil.example/i.png) [l](javascript:alert(1)) "
    "`code` **bold** | a | \u202egnp\u202c\n\n# A heading\n---\nlicense: mit\n---\n<script>"
)


def evidence(terms: OwnerTerms, *, sample: bool = False) -> DatasetEvidence:
    files = [
        SplitFile(f"{place}/train{ending}", 5, "0" * 64)
        for place, ending in (("processed", ".jsonl"), ("processed", ".index.parquet"))
    ]
    layout = FORMATS["code-contests"]
    counted = {"candidates": 12, "kept": 7, "null_solutions": 1, "too_long_by_bound": 2}
    counted |= {"too_long_by_count": 1, "other_languages": 5}
    funnel = funnel_of({"funnel": counted, "split": "train"}, layout)
    split = SplitEvidence("train", files[0], files[1:], 7, 4, 3, funnel)
    return DatasetEvidence("cc", layout, 1, "datasets_v2/cc", [split], 2048, terms, sample=sample)


def metadata(name: str, catalog: Catalog) -> Mapping[str, Any]:
    upstream = catalog.upstream_of(name)
    return {
        "name": name,
        "layout": "llama",
        "implementation": HOSTILE,
        "dtype": "float16",
        "parameters": 7,
        "tensors": 2,
        "vocab_size": 5,
        "size_bytes": 100,
        "version": "0" * 12,
        "tokenizer_shared_with": None,
        "source": {"repository": upstream.repository, "revision": upstream.revision},
        "sha256": {"model.safetensors": "0" * 64, "tokenizer.model": "1" * 64},
        "conversion": {
            "kind": "convert",
            "source_dtype": "float32",
            "dtype": "float16",
            "dropped": {f"{HOSTILE}{number}": HOSTILE for number in range(25)},
        },
    }


@pytest.mark.parametrize("layout", FORMATS)
def test_a_card_says_what_every_field_means(layout: str) -> None:
    whole = evidence(terms_of(load_catalog("full"), "codecontests"))
    for row_format in (FORMATS[layout], FORMATS[layout].of("current")):
        dataset = dataclasses.replace(whole, row_format=row_format)
        fields = dataset_card(dataset).decode().partition("## Fields")[2].partition("\n## ")[0]
        assert [one for one in fields.splitlines() if one.endswith("|  |")] == []
        sets = json.loads(croissant_json(dataset))["recordSet"]
        (rows,) = (one for one in sets if one["name"] == "train")
        described = [
            field["name"]
            for one in rows["field"]
            for field in one.get("subField", [one])
            if not field.get("description")
        ]
        assert described == []


def test_a_card_of_the_real_thing_states_its_licence_in_the_hubs_words() -> None:
    catalog = load_catalog("full")
    of_rows = metadata_of(dataset_card(evidence(terms_of(catalog, "codecontests"))))
    assert of_rows["license"] == "cc-by-4.0"
    assert of_rows["source_datasets"] == ["extended|deepmind/code_contests"]
    card = model_card(
        metadata("micro-ref", catalog),
        "causal_lm",
        "models/micro-ref",
        terms_of(catalog, "micro-ref"),
    )
    fields = metadata_of(card)
    assert {name: fields[name] for name in ("license", "license_name", "license_link")} == {
        "license": "other",
        "license_name": "Apache-2.0 AND LicenseRef-Meta-MTP-Research",
        "license_link": "https://huggingface.co/facebook/multi-token-prediction",
    }
    assert fields["base_model"] == "princeton-nlp/Sheared-LLaMA-2.7B"
    assert "Noncommercial use only" in card.decode()
    assert licence_fields(terms_of(catalog, "meta-llama-mtp"), sample=False)["license_name"] == (
        "Multi-token Prediction Research License, 18 June 2024"
    )


def test_what_was_left_out_is_counted_and_what_nobody_explains_is_named() -> None:
    text = dataset_card(evidence(terms_of(load_catalog("full"), "codecontests"))).decode()
    assert (
        "- train: of 12 candidates 1 null, 3 too long, 1 for other reasons, beside 5 in other "
        "languages\n" in text
    )


def test_the_croissant_of_the_real_thing_names_licence_and_commit() -> None:
    catalog = load_catalog("full")
    document = json.loads(croissant_json(evidence(terms_of(catalog, "codecontests"))))
    assert document["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert document["url"].endswith("/tree/802411c3010cb00d1b05bad57ca77365a3c699d6")
    assert "AlphaCode" in document["citeAs"]
    sample = json.loads(croissant_json(evidence(terms_of(catalog, "codecontests"), sample=True)))
    assert "citeAs" not in sample
    assert "url" not in sample
    assert "no licence" in sample["license"]


def metadata_of(card: bytes) -> dict[str, Any]:
    loaded = yaml.safe_load(card.decode().split("\n---\n")[0].removeprefix("---\n"))
    assert isinstance(loaded, dict)
    return loaded


def test_words_of_others_stay_text_in_a_card() -> None:
    catalog = load_catalog("full")
    hostile = Terms(
        *("weights", "org/name", "main", HOSTILE, False, HOSTILE, None, HOSTILE, None, True)
    )
    terms = OwnerTerms("micro-ref", "model", None, (hostile,))
    cards = (
        model_card(metadata("micro-ref", catalog), "causal_lm", "models/micro-ref", terms),
        dataset_card(evidence(terms)),
    )
    for card in cards:
        fields = metadata_of(card)
        assert (fields["license"], fields["license_name"]) == (
            "other",
            " ".join(HOSTILE.replace("\u202e", "U+202E").replace("\u202c", "U+202C").split()),
        )
        front, _, body = card.decode().removeprefix("---\n").partition("\n---\n\n# ")
        tokens = MarkdownIt("commonmark").enable("table").parse(f"# {body}")
        every = [*tokens, *(child for one in tokens for child in one.children or ())]
        kinds = {one.type for one in every}
        assert not kinds & {"html_block", "html_inline", "image", "strong_open", "hr"}
        links = {one.attrs["href"] for one in every if one.type == "link_open"}
        assert links <= {"http://mlcommons.org/croissant/1.1"}
        assert "\u202e" not in body
        assert "alert(1)" in body
        assert "license: mit" not in front.splitlines()


def test_another_licence_makes_cards_stale_and_no_rows(copied: Project) -> None:
    catalog = copied.catalog.model_dump()
    catalog["datasets"]["mbpp"]["upstream"]["licence"] = "MIT"
    changed = Project(Catalog.model_validate(catalog), copied.storage, copied.hub_spec)
    of_mbpp = [name for name in changed.artifacts if name.startswith("datasets/mbpp")]
    assert stale_artifacts(changed, of_mbpp) == {"datasets/mbpp_card"}


def test_features_of_the_card_are_those_of_the_schema(current_project: Project) -> None:
    for artifact in current_project.artifacts.values():
        if artifact.kind != "dataset_card":
            continue
        path = current_project.store.path(artifact.name) / "README.md"
        layout = FORMATS[str(artifact.settings["layout"])].of(artifact.contract)
        assert metadata_load(path)["dataset_info"]["features"] == row_features(layout)
