"""Near-duplicates of the sample's training rows: made, published, read, and each check broken."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets import open_corpus
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.catalog.dataset_entries import Quality
from wmtp_assets.cli import main
from wmtp_assets.corpora.annotations import SCHEMAS, AnnotationFile
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets_tests.artifact_checks.breaking import answers, failed, recommit, unmake
from wmtp_assets_tests.orchestration.tiny import empty

ROWS = "datasets/codecontests_train"
NAME = f"{ROWS}_duplicates"
FILE = "train_duplicates.parquet"


def asking(project: Project, storage: Path) -> Project:
    """The project with a catalog that asks for the near-duplicates of training rows."""
    datasets = dict(project.catalog.datasets)
    datasets["codecontests"] = datasets["codecontests"].model_copy(
        update={"quality": Quality(duplicates=("train",))}
    )
    catalog = project.catalog.model_copy(update={"datasets": datasets})
    return Project(catalog, storage, project.hub_spec)


def made(project: Project) -> None:
    artifact = project.artifacts[NAME]
    log = logging.getLogger(__name__)
    make_artifact(project, artifact, load_inputs(project, artifact), log)
    assert project.store.publish(project.sets[NAME]) is not None


@pytest.fixture(scope="module")
def clustered(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The sample with near-duplicates. Only for reading."""
    storage = tmp_path_factory.mktemp("clustered") / "storage"
    shutil.copytree(project.storage, storage, symlinks=True)
    found = asking(project, storage)
    unmake(storage, found.artifacts[NAME])
    made(found)
    return found


@pytest.fixture
def broken(clustered: Project, tmp_path: Path) -> Project:
    """A copy, to break."""
    shutil.copytree(clustered.storage, tmp_path / "storage", symlinks=True)
    return Project(clustered.catalog, tmp_path / "storage", clustered.hub_spec)


def test_they_are_published_beside_the_rows_and_read_with_them(clustered: Project) -> None:
    corpus = open_corpus(clustered.storage, "codecontests", "train")
    cluster = corpus.column("cluster")
    assert len(corpus.select(one_per_cluster=True)) < len(corpus)
    assert len(corpus.one_per_cluster(seed=1, per_class=False)) == len(np.unique(cluster))
    assert failed(clustered, NAME) == set()
    assert [one.passed for one in check_against_source(clustered, clustered.artifacts[NAME])] == [
        True
    ]
    found = answers(clustered, NAME)
    assert "rows with one per cluster" in str(found["rows_per_cluster"].found)
    assert found["clusters_equal_every_pair"].details["pairs_compared"] > 1000
    receipt = clustered.store.current(NAME)
    assert receipt is not None
    assert receipt.facts["clusters"] == len(np.unique(cluster)) < receipt.facts["rows"]


def test_what_the_sample_has_is_found(clustered: Project) -> None:
    """A near copy, and a text of both classes but for white space, are planted in it."""
    corpus = open_corpus(clustered.storage, "codecontests", "train")
    facts = corpus.annotations.file("duplicates").facts["statistics"]
    assert facts["of_both"] >= 1
    assert facts["label_conflicts"]["texts"] >= 1
    for right, wrong in facts["label_conflicts"]["examples"]:
        texts = ["".join(corpus[row]["output"].split()) for row in (right, wrong)]
        assert texts[0] == texts[1]
        assert (corpus[right]["is_correct"], corpus[wrong]["is_correct"]) == (True, False)
        assert corpus.column("cluster")[right] == corpus.column("cluster")[wrong]


@pytest.mark.slow
def test_without_them_the_error_names_what_makes_them(
    project: Project, copied: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmake(copied.storage, copied.artifacts[NAME])
    with pytest.raises(CorpusError) as error:
        open_corpus(copied.storage, "codecontests", "train").column("cluster")
    (command,) = re.findall(r"`(wmtp [^`]+)`", str(error.value))
    assert command == f"wmtp materialize {NAME}"
    assert "`quality: {duplicates: [train]}`" in str(error.value)
    world = empty(tmp_path / "world", asking(project, copied.storage).catalog, tmp_path)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WMTP_STORAGE", str(copied.storage))
    monkeypatch.setenv("WMTP_HUB", str(project.hub_spec))
    assert main(command.split()[1:]) == 0
    assert open_corpus(copied.storage, "codecontests", "train").column("cluster").size
    small = open_corpus(copied.storage, "codecontests_small", "train")
    assert small.column("cluster").size == len(small)


def rewritten(
    change: Callable[[list[int]], object] = lambda cluster: None,
    footer: Callable[[dict[str, Any]], object] = lambda facts: None,
) -> Callable[[Path], None]:
    """A change of the clusters, and of what stands beside them."""

    def at(folder: Path) -> None:
        table = pq.read_table(folder / FILE)
        facts = AnnotationFile(folder / FILE, "duplicates").facts
        cluster = table["cluster"].to_pylist()
        change(cluster)
        footer(facts)
        schema = SCHEMAS["duplicates"].with_metadata({"wmtp": json.dumps(facts)})
        pq.write_table(pa.table({"cluster": pa.array(cluster, pa.int32())}, schema), folder / FILE)

    return at


def apart(cluster: list[int]) -> None:
    cluster[:] = range(len(cluster))


BROKEN = [
    (rewritten(lambda cluster: cluster.pop()), {"clusters_within_problems"}),
    (
        rewritten(lambda cluster: cluster.__setitem__(-1, 0)),
        {"clusters_within_problems"},
    ),
    (rewritten(apart), {"clusters_equal_every_pair"}),
    (rewritten(footer=lambda facts: facts["about"].update(rows=3)), {"annotation_is_of_rows"}),
    (
        rewritten(footer=lambda facts: facts["about"]["jsonl"].update(sha256="0" * 64)),
        {"annotation_is_of_rows"},
    ),
    (
        rewritten(footer=lambda facts: facts["statistics"].update(of_both=99)),
        {"duplicates_add_up"},
    ),
]


@pytest.mark.parametrize(("change", "wrong"), BROKEN)
def test_each_check_finds_what_it_is_about(
    broken: Project, change: Callable[[Path], None], wrong: set[str]
) -> None:
    recommit(broken, NAME, change)
    assert wrong <= failed(broken, NAME)


def test_all_rows_compared_again_tell_who_is_missing(broken: Project) -> None:
    recommit(broken, NAME, rewritten(apart))
    (finding,) = check_against_source(broken, broken.artifacts[NAME])
    assert not finding.passed
    assert "in cluster" in str(finding.found)


def test_a_row_too_many_in_a_cluster_is_found(broken: Project) -> None:
    corpus = open_corpus(broken.storage, "codecontests", "train")
    problem, cluster = corpus.column("problem"), corpus.column("cluster")
    alone = np.bincount(cluster, minlength=cluster.size) == 1
    row = int(np.flatnonzero(alone[1:] & alone[:-1] & (problem[1:] == problem[:-1]))[0]) + 1

    def together(clusters: list[int]) -> None:
        clusters[row] = row - 1

    recommit(broken, NAME, rewritten(together))
    finding = answers(broken, NAME)["clusters_equal_every_pair"]
    assert not finding.passed  # the sample is so small that every problem is drawn
    assert "1 rows with others" in str(finding.found)
    (finding,) = check_against_source(broken, broken.artifacts[NAME])
    assert f"row {row} in cluster {row - 1}" in str(finding.found)
