"""Leaks of the sample's training rows: made, published, read, and each check broken."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets import open_corpus
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.catalog.dataset_entries import Quality
from wmtp_assets.corpora.annotations import SCHEMAS, AnnotationFile
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets_tests.artifact_checks.breaking import answers, failed, recommit, unmake

NAMES = {name: f"datasets/{name}_train_leaks" for name in ("codecontests", "mbpp")}
NAME = NAMES["codecontests"]
FILE = "train_leaks.parquet"


def asking(project: Project, storage: Path) -> Project:
    """The project with a catalog that asks for the leaks of training rows."""
    datasets = dict(project.catalog.datasets)
    for name in NAMES:
        asked = {"quality": Quality(leaks=("train",))}
        datasets[name] = datasets[name].model_copy(update=asked)
    catalog = project.catalog.model_copy(update={"datasets": datasets})
    return Project(catalog, storage, project.hub_spec)


def made(project: Project, name: str) -> None:
    artifact = project.artifacts[name]
    log = logging.getLogger(__name__)
    make_artifact(project, artifact, load_inputs(project, artifact), log)
    assert project.store.publish(project.sets[name]) is not None


@pytest.fixture(scope="module")
def searched(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample with leaks. Only for reading."""
    storage = tmp_path_factory.mktemp("searched") / "storage"
    shutil.copytree(project.storage, storage, symlinks=True)
    found = asking(project, storage)
    for name in NAMES.values():
        unmake(storage, found.artifacts[name])
        made(found, name)
    return found


@pytest.fixture
def broken(searched: Project, tmp_path: Path) -> Project:
    """A copy, to break."""
    shutil.copytree(searched.storage, tmp_path / "storage", symlinks=True)
    return Project(searched.catalog, tmp_path / "storage", searched.hub_spec)


def test_rows_are_compared_with_what_models_are_evaluated_on(searched: Project) -> None:
    inputs = searched.artifacts[NAME].inputs
    assert inputs[0] == "datasets/codecontests_train"
    assert set(inputs[1:]) == {
        "datasets/codecontests_valid",
        "datasets/codecontests_test",
        "datasets/humaneval_test",
        *(f"datasets/mbpp_{split}" for split in searched.catalog.datasets["mbpp"].splits),
    }
    assert "datasets/mbpp_train" not in searched.artifacts[NAMES["mbpp"]].inputs[1:]


def test_they_are_published_beside_the_rows_and_read_with_them(searched: Project) -> None:
    corpus = open_corpus(searched.storage, "codecontests", "train")
    leaked = corpus.column("leaked")
    kept = corpus.select(leaked=False)
    assert 0 < leaked.sum() == len(corpus) - len(kept)
    assert len(corpus.balanced(50, among=kept, seed=3)) == 50
    assert failed(searched, NAME) == {"no_leaks"}
    for name in NAMES.values():
        (finding,) = check_against_source(searched, searched.artifacts[name])
        assert finding.passed, finding.found


def test_what_is_planted_in_the_sample_is_found(searched: Project) -> None:
    """A function of HumanEval renamed, one of MBPP reformatted, a program of the test split."""
    corpus = open_corpus(searched.storage, "codecontests", "train")
    lines = corpus.annotations.file("leaks").table().to_pylist()
    kinds = {(line["dataset"], line["split"], line["how"], line["field"]) for line in lines}
    assert ("humaneval", "test", "renamed", "output") in kinds
    assert ("mbpp", "test", "reformatted", "output") in kinds
    assert ("codecontests", "test", "verbatim", "output") in kinds
    finding = answers(searched, NAME)["no_leaks"]
    assert not finding.blocking
    assert "of humaneval test (renamed, output)" in str(finding.details["kinds"])
    assert "as codecontests test" in str(finding.details["first"])
    assert any("def stacked(prices)" in line["excerpt"] for line in lines)
    receipt = searched.store.current(NAME)
    assert receipt is not None
    assert receipt.facts["pairs"] == len(lines)


def test_without_them_the_error_names_what_makes_them(project: Project, copied: Project) -> None:
    unmake(copied.storage, copied.artifacts[NAME])
    with pytest.raises(CorpusError) as error:
        open_corpus(copied.storage, "codecontests", "train").column("leaked")
    assert f"`wmtp materialize {NAME}`" in str(error.value)
    made(asking(project, copied.storage), NAME)  # the catalog as the hint says
    assert open_corpus(copied.storage, "codecontests", "train").column("leaked").any()


def rewritten(
    change: Callable[[list[dict[str, Any]]], object] = lambda lines: None,
    footer: Callable[[dict[str, Any]], object] = lambda facts: None,
) -> Callable[[Path], None]:
    """A change of the lines, and of what stands beside them."""

    def at(folder: Path) -> None:
        lines = pq.read_table(folder / FILE).to_pylist()
        facts = AnnotationFile(folder / FILE, "leaks").facts
        change(lines)
        footer(facts)
        schema = SCHEMAS["leaks"].with_metadata({"wmtp": json.dumps(facts)})
        pq.write_table(pa.Table.from_pylist(lines, schema=schema), folder / FILE)

    return at


BROKEN = [
    (rewritten(lambda lines: lines.pop()), {"leaks_found_again"}),
    (rewritten(lambda lines: lines[0].update(how="verbatim?")), {"leaks_found_again"}),
    (rewritten(lambda lines: lines[0].update(row_there=99)), {"leaks_found_again"}),
    (rewritten(lambda lines: lines[0].update(excerpt="pass")), {"leaks_found_again"}),
    (rewritten(lambda lines: lines.append({**lines[-1]})), {"leaks_found_again"}),
    (rewritten(footer=lambda facts: facts["about"].update(rows=3)), {"annotation_is_of_rows"}),
    (rewritten(lambda lines: lines[-1].update(row=10**6)), {"leaks_found_again", "no_leaks"}),
]


@pytest.mark.parametrize(("change", "wrong"), BROKEN)
def test_each_check_finds_what_it_is_about(
    broken: Project, change: Callable[[Path], None], wrong: set[str]
) -> None:
    recommit(broken, NAME, change)
    assert wrong <= failed(broken, NAME)


def test_searching_all_rows_again_tells_which_lines_are_wrong(broken: Project) -> None:
    recommit(broken, NAME, rewritten(footer=lambda facts: facts["statistics"].update(pairs=1)))
    (finding,) = check_against_source(broken, broken.artifacts[NAME])
    assert "other counts" in str(finding.found)
    recommit(broken, NAME, rewritten(lambda lines: lines.pop()))
    (finding,) = check_against_source(broken, broken.artifacts[NAME])
    assert not finding.passed
    assert finding.hint == f"wmtp materialize {NAME} --force"
