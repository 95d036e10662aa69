"""docs/datasets.md, executed: each entry is made from generated Parquet, checked, judged and read;
and what a source must not hold is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.catalog.licences import KNOWN
from wmtp_assets.catalog.reader import CatalogError, load_catalog
from wmtp_assets.corpora import source_comparison
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.grades import Grades, id_of
from wmtp_assets.corpora.package_file import EVALPLUS_FIELDS, PackageFile, task_ids
from wmtp_assets.corpora.source_comparison import (
    SMALL_SOURCE,
    SplitSource,
    check_rebuilt,
    check_source,
)
from wmtp_assets_tests.artifact_checks.breaking import answers, recommit
from wmtp_assets_tests.corpora import further_sources as sources
from wmtp_assets_tests.corpora.conftest import problem, rows_of, write_shard
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.worlds import materialized

DOCUMENT = Path(__file__).parents[2] / "docs/datasets.md"
PACKAGE = PackageFile("evalplus", "HUMANEVAL_OVERRIDE_PATH", EVALPLUS_FIELDS)


def entries() -> dict[str, Any]:
    """The document's entries by name, with the rows and files of the generated sources."""
    found: dict[str, Any] = {}
    for block in re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S):
        found |= yaml.safe_load(block)
    for entry in found.values():
        for split in entry["splits"].values():
            split.pop("rows", None)
            for file in split["files"]:
                if isinstance(file, dict):
                    file["count"] = sources.PARTS
    return found


