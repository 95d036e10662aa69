"""What today's evaluation reads of whole problems, and upstream's files under raw/: made, checked,
published and read."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from wmtp_assets import open_corpus, open_tests
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.artifacts.requirements import disk_needed
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.catalog.artifacts import Kind, artifacts_of
from wmtp_assets.cli import main
from wmtp_assets.corpora.evaluation_files import write_evaluation, write_tests
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.storage.digests import watched
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.artifact_checks.breaking import answers, failed, flip, recommit
from wmtp_assets_tests.corpora import reference

EVAL, TESTS = "datasets/codecontests_valid_eval", "datasets/codecontests_train_tests"
VIEW, RAW = "datasets/codecontests_raw_view", "datasets/codecontests_train_raw"
MODEL_VIEW = "models/meta-llama-mtp_raw_view"
OWN = (Kind.EVALUATION, Kind.TESTS, Kind.RAW_VIEW)
CODE = "datasets/codecontests"


def shards(project: Project, split: str) -> list[Path]:
    return list(fetched(project.store, f"{CODE}_{split}_raw").paths().values())


def test_every_file_is_what_a_plain_reference_makes_of_the_source(current_project: Project) -> None:
    folder = current_project.storage / CODE
    for split in ("train", "valid", "test"):
        source = shards(current_project, split)
        document = (folder / f"tests/{split}_tests.json").read_bytes()
        assert document == reference.tests_file(source)
        tests = open_tests(current_project.storage, "codecontests", split)
        assert dict(tests) == json.loads(document)
        lines = folder / f"processed/{split}_eval.jsonl"
        assert lines.exists() == (split != "train")
        if lines.exists():
            assert lines.read_bytes() == reference.evaluation_file(source)
        rows = open_corpus(current_project.storage, "codecontests", split, "current")
        names = {row["task_id"].rsplit("_", 2)[0] for row in rows}
        assert names <= tests.keys()


def test_only_a_catalog_of_the_current_contract_has_them(
    project: Project, current_project: Project
) -> None:
    assert not [one for one in project.artifacts.values() if one.kind in OWN]
    found = {kind: set[str]() for kind in OWN}
    for artifact in current_project.artifacts.values():
        if artifact.kind in OWN:
            found[artifact.kind].add(artifact.name)
    assert found[Kind.EVALUATION] == {f"{CODE}_{split}_eval" for split in ("valid", "test")}
    assert found[Kind.TESTS] == {f"{CODE}_{split}_tests" for split in ("train", "valid", "test")}
    datasets = {f"datasets/{name}_raw_view" for name in ("codecontests", "mbpp", "humaneval")}
    models = {f"models/{name}_raw_view" for name in current_project.catalog.upstream_models()}
    assert found[Kind.RAW_VIEW] == datasets | models


def test_all_checks_pass_now_and_against_the_source(current_project: Project) -> None:
    for artifact in current_project.artifacts.values():
        if artifact.kind in OWN:
            findings = run_checks(current_project, artifact)
            findings += check_against_source(current_project, artifact)
            assert [f.name for f in findings if not f.passed] == [], artifact.name
            assert len(findings) > 4


def from_other_problems(project: Project, split: str) -> Callable[[Path], None]:
    """Files of another split's problems, written as those of `split` are."""

    def at(folder: Path) -> None:
        source = FORMATS["code-contests"].evaluation
        assert source is not None
        other = shards(project, "test")
        write = write_tests if (folder / f"{split}_tests.json").exists() else write_evaluation
        write(source, other, folder, split)

    return at


