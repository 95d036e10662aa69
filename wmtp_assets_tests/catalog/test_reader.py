"""Reading a catalog: the shipped ones load, and a mistake is named by file, line and field."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from wmtp_assets.catalog import CatalogError, load_catalog

SAMPLE = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The sample catalog with one piece of text replaced (its first occurrence)."""
    assert old in SAMPLE
    path = tmp_path / "mine.yaml"
    path.write_text(SAMPLE.replace(old, new, 1), encoding="utf-8")
    return path


def line_of(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


def refusal(path: Path) -> str:
    with pytest.raises(CatalogError) as refused:
        load_catalog(path)
    return str(refused.value)


@pytest.mark.parametrize("name", ["sample", "full"])
def test_the_shipped_catalogs_name_the_missions_five_models_and_seven_splits(name: str) -> None:
    catalog = load_catalog(name)
    assert list(catalog.models) == [
        "meta-llama-mtp",
        "ref-sheared-llama-2.7b",
        "starling-rm-7b",
        "micro-mtp",
        "micro-ref",
    ]
    splits = {dataset: list(entry.splits) for dataset, entry in catalog.datasets.items()}
    assert splits == {
        "codecontests": ["train", "valid", "test"],
        "mbpp": ["train", "validation", "test"],
        "humaneval": ["test"],
    }
    assert catalog.models["starling-rm-7b"].status == "optional"


def test_the_full_catalog_pins_every_repository_whose_commits_can_be_read() -> None:
    upstreams = load_catalog("full").upstreams()
    unpinned = [name for name, upstream in upstreams.items() if not upstream.pinned]
    assert unpinned == ["meta-llama-mtp"]
    assert upstreams["meta-llama-mtp"].gated


def test_the_full_catalog_holds_upstreams_published_counts() -> None:
    datasets = load_catalog("full").datasets
    counts = {
        f"{name}.{split}": entry.rows
        for name, dataset in datasets.items()
        for split, entry in dataset.splits.items()
    }
    assert counts == {
        "codecontests.train": 3_691_981,
        "codecontests.valid": 14_725,
        "codecontests.test": 14_851,
        "mbpp.train": 374,
        "mbpp.validation": 90,
        "mbpp.test": 500,
        "humaneval.test": 164,
    }


# What is written into the sample catalog, and the field and the words that must come back.
MISTAKES = {
    "a field that no schema knows": (
        "    source_dtype: float32",
        "    sorce_dtype: float32",
        "models.meta-llama-mtp.sorce_dtype",
        "Extra inputs are not permitted",
    ),
    "a text where a number belongs": (
        "parameters: 468032",
        "parameters: many",
        "models.meta-llama-mtp.expected.parameters",
        "valid integer",
    ),
    "a number out of its range": (
        "dim: 32",
        "dim: 0",
        "models.micro-mtp.dim",
        "greater than 0",
    ),
    "a dtype that is none": (
        "    dtype: float16",
        "    dtype: float8",
        "models.meta-llama-mtp.dtype",
        "'float16', 'bfloat16' or 'float32'",
    ),
    "a layout that nobody wrote": (
        "layout: llama-reward",
        "layout: mamba",
        "models.starling-rm-7b.layout",
        "llama-reward",
    ),
    "a digest that is too short": (
        "sha256: 933c40b6675f888191152c43405c7b6cfa544f6bc517a0563ce87c51824cfacd",
        "sha256: 933c40b6",
        "models.meta-llama-mtp.files.weights.0.sha256",
        "pattern",
    ),
    "a repository without its organisation": (
        "repository: openai/openai_humaneval",
        "repository: openai_humaneval",
        "datasets.humaneval.upstream.repository",
        "pattern",
    ),
    "counts that do not add up": (
        "        rows: 381",
        "        rows: 382",
        "datasets.codecontests.splits.train",
        "correct + incorrect = 381, but rows = 382",
    ),
    "one class without the other": (
        "        incorrect: 42\n",
        "",
        "datasets.codecontests.splits.valid",
        "correct and incorrect must be given together",
    ),
    "a small copy of a split that is not there": (
        "rows: {train: 100, valid: 32, test: 32}",
        "rows: {train: 100, dev: 32}",
        "datasets.codecontests",
        "small names the split 'dev'",
    ),
    "difficulties in the wrong order": (
        "    layout: code-contests\n",
        "    layout: code-contests\n    training_difficulties: [11, 1]\n",
        "datasets.codecontests",
        "the lowest and the highest, in this order, not 11 and 1",
    ),
    "difficulties of rows that have none": (
        "    layout: mbpp\n",
        "    layout: mbpp\n    training_difficulties: [1, 11]\n",
        "datasets.mbpp",
        "rows of mbpp have no difficulty",
    ),
    "a digest for a pattern": (
        "files: [data/valid-*.parquet]",
        "files: [{path: data/valid-*.parquet, size: 7}]",
        "datasets.codecontests.splits.valid.files.0",
        "a pattern cannot have one digest",
    ),
    "a pattern for the one config": (
        "      config: config.json",
        "      config: '*.json'",
        "models.ref-sheared-llama-2.7b.files",
        "*.json is a pattern, which only weights may be",
    ),
    "a count for a plain path": (
        "files: [full/train-00000-of-00001.parquet]",
        "files: [{path: full/train-00000-of-00001.parquet, count: 2}]",
        "datasets.mbpp.splits.train.files.0",
        "count belongs to a pattern",
    ),
    "a key that stands twice": (
        "    dtype: bfloat16",
        "    dtype: bfloat16\n    dtype: float16",
        "models.starling-rm-7b.dtype",
        "given twice",
    ),
    "a field that is missing": (
        "    layout: mbpp\n",
        "",
        "datasets.mbpp",
        "Field required",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_by_file_line_and_field(tmp_path: Path, mistake: str) -> None:
    old, new, field, words = MISTAKES[mistake]
    path = changed(tmp_path, old, new)
    said = refusal(path)
    assert f"{path}:" in said
    assert field in said
    assert words in said
    # The line is that of the field, or of the entry that the mistake is about.
    text = path.read_text(encoding="utf-8").splitlines()
    line = int(said.split(f"{path}:")[1].split()[0])
    named = [part for part in field.split(".") if not part.isdigit()]
    assert any(text[line - 1].lstrip("- {").startswith(f"{part}:") for part in named[-2:]) or (
        field.endswith(".0") and named[-1] in text[line - 1]
    )


def test_every_mistake_is_said_at_once_each_with_its_own_line(tmp_path: Path) -> None:
    path = changed(tmp_path, "parameters: 468032", "parameters: many")
    text = path.read_text(encoding="utf-8").replace("vocab_size: 512", "vocab_size: -1")
    path.write_text(text, encoding="utf-8")
    said = refusal(path)
    assert "2 mistakes" in said
    assert f"{path}:{line_of(text, 'vocab_size')} tokenizer.vocab_size" in said
    assert f"{path}:{line_of(text, 'parameters: many')} models.meta-llama-mtp" in said


def test_a_micro_model_of_nothing_is_named(tmp_path: Path) -> None:
    said = refusal(changed(tmp_path, "slice_of: meta-llama-mtp", "slice_of: meta-lama-mtp"))
    assert "models.micro-mtp.slice_of: 'meta-lama-mtp' is no model of this catalog" in said


def test_a_micro_model_of_a_micro_model_is_refused(tmp_path: Path) -> None:
    said = refusal(changed(tmp_path, "slice_of: ref-sheared-llama-2.7b", "slice_of: micro-mtp"))
    assert "models.micro-ref.slice_of: 'micro-mtp' is a slice itself" in said


def test_a_tokenizer_of_a_model_that_has_none_is_named(tmp_path: Path) -> None:
    said = refusal(changed(tmp_path, "from_model: meta-llama-mtp", "from_model: starling-rm-7b"))
    assert "tokenizer.from_model: 'starling-rm-7b' is no fetched model with a tokenizer" in said


def test_one_repository_cannot_be_pinned_to_two_revisions(tmp_path: Path) -> None:
    path = changed(
        tmp_path,
        "repository: openai/openai_humaneval\n      revision: sample-4",
        "repository: google-research-datasets/mbpp\n      revision: main",
    )
    assert "google-research-datasets/mbpp is pinned to two revisions" in refusal(path)


def test_what_is_not_yaml_is_named_with_the_line(tmp_path: Path) -> None:
    path = changed(tmp_path, "  vocab_size: 512", "  vocab_size: [512")
    said = refusal(path)
    assert "not valid YAML" in said
    assert f"{path}:" in said


@pytest.mark.parametrize("text", ["", "- a\n- list\n", "only a text\n"])
def test_a_catalog_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    said = refusal(path)
    assert "A catalog is a mapping" in said
    assert str(path) in said


def test_a_catalog_that_is_not_there_says_what_would_be_accepted(tmp_path: Path) -> None:
    said = refusal(tmp_path / "nowhere.yaml")
    assert str(tmp_path / "nowhere.yaml") in said
    assert "'sample', 'full', or the path of a YAML file" in said


def test_a_catalog_of_other_bytes_than_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00name")
    assert str(path) in refusal(path)


def test_a_catalog_cannot_bring_code(tmp_path: Path) -> None:
    path = changed(tmp_path, "name: sample", "name: !!python/object/apply:os.getcwd []")
    assert f"{path}:{line_of(SAMPLE, 'name: sample')}" in refusal(path)


def test_a_date_that_there_is_not_is_a_mistake_and_no_crash(tmp_path: Path) -> None:
    assert "mine.yaml" in refusal(changed(tmp_path, "name: sample", "name: 2026-13-45"))
