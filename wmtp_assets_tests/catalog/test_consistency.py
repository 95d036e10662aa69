"""What a catalog cannot mean is refused by file, line and field, before anything is fetched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.reader import CatalogError
from wmtp_assets_tests.catalog.test_reader import SAMPLE

_MBPP = "datasets.mbpp"
_CODE = "datasets.codecontests"
# A field, what is put there, the field that is named, and words of the error.
FIELDS: list[tuple[str, Any, str, str]] = [
    ("models.micro-ref.slice_of", "starling-rm-7b", "", "llama-reward, which cannot be sliced"),
    ("models.micro-ref.slice_of", "micro-mtp", "", "a slice itself"),
    ("models.micro-ref.slice_of", "nobody", "", "no model of this catalog"),
    ("models.micro-ref.slice_of", ["meta-llama-mtp"], "", "valid string"),
    ("models.micro-ref.layers", 0, "", "greater than 0"),
    ("models.micro-ref.layers", True, "", "valid integer"),
    ("models.micro-ref.layers", 4.0, "", "valid integer"),
    ("models.micro-ref.dim", "32", "", "valid integer"),
    ("models.micro-ref.max_bytes", -1, "", "greater than 0"),
    ("models.micro-ref.target_device", "", "", "at least 1 character"),
    ("models.micro-ref.aliases", ["micro-mtp"], "models.micro-ref.aliases", "called 'micro-mtp'"),
    ("models.micro-ref.aliases", ["a", "a"], "models.micro-ref.aliases", "'a' is an alias of"),
    (
        "models.micro-mtp.aliases",
        ["micro-reference"],
        "models.micro-ref.aliases",
        "an alias of 'micro-mtp' already",
    ),
    ("models.micro-ref.aliases", ["Micro"], "", "match pattern"),
    (
        "models.starling-rm-7b.max_position_embeddings",
        4096,
        "models.starling-rm-7b",
        "leave it out",
    ),
    ("models.meta-llama-mtp.max_position_embeddings", 0, "", "greater than 0"),
    ("models.starling-rm-7b.layout", "gpt", "", "'meta-mtp'"),
    ("models.starling-rm-7b.expected.tensors", True, "", "valid integer"),
    ("models.starling-rm-7b.files.weights", [], "", "at least 1 item"),
    ("models.starling-rm-7b.upstream.gated", "yes", "", "valid boolean"),
    ("tokenizer.from_model", "micro-ref", "", "no fetched model with a tokenizer"),
    ("tokenizer.vocab_size", True, "", "valid integer"),
    (f"{_CODE}.layout", "code_contests", "", "'code-contests'"),
    (f"{_CODE}.splits", {}, "", "at least 1 item"),
    (f"{_CODE}.splits.valid.files", [], "", "at least 1 item"),
    (f"{_CODE}.splits.valid.rows", -1, "", "greater than or equal to 0"),
    (f"{_CODE}.splits.valid.rows", True, "", "valid integer"),
    (f"{_CODE}.splits.valid.rows", "83", "", "valid integer"),
    (f"{_CODE}.splits.valid.rows", 84, f"{_CODE}.splits.valid", "= 83, but rows = 84"),
    (f"{_CODE}.splits.valid.correct", None, f"{_CODE}.splits.valid", "must be given together"),
    (f"{_CODE}.small.rows", {}, "", "at least 1 item"),
    (f"{_CODE}.small.rows.dev", 3, f"{_CODE}", "'dev', which is not among the splits"),
    (f"{_CODE}.small.seed", 1.5, "", "valid integer"),
    (f"{_CODE}.max_tokens", 0, "", "greater than 0"),
    (f"{_CODE}.max_tokens", 65_536, "", "65535"),
    (f"{_MBPP}.splits.train.files", ["a.parquet", "a.parquet"], "", "twice in this list"),
    (f"{_MBPP}.splits.all", {"files": ["a.parquet"]}, "", "every split together by 'all'"),
    (f"{_MBPP}.splits.train.files", ["/etc/passwd"], "", "is absolute"),
    (f"{_MBPP}.splits.train.files", ["../a.parquet"], "", "goes up"),
    (f"{_MBPP}.splits.train.files", ["a\nb"], "", "control character"),
    (f"{_MBPP}.splits.train.files", [""], "", "is empty"),
    (f"{_MBPP}.splits.train.files", [{"path": "a*", "count": 0}], "", "greater than 0"),
    (
        f"{_MBPP}.splits.test.files",
        ["full/train-00000-of-00002.parquet"],
        "",
        "a file of train, by its name, for the split test",
    ),
    (f"{_MBPP}.splits.test.files", ["data/val-*.parquet"], "", "of validation, by its name"),
    (f"{_MBPP}.splits.train.files", ["Test.parquet"], "", "a file of test, by its name"),
    (f"{_CODE}.splits.valid.files", ["test/0.parquet"], "", "a file of test, by its name"),
    (f"{_MBPP}.upstream.repository", "mbpp", "", "pattern"),
    (f"{_MBPP}.upstream.repository", "örg/mbpp", "", "pattern"),
    (f"{_MBPP}.upstream.repository", "org/..", "", "pattern"),
    (f"{_MBPP}.upstream.repository", "org/a..b", "", "'..'"),
    (f"{_MBPP}.upstream.repository", "org/mbpp\n", "", "pattern"),
    (f"{_MBPP}.upstream.revision", "", "", "pattern"),
    (f"{_MBPP}.upstream.revision", "main\n", "", "pattern"),
    (f"{_MBPP}.upstream.revision", "a/../b", "", "'..'"),
    (f"{_MBPP}.upstream.revision", 7, "", "valid string"),
    (f"{_MBPP}.upstream.licence", "", "", "at least 1 character"),
]


def _put(catalog: Any, field: str, value: Any) -> None:
    *path, last = field.split(".")
    # The sample's one name with a dot in it is not changed here.
    for part in path:
        catalog = catalog[part]
    catalog[last] = value


def _refusal(path: Path, catalog: Any) -> str:
    path.write_text(yaml.safe_dump(catalog, sort_keys=False), encoding="utf-8")
    with pytest.raises(CatalogError) as refusal:
        load_catalog(path)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("field", "value", "named", "words"), FIELDS, ids=[f"{each[0]}={each[1]}" for each in FIELDS]
)
def test_a_value_that_a_field_cannot_have_is_named_by_line_and_field(
    tmp_path: Path, field: str, value: Any, named: str, words: str
) -> None:
    catalog = yaml.safe_load(SAMPLE)
    _put(catalog, field, value)
    path = tmp_path / "mine.yaml"
    said = _refusal(path, catalog)
    assert "1 mistake." in said
    assert named or field in said
    assert words in said
    line = int(said.split(f"{path}:")[1].split()[0])
    assert 1 < line <= len(path.read_text(encoding="utf-8").splitlines())


def _another(catalog: Any, name: str = "mbpp-too") -> Any:
    catalog["datasets"][name] = copy.deepcopy(catalog["datasets"]["mbpp"])
    return catalog["datasets"][name]


def _two_revisions(catalog: Any) -> None:
    _another(catalog)["upstream"]["revision"] = "main"


def _two_spellings(catalog: Any) -> None:
    _another(catalog)["upstream"]["repository"] = "Google-Research-Datasets/MBPP"


def _two_digests(catalog: Any) -> None:
    file = {"path": "full/test-00000-of-00001.parquet", "sha256": "0" * 64}
    _another(catalog)["splits"]["test"]["files"] = [file]


def _two_models_of_one_repository(catalog: Any) -> None:
    model = copy.deepcopy(catalog["models"]["meta-llama-mtp"])
    model["upstream"]["revision"] = "main"
    catalog["models"]["mtp-too"] = model


def _a_model_of_a_datasets_name(catalog: Any) -> None:
    catalog["models"]["mbpp"] = copy.deepcopy(catalog["models"]["micro-mtp"])


def _a_model_called_tokenizer(catalog: Any) -> None:
    catalog["models"]["tokenizer"] = copy.deepcopy(catalog["models"]["micro-mtp"])


def _names_that_differ_in_a_dot(catalog: Any) -> None:
    _another(catalog, "a.b")
    _another(catalog, "a-b")


def _a_dataset_of_a_small_copys_name(catalog: Any) -> None:
    _another(catalog, "codecontests-small")


def _one_file_for_two_splits(catalog: Any) -> None:
    splits = catalog["datasets"]["mbpp"]["splits"]
    splits["test"]["files"] = splits["train"]["files"] = ["full/all.parquet"]


def _classes_of_a_set_without_any(catalog: Any) -> None:
    catalog["datasets"]["mbpp"]["splits"]["train"] |= {"correct": 14, "incorrect": 0}


TOGETHER: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "one repository at two revisions": (
        _two_revisions,
        "datasets.mbpp-too.upstream.revision",
        "google-research-datasets/mbpp is pinned to two revisions",
    ),
    "one repository of models at two revisions": (
        _two_models_of_one_repository,
        "models.mtp-too.upstream.revision",
        "pinned to two revisions: models.meta-llama-mtp says 'sample-",
    ),
    "one repository in two spellings": (
        _two_spellings,
        "datasets.mbpp-too.upstream.repository",
        "'google-research-datasets/mbpp'",
    ),
    "one file with two digests": (
        _two_digests,
        "datasets.mbpp-too.splits.test.files",
        "described in another way in datasets.mbpp",
    ),
    "a model and a dataset of one name": (
        _a_model_of_a_datasets_name,
        "datasets.mbpp",
        "a model is called 'mbpp' already",
    ),
    "a model of the tokenizer's name": (
        _a_model_called_tokenizer,
        "models.tokenizer",
        "the shared tokenizer",
    ),
    "names that differ in a dot": (_names_that_differ_in_a_dot, "datasets.a-b", "another name"),
    "a dataset of a small copy's name": (
        _a_dataset_of_a_small_copys_name,
        "datasets.codecontests-small",
        "another name",
    ),
    "one file for two splits": (
        _one_file_for_two_splits,
        "datasets.mbpp.splits.test.files",
        "'full/all.parquet' is among the files of the split train",
    ),
    "classes of a set without any": (
        _classes_of_a_set_without_any,
        "datasets.mbpp",
        "splits.train has counts of correct and incorrect rows, which mbpp does not know",
    ),
}


@pytest.mark.parametrize("what", TOGETHER)
def test_entries_that_contradict_each_other_are_named_by_line_and_field(
    tmp_path: Path, what: str
) -> None:
    change, field, words = TOGETHER[what]
    catalog = yaml.safe_load(SAMPLE)
    change(catalog)
    path = tmp_path / "mine.yaml"
    said = _refusal(path, catalog)
    assert "1 mistake." in said
    assert f"{field}:" in said
    assert words in said
    line = int(said.split(f"{path}:")[1].split()[0])
    shown = path.read_text(encoding="utf-8").splitlines()[line - 1].strip("- ")
    assert shown.partition(":")[0] == field.rpartition(".")[2]


def test_one_repository_twice_at_one_revision_is_fine(tmp_path: Path) -> None:
    catalog = yaml.safe_load(SAMPLE)
    _another(catalog)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(catalog), encoding="utf-8")
    assert "mbpp-too" in load_catalog(path).datasets


@pytest.mark.parametrize(
    ("split", "file"),
    [
        ("validation", "data/valid-*.parquet"),
        ("dev", "data/validation-0.parquet"),
        ("test", "train_test_split.parquet"),
        ("test", "latest.parquet"),
        ("mine", "train.parquet"),
        ("train", "0000.parquet"),
    ],
)
def test_a_file_may_be_called_otherwise_than_its_split(
    tmp_path: Path, split: str, file: str
) -> None:
    catalog = yaml.safe_load(SAMPLE)
    catalog["datasets"]["mbpp"]["splits"] = {split: {"files": [file]}}
    del catalog["datasets"]["mbpp"]["quality"]  # it is of other splits
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(catalog), encoding="utf-8")
    assert list(load_catalog(path).datasets["mbpp"].splits) == [split]


def test_a_model_and_a_dataset_cannot_have_repositories_of_one_name(tmp_path: Path) -> None:
    """Dagster would know both sources by one key."""
    catalog = yaml.safe_load(SAMPLE)
    repository = catalog["models"]["starling-rm-7b"]["upstream"]["repository"]
    catalog["datasets"]["mbpp"]["upstream"]["repository"] = repository
    said = _refusal(tmp_path / "mine.yaml", catalog)
    assert "datasets.mbpp.upstream.repository: " in said
    assert "leave one of them out" in said
