"""What was found out about rows, to be quoted: README.md and figures.json below quality/."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.cards import quality_card_derived
from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.artifacts.make.cards import write_quality_card
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.catalog import Catalog
from wmtp_assets.catalog.dataset_entries import Execution, Quality
from wmtp_assets.corpora.annotations import about, write_annotation
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.execution.tasks import Verdict
from wmtp_assets.storage.errors import StorageError

CODE = "datasets/codecontests"
CARD = f"{CODE}_quality_card"
HOSTILE = "<script>alert(1)</script> ![x](https://evil.example/i.png) | a |"


def asking(catalog: Catalog, **execute: Any) -> Catalog:
    """The sample's catalog, asking for all that can be found out about rows of code_contests."""
    quality = Quality(
        execute=Execution(rows={"valid": "all"}, **execute), leaks=("train",), duplicates=("train",)
    )
    dataset = catalog.datasets["codecontests"].model_copy(update={"quality": quality})
    return catalog.model_copy(update={"datasets": {**catalog.datasets, "codecontests": dataset}})


def put(project: Project, name: str, write: Callable[[Path], object]) -> None:
    """An artifact as its maker would have written it."""
    with project.store.stage(name) as staging:
        write(staging.path)
        staging.commit(inputs={}, code_version="1", entry_digest="0", facts={}, seconds=0.0)


def rates(rows: RowIndex) -> dict[str, Any]:
    return {
        "about": about(rows),
        "drawn": 83,
        "executed": True,
        "verdicts": {"correct": {"passed": 36, "failed": 4}, "incorrect": {"passed": 1}},
        "rates": [
            {"by": "all", "value": None, "class": "correct", "agree": 36, "judged": 40}
            | {"rate": 0.9, "low": 0.7695, "high": 0.9604},
            {"by": "source", "value": 2, "class": "incorrect", "agree": 0, "judged": 0}
            | {"rate": None, "low": None, "high": None},
        ],
        "apart": {"several_answers": {"correct": 3, "incorrect": 0}},
        "protocol": {"seed": 42, "interpreter": HOSTILE, "python2": ""},
        "published": [{"what": HOSTILE, "figures": {"true_positive": 0.8505}, "protocol": HOSTILE}],
    }


@pytest.fixture
def found_out(copied: Project) -> Project:
    """A storage in which rows were executed and compared."""
    made = Project(asking(copied.catalog), copied.storage, copied.hub_spec)
    valid, train = (
        RowIndex(made.store.path(f"{CODE}_{split}") / f"{split}.index.parquet")
        for split in ("valid", "train")
    )

    def verdicts(folder: Path) -> None:
        (folder / "valid_verdicts.json").write_text(json.dumps(rates(valid)), encoding="utf-8")

    def leaks(folder: Path) -> None:
        columns = {
            **{"row": [3], "dataset": ["mbpp"], "split": ["test"], "row_there": [1]},
            **{"how": ["renamed"], "field": ["output"], "score": [0.5]},
            **{"excerpt": [HOSTILE], "excerpt_there": [HOSTILE]},
        }
        write_annotation(folder / "train_leaks.parquet", "leaks", columns, train)

    def duplicates(folder: Path) -> None:
        cluster = np.arange(len(train), dtype=np.int32)
        cluster[5] = 4
        path = folder / "train_duplicates.parquet"
        write_annotation(path, "duplicates", {"cluster": cluster}, train)

    for name, write in (
        *((f"{CODE}_valid_verdicts", verdicts), (f"{CODE}_train_leaks", leaks)),
        (f"{CODE}_train_duplicates", duplicates),
    ):
        put(made, name, write)
    return made


def written(project: Project, folder: Path) -> Made:
    folder.mkdir(exist_ok=True)
    artifact = project.artifacts[CARD]
    return write_quality_card(Task(project, artifact, {}, folder, logging.getLogger("card")))