@pytest.mark.parametrize(
    ("name", "split", "wrong"),
    [
        (EVAL, "valid", {"evaluation_problems", "evaluation_equals_source"}),
        (TESTS, "train", {"tests_problems", "tests_equal_source"}),
    ],
)
def test_what_is_not_the_sources_closes_the_gate_and_the_hint_makes_it_right(
    name: str,
    split: str,
    wrong: set[str],
    copied_current: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = copied_current
    recommit(project, name, from_other_problems(project, split))
    found = answers(project, name)
    assert {one for one, finding in found.items() if not finding.passed} == wrong
    hints = {found[one].hint for one in wrong}
    assert hints == {f"Materialize it again: `wmtp materialize {name} --force`"}
    again = check_against_source(project, project.artifacts[name])
    assert not again[0].passed
    make_again(project, name, hints)
    assert failed(project, name) == set()


def make_again(project: Project, name: str, hints: set[str]) -> None:
    """What the command of the hints does."""
    (hint,) = hints
    assert shlex.split(hint.partition("`")[2].rstrip("`")) == [
        *("wmtp", "materialize", name, "--force")
    ]
    artifact = project.artifacts[name]
    log = logging.getLogger(__name__)
    make_artifact(project, artifact, load_inputs(project, artifact), log, force=True)


def test_counts_of_a_receipt_that_the_lines_do_not_give_fail(copied_current: Project) -> None:
    receipt = copied_current.store.current(EVAL)
    assert receipt is not None
    assert receipt.facts == {
        "problems": 12,
        "public_tests": receipt.facts["public_tests"],
        "private_tests": 12,
        "generated_tests": 48,
    }
    facts = {**receipt.facts, "generated_tests": 49}
    recommit(copied_current, EVAL, lambda _: None, facts=facts)
    assert failed(copied_current, EVAL) == {"receipt_facts"}


@pytest.mark.parametrize(
    ("name", "file"), [(EVAL, "valid_eval.jsonl"), (TESTS, "train_tests.parquet")]
)
def test_a_flipped_bit_fails(name: str, file: str, copied_current: Project) -> None:
    flip(copied_current.store.path(name) / file)
    wrong = failed(copied_current, name)
    assert "files_unchanged" in wrong
    assert len(wrong) > 1


def test_the_estimate_of_disk_counts_them(current_project: Project) -> None:
    names = (TESTS, EVAL, VIEW)
    tests, lines, view = (
        disk_needed(current_project.catalog, [current_project.artifacts[name]]) for name in names
    )
    assert tests > lines > 0
    assert view == 0


# Upstream's files.


def test_raw_shows_what_was_fetched_without_storing_it_twice(current_project: Project) -> None:
    storage = current_project.storage
    assert {
        path.relative_to(storage / "models/meta-llama-mtp/raw").as_posix()
        for path in (storage / "models/meta-llama-mtp/raw").rglob("*")
        if path.is_file()
    } == {"7B_1T_4/params.json", "tokenizer.model"}
    raw = storage / "datasets/codecontests/raw"
    of_splits = [
        path for split in ("train", "valid", "test") for path in shards(current_project, split)
    ]
    assert len(of_splits) == 4
    for upstream in of_splits:
        assert os.path.samefile(raw / "data" / upstream.name, upstream)  # noqa: PTH121
    config = storage / "upstream/models/facebook/multi-token-prediction/7B_1T_4/params.json"
    shown = storage / "models/meta-llama-mtp/raw/7B_1T_4/params.json"
    assert os.path.samefile(config, shown)  # noqa: PTH121


def test_an_alias_of_a_model_shows_them_too(current_project: Project) -> None:
    catalog = current_project.catalog
    name = "meta-llama-mtp"
    aliased = catalog.models[name].model_copy(update={"aliases": ("mtp",)})
    models = {**catalog.models, name: aliased}
    found = artifacts_of(catalog.model_copy(update={"models": models}))
    assert set(found[MODEL_VIEW].links) == {"models/meta-llama-mtp/raw", "models/mtp/raw"}


def test_a_view_of_other_files_closes_the_gate(copied_current: Project) -> None:
    def more(folder: Path) -> None:
        (folder / "raw/more.txt").write_text("more")

    def other(folder: Path) -> None:
        (folder / "raw/7B_1T_4/params.json").write_text("{}")

    def fewer(folder: Path) -> None:
        (folder / "raw/tokenizer.model").unlink()

    for change, said in (
        (more, "raw/more.txt: not among what was fetched"),
        (other, "raw/7B_1T_4/params.json: SHA-256"),
        (fewer, "raw/tokenizer.model: missing"),
    ):
        recommit(copied_current, MODEL_VIEW, change)
        found = answers(copied_current, MODEL_VIEW)
        wrong = {name for name, one in found.items() if not one.passed}
        assert wrong - {"receipt_facts"} == {"files_of_source"}
        assert said in str(found["files_of_source"].found)
        make_again(copied_current, MODEL_VIEW, {f"`{found['files_of_source'].hint}`"})
        assert failed(copied_current, MODEL_VIEW) == set()
    flip(copied_current.store.path(MODEL_VIEW) / "raw/7B_1T_4/params.json")
    assert failed(copied_current, MODEL_VIEW) == {"files_unchanged"}


def test_a_fetched_file_that_is_lost_is_named_with_the_command_that_fetches_it(
    copied_current: Project,
) -> None:
    project, view = copied_current, copied_current.artifacts[VIEW]
    gone = shards(project, "train")[0]
    gone.unlink()
    inputs, log = load_inputs(project, view), logging.getLogger(__name__)
    with pytest.raises(StorageError) as caught:
        make_artifact(project, view, inputs, log, force=True)
    assert caught.value.where == gone
    assert caught.value.hint == f"wmtp materialize {RAW} --force"
    raw = project.artifacts[RAW]
    make_artifact(project, raw, [], log, force=True)
    make_artifact(project, view, load_inputs(project, view), log, force=True)
    assert failed(project, VIEW) == failed(project, RAW) == set()


def test_files_that_are_verified_together_are_read_once(copied_current: Project) -> None:
    project, log = copied_current, logging.getLogger(__name__)
    view = project.artifacts[VIEW]
    make_artifact(project, view, load_inputs(project, view), log, force=True)  # links again
    size = sum(
        path.stat().st_size
        for split in ("train", "valid", "test")
        for path in shards(project, split)
    )

    def read(shared: Shared) -> int:
        counted: list[int] = []
        with watched(counted.append):
            assert all(one.passed for one in run_checks(project, view, shared=shared))
        return sum(counted)

    shared = Shared(view.inputs)
    for name in view.inputs:
        assert all(
            one.passed for one in run_checks(project, project.artifacts[name], shared=shared)
        )
    assert read(shared) < size / 100
    assert size <= read(Shared()) < size * 1.01
    # What another file stands in for is read.
    copy = project.store.path(VIEW) / "raw/data" / shards(project, "train")[0].name
    data = copy.read_bytes()
    copy.unlink()
    copy.write_bytes(data)
    assert len(data) <= read(shared) < size


@pytest.mark.slow
def test_released_weights_leave_no_dangling_link_and_the_gate_open(
    copied_current: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("runs", "versions"):
        monkeypatch.setattr(f"wmtp_assets.cli.{module}.open_project", lambda: copied_current)
    weights = copied_current.storage / (
        "upstream/models/facebook/multi-token-prediction/7B_1T_4/consolidated.pth"
    )
    assert weights.exists()
    assert main(["gc", "--raw"]) == 0
    capsys.readouterr()
    assert not weights.exists()
    for folder in ("models", "datasets"):
        for here, folders, files in os.walk(copied_current.storage / folder, followlinks=True):
            for name in (*folders, *files):
                assert (Path(here) / name).exists(), name
    assert evaluate(copied_current).open


# Small copies.


def test_every_dataset_has_a_small_copy(project: Project, current_project: Project) -> None:
    names = {name for name in current_project.artifacts if "_small_" in name}
    assert {name.partition("_small_")[0] for name in names} == {
        f"datasets/{name}" for name in ("codecontests", "mbpp", "humaneval")
    }
    assert not any("mbpp_small" in name for name in project.artifacts)
    for dataset, split, most in (
        ("mbpp", "train", 100),
        ("mbpp", "validation", 32),
        ("humaneval", "test", 32),
        ("codecontests", "train", 100),
    ):
        whole = open_corpus(current_project.storage, dataset, split, "current")
        small = open_corpus(current_project.storage, f"{dataset}_small", split)
        assert len(small) == min(most, len(whole))
        assert {row["task_id"] for row in small} <= {row["task_id"] for row in whole}