@pytest.fixture(scope="module")
def world(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """A storage for both generations of the contract, with every entry of the document made."""
    folder = tmp_path_factory.mktemp("further")
    made = tiny.rows(project, folder / "world")
    hub = folder / "hub"
    shutil.copytree(made.hub, hub)
    sources.write_all(hub)
    catalog = yaml.safe_load(made.catalog.read_text())
    catalog["contract"] = ["phase1", "current"]
    # Its difficulties are asked for here, and nothing of it need be executed for them.
    known = project.catalog.datasets["codecontests"].model_copy(update={"quality": None})
    catalog["datasets"] = {
        **entries(),  # also those that take difficulties from an entry below them
        **catalog["datasets"],
        "codecontests": known.model_dump(mode="json", exclude_defaults=True),
    }
    made.catalog.write_text(yaml.safe_dump(catalog, sort_keys=False))
    further = tiny.Tiny(made.folder, hub)
    result = materialized(further.project, further.project.artifacts)
    assert result.success
    return further


@pytest.mark.slow
def test_every_entry_of_the_document_is_made_checked_and_opens_the_gate(world: tiny.Tiny) -> None:
    project = world.project
    new = [one for one in project.artifacts.values() if one.owner in entries()]
    assert {one.owner for one in new} == set(entries())
    wrong = {
        (artifact.name, finding.name): finding.found
        for artifact in new
        for finding in run_checks(project, artifact)
        if not finding.passed
    }
    assert wrong == {}
    assert world.opens()


def test_every_shipped_format_is_in_a_catalog_or_in_the_document() -> None:
    shown = {entry["layout"] for entry in entries().values()}
    shown |= {dataset.layout for dataset in load_catalog("full").datasets.values()}
    licences = {entry["upstream"]["licence"] for entry in entries().values()}
    assert licences <= KNOWN.keys()
    assert {name for name, one in FORMATS.items() if one.__module__.startswith("wmtp_assets.")} <= (
        shown
    )


@pytest.mark.slow
def test_answers_of_gsm8k_end_in_what_metadata_states(world: tiny.Tiny, tmp_path: Path) -> None:
    rows = list(wmtp_assets.open_corpus(world.storage, "gsm8k", "train"))
    finals = [f"{1001 * at:,}" if at % 4 == 1 else str(1001 * at) for at in range(6)]
    assert rows == [
        {
            "instruction": row["question"],
            "input": "",
            "output": row["answer"],
            "task_id": f"gsm8k_{at}",
            "metadata": {"source": "gsm8k", "final_answer": finals[at]},
        }
        for at, row in enumerate(sources.gsm8k_rows(6))
    ]
    for folder in ("datasets_v2", "datasets"):
        at = world.storage / folder / "gsm8k/processed"
        loaded = datasets.load_dataset(str(at), cache_dir=str(tmp_path / "cache"))
        assert loaded["train"].to_list() == rows
    metadata = world.storage / "datasets_v2/gsm8k/processed/test_metadata.json"
    assert json.loads(metadata.read_bytes())["metadata"] == [{}] * 3


@pytest.mark.parametrize("answer", ["It is 7.", "It is 7.\n#### ", "It is 7.\n####\u2003\n"])
def test_an_answer_of_gsm8k_without_a_final_one_is_refused(
    small_tokenizer: Path, tmp_path: Path, answer: str
) -> None:
    rows = [*sources.gsm8k_rows(2), {"question": "Why?", "answer": answer}]
    shard = sources.write_rows(tmp_path / "shard.parquet", rows, sources.GSM8K)
    with pytest.raises(CorpusError) as refusal:
        build_split(FORMATS["gsm8k"], [shard], small_tokenizer, tmp_path, "test")
    for words in ("'gsm8k_2'", "no final_answer", "What follows #### in the output", "row 2"):
        assert words in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["shard.parquet"]


@pytest.mark.slow
def test_rows_of_evalplus_have_their_tests_at_the_top_and_in_metadata(world: tiny.Tiny) -> None:
    first = wmtp_assets.open_corpus(world.storage, "humaneval-plus", "test")[0]
    source = sources.humaneval_plus_rows()[0]
    tests = {name: source[name] for name in ("test", "entry_point")}
    assert first == {
        "instruction": source["prompt"],
        "input": "",
        "output": source["canonical_solution"],
        "task_id": "HumanEval/0",
        **tests,
        "metadata": {"source": "humaneval-plus", **tests, "has_tests": True},
    }
    exec(first["instruction"] + first["output"] + first["test"], space := {})  # noqa: S102 (ours)
    space["check"](space[first["entry_point"]])
    second = wmtp_assets.open_corpus(world.storage, "mbpp-plus", "test")[1]
    source = sources.mbpp_plus_rows()[1]
    tests = {name: source[name] for name in ("test_imports", "test_list", "test")}
    assert second == {
        "instruction": source["prompt"],
        "input": "",
        "output": source["code"],
        "task_id": "3",
        **tests,
        "metadata": {"source": "mbpp-plus", **tests, "has_tests": True},
    }


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["datasets_v2", "datasets"])
@pytest.mark.parametrize("name", ["humaneval-plus", "mbpp-plus"])
def test_the_file_of_the_package_is_upstreams_at_every_generations_path(
    world: tiny.Tiny, folder: str, name: str
) -> None:
    path = world.storage / folder / name / "evalplus/test.jsonl"
    source = world.hub / "datasets/evalplus" / name.replace("-", "") / "test.jsonl"
    assert path.read_bytes() == source.read_bytes()
    rows = len(wmtp_assets.open_corpus(world.storage, name, "test"))
    assert len(task_ids(path, PACKAGE)) == rows


