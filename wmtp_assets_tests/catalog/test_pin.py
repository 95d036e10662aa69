"""Moving a pin: what changes in the text of a catalog, what does not, and what is refused."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from wmtp_assets.catalog import CatalogError, load_catalog
from wmtp_assets.catalog.pin import Listed, pin

FULL = (resources.files("wmtp_assets.catalog") / "full.yaml").read_text(encoding="utf-8")
SHEARED, MBPP = "princeton-nlp/Sheared-LLaMA-2.7B", "google-research-datasets/mbpp"
SHARDS = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
COMMIT = "c0ffee" * 6 + "beef"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(FULL, encoding="utf-8")
    return path


def changed_lines(path: Path) -> list[tuple[str, str]]:
    pairs = zip(FULL.splitlines(), path.read_text(encoding="utf-8").splitlines(), strict=True)
    return [(old.strip(), new.strip()) for old, new in pairs if old != new]


def test_a_pin_that_moves_changes_one_line_and_keeps_every_comment(mine: Path) -> None:
    (line,) = pin(str(mine), "facebook/multi-token-prediction", COMMIT, {})[:1]
    assert line == f"{mine}: revision of facebook/multi-token-prediction: main -> {COMMIT}"
    ((old, new),) = changed_lines(mine)
    assert new == old.replace("main #", f"{COMMIT} #")
    assert load_catalog(mine).models["meta-llama-mtp"].model_dump()["upstream"]["revision"] == (
        COMMIT
    )


def test_digests_of_the_old_commit_become_those_of_the_new_one(mine: Path) -> None:
    model = load_catalog(mine).upstream_models()["ref-sheared-llama-2.7b"]
    old, revision = model.files, model.upstream.revision
    listing = {
        SHARDS[0]: Listed(5, "a" * 64),
        SHARDS[1]: Listed(6, old.weights[1].sha256),  # this one is the same
        "tokenizer.model": Listed(7, None),  # upstream has no SHA-256 of it
    }
    said = pin(str(mine), SHEARED, COMMIT, listing)
    assert [line.removeprefix(f"{mine}: ") for line in said] == [
        f"revision of {SHEARED}: {revision} -> {COMMIT}",
        f"sha256 of {SHARDS[0]}: {old.weights[0].sha256} -> {'a' * 64}",
        "sha256 of tokenizer.model stays; whether it is this commit's is not known",
    ]
    assert [new for _, new in changed_lines(mine)] == [f"revision: {COMMIT}", f"sha256: {'a' * 64}"]


def test_digests_of_other_repositories_are_left_alone_whatever_the_path(mine: Path) -> None:
    pin(str(mine), SHEARED, COMMIT, {"tokenizer.model": Listed(1, "b" * 64)})
    catalog = load_catalog(mine).upstream_models()
    theirs, ours = catalog["meta-llama-mtp"].files, catalog["ref-sheared-llama-2.7b"].files
    assert theirs.tokenizer is not None
    assert ours.tokenizer is not None
    assert ours.tokenizer.sha256 == "b" * 64
    assert theirs.tokenizer.sha256 == (
        "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347"
    )


def test_a_dataset_is_pinned_as_a_model_is(mine: Path) -> None:
    path = "full/train-00000-of-00001.parquet"
    pin(str(mine), MBPP, COMMIT, {path: Listed(9, "d" * 64)})
    mbpp = load_catalog(mine).datasets["mbpp"]
    assert mbpp.upstream.revision == COMMIT
    assert [file.sha256 for file in mbpp.splits["train"].files] == ["d" * 64]


@pytest.mark.parametrize("commit", ["main", "c0ffee", "C" * 40, "", "g" * 40])
def test_what_is_no_commit_is_refused_and_nothing_is_written(mine: Path, commit: str) -> None:
    with pytest.raises(CatalogError, match="not a commit"):
        pin(str(mine), SHEARED, commit, {})
    assert changed_lines(mine) == []


def test_a_repository_that_the_catalog_does_not_name_is_refused(mine: Path) -> None:
    with pytest.raises(CatalogError, match="does not name") as refused:
        pin(str(mine), "gpt2/gpt2", COMMIT, {})
    assert SHEARED in str(refused.value)


@pytest.mark.parametrize("shipped", ["full", "sample"])
def test_a_shipped_catalog_is_not_edited_and_the_way_to_ones_own_is_reported(shipped: str) -> None:
    with pytest.raises(CatalogError, match="not edited") as refused:
        pin(shipped, SHEARED, COMMIT, {})
    assert f"{shipped}.yaml catalog.yaml && export WMTP_CATALOG=catalog.yaml" in str(refused.value)
    assert f"wmtp pin {SHEARED} {COMMIT}" in str(refused.value)


def test_a_revision_behind_an_alias_is_changed_once(mine: Path) -> None:
    revision = load_catalog(mine).upstreams()["ref-sheared-llama-2.7b"].revision
    old = f"revision: {revision}"
    assert FULL.count(old) == 1
    second = (
        "  again:\n    layout: llama\n"
        f"    upstream: {{repository: {SHEARED}, revision: *r, licence: x}}\n"
        "    files: {weights: [a.bin], config: config.json}\n"
        "    source_dtype: float32\n    dtype: float16\n"
        "    expected: {parameters: 1, tensors: 1}\n\n"
    )
    text = FULL.replace(old, f"revision: &r {revision}").replace(
        "datasets:\n", second + "datasets:\n"
    )
    mine.write_text(text, encoding="utf-8")
    pin(str(mine), SHEARED, COMMIT, {})
    assert mine.read_text() == text.replace(f"&r {revision}", f"&r {COMMIT}")
    assert load_catalog(mine).upstreams()["again"].revision == COMMIT


@pytest.mark.parametrize("way", ["alias of another repository", "merge key"])
def test_a_pin_that_cannot_be_moved_alone_is_refused_and_nothing_written(
    mine: Path, way: str
) -> None:
    revision = load_catalog(mine).upstreams()["mbpp"].revision
    if way == "merge key":
        text = FULL.replace(f"repository: {MBPP}", f"<<: {{repository: {MBPP}}}")
    else:
        text = FULL.replace("revision: main", "revision: &r main", 1)
        text = text.replace(f"revision: {revision}", "revision: *r")
    assert text != FULL
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match="cannot be edited"):
        pin(str(mine), MBPP, COMMIT, {})
    assert mine.read_text(encoding="utf-8") == text