def test_it_states_what_the_files_say_and_nothing_else(found_out: Project, tmp_path: Path) -> None:
    folder = tmp_path / "card"
    assert written(found_out, folder).facts == {"document": "figures.json"}
    text = (folder / "README.md").read_text("utf-8")
    assert "**Generated sample, not the real data.**" in text
    assert "| all | correct, and pass | 36 of 40 | 90.00 % | 76.95 % to 96.04 % |" in text
    assert "source 2" not in text, "no row of it was judged"
    assert "| problem with several correct answers | correct | 3 |" in text
    assert "1 rows hold texts of evaluation sets, in 1 pairs: `train_leaks.parquet`" in text
    assert "| mbpp test | renamed | output | 1 | 1 |" in text
    assert "381 rows are in 380 clusters; the largest has 2." in text
    kept = "one per cluster and class leaves 380, 187 correct and 193 incorrect."
    assert f"One row per cluster leaves 380; {kept}" in text
    train, valid = text.partition("## train")[2].split("## valid")
    assert "No row was executed." in train
    assert "No row was compared with evaluation sets." in valid
    figures = json.loads((folder / "figures.json").read_bytes())
    for split in ("train", "valid"):
        receipt = found_out.store.current(f"{CODE}_{split}")
        assert receipt is not None
        assert figures[split]["rows_sha256"] == receipt.files[f"{split}.jsonl"].sha256
        assert receipt.files[f"{split}.jsonl"].sha256 in text
    assert figures["valid"]["labels"]["rates"][0]["rate"] == 0.9
    assert figures["valid"]["clusters"] is None


def test_it_says_what_a_verdict_means_and_how_rows_were_executed(
    found_out: Project, tmp_path: Path
) -> None:
    """Who quotes a rate from this page has its protocol, and what "failed" is, on this page."""
    written(found_out, tmp_path / "card")
    text = (tmp_path / "card/README.md").read_text("utf-8")
    defined = text.partition("| verdict | meaning |")[2].partition("\n\n")[0]
    for verdict in Verdict:
        assert str(verdict).replace("_", " ") in defined
    assert "| seed | 42 |" in text
    assert "| Python 2 | none |" in text
    assert text.count("What others published") == 1
    assert "python2" not in text


def test_words_in_the_files_stay_text(found_out: Project, tmp_path: Path) -> None:
    written(found_out, tmp_path / "card")
    text = (tmp_path / "card/README.md").read_text("utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {child.type for one in tokens for child in [one, *(one.children or ())]}
    assert not kinds & {"html_block", "html_inline", "image", "link_open"}
    assert "alert(1)" in text


def test_what_is_about_other_rows_is_not_stated(found_out: Project, tmp_path: Path) -> None:
    def of_others(folder: Path) -> None:
        train = RowIndex(found_out.store.path(f"{CODE}_train") / "train.index.parquet")
        (folder / "valid_verdicts.json").write_text(json.dumps(rates(train)), encoding="utf-8")

    put(found_out, f"{CODE}_valid_verdicts", of_others)
    with pytest.raises(CorpusError, match="about other rows"):
        written(found_out, tmp_path / "card")


def test_it_waits_for_what_it_is_about(copied: Project, tmp_path: Path) -> None:
    dataset = copied.catalog.datasets["codecontests"]
    quality = Quality(duplicates=("train", "valid"))  # those of valid are not there
    wanted = {"codecontests": dataset.model_copy(update={"quality": quality})}
    catalog = copied.catalog.model_copy(update={"datasets": {**copied.catalog.datasets, **wanted}})
    asked = Project(catalog, copied.storage, copied.hub_spec)
    with pytest.raises(StorageError, match="codecontests_valid_duplicates"):
        written(asked, tmp_path / "card")


def test_its_check_finds_another_figure(found_out: Project, tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        written(found_out, folder)

    put(found_out, CARD, write)
    artifact = found_out.artifacts[CARD]
    finding = quality_card_derived.of(Subject(found_out, artifact))
    assert "document" in str(finding.found), "the receipt of this test states no facts"

    def improved(folder: Path) -> None:
        write(folder)
        card = folder / "README.md"
        card.write_text(card.read_text("utf-8").replace("36 of 40", "40 of 40"), "utf-8")

    put(found_out, CARD, improved)
    finding = quality_card_derived.of(Subject(found_out, artifact))
    assert "README.md: other bytes than its inputs give" in str(finding.found)


@pytest.mark.parametrize("on_request", [False, True])
def test_it_is_on_request_where_what_it_is_about_is(project: Project, on_request: bool) -> None:
    asked = Project(asking(project.catalog, on_request=on_request), project.storage)
    card = asked.artifacts[CARD]
    assert card.on_request is on_request
    assert card.status == "optional"
    assert {one for one in card.inputs if one.endswith(("verdicts", "leaks", "duplicates"))} == {
        f"{CODE}_valid_verdicts",
        f"{CODE}_train_leaks",
        f"{CODE}_train_duplicates",
    }
    assert list(card.links) == [
        "datasets_v2/codecontests/quality/figures.json",
        "datasets_v2/codecontests/quality/README.md",
    ]
    dataset = project.catalog.datasets["codecontests"].model_copy(update={"quality": None})
    datasets = {**project.catalog.datasets, "codecontests": dataset}
    nothing = project.catalog.model_copy(update={"datasets": datasets})
    assert CARD not in Project(nothing, project.storage).artifacts