@pytest.mark.slow
@pytest.mark.parametrize("name", ["humaneval-plus", "mbpp-plus"])
def test_evalplus_itself_reads_the_file(
    world: tiny.Tiny, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pytest.importorskip("evalplus.data", reason="evalplus is not installed")
    path = world.storage / "datasets_v2" / name / "evalplus/test.jsonl"
    module, loader = {
        "humaneval-plus": ("humaneval", "get_human_eval_plus"),
        "mbpp-plus": ("mbpp", "get_mbpp_plus"),
    }[name]
    variable = project_variable(world, name)
    monkeypatch.setattr(f"evalplus.data.{module}.{variable}", str(path))
    read = getattr(data, loader)()
    assert set(read) == set(task_ids(path, PACKAGE))


def project_variable(world: tiny.Tiny, name: str) -> str:
    """The environment variable that the artifact's page names."""
    receipt = world.project.store.current(f"datasets/{name}_package")
    assert receipt is not None
    assert receipt.facts["package"] == "evalplus"
    return str(receipt.facts["variable"])


def _lines(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Path], None]:
    def applied(folder: Path) -> None:
        path = folder / "test.jsonl"
        tasks = [json.loads(line) for line in path.read_bytes().splitlines()]
        change(tasks)
        sources.write_tasks(path, tasks)

    return applied


_BROKEN: dict[str, tuple[Callable[[Path], None], set[str], str]] = {
    "a field that the package asks for": (
        _lines(lambda tasks: tasks[2].pop("atol")),
        {"package_reads_it", "tasks_of_rows_in_package", "file_is_upstreams"},
        "no atol",
    ),
    "another prompt": (
        _lines(lambda tasks: tasks[0].update(prompt="def other():")),
        {"file_is_upstreams"},
        "SHA-256",
    ),
    "a task less": (
        _lines(lambda tasks: tasks.pop(1)),
        {"file_is_upstreams", "tasks_of_rows_in_package"},
        "HumanEval/1",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", _BROKEN)
def test_a_package_file_that_is_not_as_it_was_fetched_is_found(
    world: tiny.Tiny, tmp_path: Path, what: str
) -> None:
    change, failing, says = _BROKEN[what]
    copy = tiny.copied(world, tmp_path / "copy").project
    name = "datasets/humaneval-plus_package"
    recommit(copy, name, change)
    found = answers(copy, name)
    assert {one.name for one in found.values() if not one.passed} == failing
    assert any(says in str(found[one].found) for one in failing)
    assert not found["file_is_upstreams"].passed
    assert found["tasks_of_rows_in_package"].blocking is False


_UNREADABLE: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{cut", "line 1"),
    "a list": (b"[]\n", "no JSON object"),
    "a number for a task id": (b'{"task_id": 3}\n', "no prompt"),
    "nothing like gzip": (b"plain", "cannot be read"),
}


@pytest.mark.parametrize("what", _UNREADABLE)
def test_a_file_that_the_package_cannot_read_is_refused_by_line(tmp_path: Path, what: str) -> None:
    data, says = _UNREADABLE[what]
    path = tmp_path / ("tasks.jsonl.gz" if "gzip" in what else "tasks.jsonl")
    path.write_bytes(data)
    with pytest.raises(CorpusError) as refusal:
        task_ids(path, PACKAGE)
    assert says in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_a_gzipped_release_is_read_and_a_task_stands_once_in_it(tmp_path: Path) -> None:
    tasks = sources.packaged(sources.humaneval_plus_rows(3))
    path = sources.write_tasks(tmp_path / "HumanEvalPlus.jsonl.gz", tasks)
    assert task_ids(path, PACKAGE) == ["HumanEval/0", "HumanEval/1", "HumanEval/2"]
    sources.write_tasks(path, [*tasks, tasks[1]])
    with pytest.raises(CorpusError, match=r"'HumanEval/1' again, as in line 2") as refusal:
        task_ids(path, PACKAGE)
    assert "line 4" in str(refusal.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "file", "says"),
    [
        ("gsm8k", "main/test.jsonl", "no evaluation package reads a file of gsm8k"),
        ("humaneval-plus", "test.json", "name one that ends in .jsonl or .jsonl.gz"),
        ("humaneval-plus", "*.jsonl", "reads one file of JSON Lines"),
    ],
)
def test_a_package_file_that_nothing_reads_is_refused_in_the_catalog(
    world: tiny.Tiny, tmp_path: Path, entry: str, file: str, says: str
) -> None:
    catalog = yaml.safe_load(world.catalog.read_text())
    catalog["datasets"][entry]["package_file"] = file
    path = tmp_path / "catalog.yaml"
    path.write_text(yaml.safe_dump(catalog, sort_keys=False))
    with pytest.raises(CatalogError) as refusal:
        load_catalog(path)
    assert says in str(refusal.value)
    assert f"datasets.{entry}" in str(refusal.value)


@pytest.mark.slow
def test_difficulties_are_those_of_the_same_problem_and_the_others_are_counted(
    world: tiny.Tiny,
) -> None:
    corpus = wmtp_assets.open_corpus(world.storage, "codecontests-plus", "train")
    (shard,) = world.hub.glob("datasets/deepmind/code_contests/data/valid-*.parquet")
    known = pq.read_table(shard, columns=["source", "name", "difficulty", "cf_rating"]).to_pylist()
    assert {one["source"] for one in known} >= {1, 2, 6, 7}
    by_id = {(one["source"], id_of(one["name"])): one for one in known}
    problems = set()
    for at, row in enumerate(corpus):
        fact = {name: int(corpus.column(name)[at]) for name in ("source", "cf_rating")}
        problem_id = row["task_id"].partition(".")[0]
        problems.add(problem_id)
        if problem_id == "9999_Z":
            assert (row["metadata"]["difficulty"], fact["cf_rating"]) == (0, 0)
            continue
        wanted = by_id[fact["source"], re.sub(r"_(in)?correct_\d+$", "", problem_id)]
        assert row["metadata"] == {
            "source": "code_contests_plus",
            "difficulty": wanted["difficulty"],
            "has_tests": True,
        }
        assert fact["cf_rating"] == wanted["cf_rating"]
    stats = json.loads(
        (world.storage / "datasets_v2/codecontests-plus/stats/train_stats.json").read_bytes()
    )
    assert stats["funnel"]["problems_unmatched"] == 1
    assert stats["funnel"]["problems"] == len(known) + 1
    other = world.storage / "datasets_v2/codecontests/stats/valid_stats.json"
    assert "problems_unmatched" not in json.loads(other.read_bytes())["funnel"]


PLUS = FORMATS["code-contests-plus"]


def _graded(folder: Path, problems: list[dict[str, Any]]) -> DatasetFormat:
    return PLUS.with_difficulties([write_shard(folder / "graded.parquet", problems)])


def _plus_shard(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return sources.write_rows(folder / "shard.parquet", rows, sources.CODE_CONTESTS_PLUS)


def test_rows_of_code_contests_plus_are_those_of_its_python_submissions(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    graded = _graded(tmp_path, [problem(name="1_A. Theatre Square", difficulty=7, cf_rating=900)])
    rows = [
        sources.plus_problem(),
        sources.plus_problem(id="2_B", title="Unknown here", checker=None, test_cases=None),
        sources.plus_problem(id="3_C", correct_submissions=None, incorrect_submissions=[None]),
        sources.plus_problem(source="AtCoder"),  # not the site of the problem of that name
    ]
    report = build_split(
        graded, [_plus_shard(tmp_path, rows)], small_tokenizer, tmp_path, "train", processes=1
    )
    first = {
        "instruction": rows[0]["description"],
        "input": "",
        "output": "print(4)",
        "task_id": "1_A. Theatre Square@2_correct_1",
        "is_correct": True,
        "metadata": {"source": "code_contests_plus", "difficulty": 7, "has_tests": True},
    }
    lines = rows_of(report.jsonl)
    assert lines[:3] == [
        first,
        {**first, "output": "print 4", "task_id": "1_A. Theatre Square@2_correct_2"},
        {
            **first,
            "output": "print(5)",
            "task_id": "1_A. Theatre Square@2_incorrect_0",
            "is_correct": False,
        },
    ]
    unknown = {"source": "code_contests_plus", "difficulty": 0, "has_tests": False}
    assert [row["metadata"] for row in lines[3:6]] == [unknown] * 3
    assert lines[3]["task_id"] == "2_B. Unknown here_correct_1"
    assert [row["metadata"]["difficulty"] for row in lines[6:]] == [0] * 3
    assert report.stats["funnel"]["problems_unmatched"] == 3
    assert report.stats["language_dist"] == {"1": 3, "3": 6}
    findings = check_split(report.jsonl, graded, tokenizer=small_tokenizer, rows=9)
    source = SplitSource(graded, "train", [tmp_path / "shard.parquet"], small_tokenizer, 2048)
    findings += [check_source(report.jsonl, source), check_rebuilt(report.jsonl, source)]
    assert [(one.name, one.found) for one in findings if not one.passed] == []


@pytest.mark.parametrize("small", [SMALL_SOURCE, 0], ids=["whole", "by a sample"])
def test_another_difficulty_than_the_other_dataset_gives_is_found(
    small_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(source_comparison, "SMALL_SOURCE", small)
    graded = _graded(tmp_path, [problem(name="1_A. Theatre Square", difficulty=7)])
    shard = _plus_shard(tmp_path, [sources.plus_problem()])
    report = build_split(graded, [shard], small_tokenizer, tmp_path, "train")
    (tmp_path / "later").mkdir()
    later = _graded(tmp_path / "later", [problem(name="1_A. Theatre Square", difficulty=8)])
    for known, passed in ((graded, True), (later, False)):
        source = SplitSource(known, "train", [shard], small_tokenizer, 2048)
        finding = check_source(report.jsonl, source)
        assert finding.passed is passed, finding.found
    assert "in the index: difficulty" in str(finding.found)


def test_grades_are_found_by_site_and_name_or_id_and_doubt_is_no_match(tmp_path: Path) -> None:
    names = ["1_A. Same", "p00001 List", "PACK01", "2_B. One", "2_B. Two", "3_C. Equal"]
    problems = [problem(name=name, difficulty=5 + at) for at, name in enumerate(names)]
    problems += [problem(name="3_C. Equal", difficulty=10), problem(name="1_A. Same", source=7)]
    grades = Grades([write_shard(tmp_path / "graded.parquet", problems)])
    assert grades.of(2, ["1_A. Same", "1_A"]) == (5, 800)
    assert grades.of(2, ["1_A. Renamed", "1_A"]) == (5, 800)
    assert grades.of(7, ["1_A. Same"]) == (7, 800)
    assert grades.of(2, ["p00001"]) == (6, 800)
    assert grades.of(2, ["PACK01"]) == (7, 800)
    assert grades.of(2, ["2_B. Two", "2_B"]) == (9, 800)
    assert grades.of(2, ["2_B. Three", "2_B"]) is None
    assert grades.of(2, ["3_C. Equal"]) == (10, 800)
    assert grades.of(1, ["1_A. Same", "1_A"]) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "origin", "says"),
    [
        ("codecontests-plus", None, "name the dataset of code-contests that gives them"),
        ("codecontests-plus", "gsm8k", "name codecontests"),
        ("codecontests-plus", "nowhere", "'nowhere' is no dataset of the layout code-contests"),
        ("gsm8k", "codecontests", "gsm8k takes no difficulties from another dataset"),
    ],
)
def test_difficulties_from_elsewhere_are_named_where_and_only_where_they_are_needed(
    world: tiny.Tiny, tmp_path: Path, entry: str, origin: str | None, says: str
) -> None:
    catalog = yaml.safe_load(world.catalog.read_text())
    catalog["datasets"][entry]["difficulties_from"] = origin
    path = tmp_path / "catalog.yaml"
    path.write_text(yaml.safe_dump(catalog, sort_keys=False))
    with pytest.raises(CatalogError) as refusal:
        load_catalog(path)
    assert says in str(refusal.value)
    assert f"datasets.{entry}" in str(refusal.value)
