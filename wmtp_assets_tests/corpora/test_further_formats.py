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
import pytest
import yaml

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.catalog.reader import CatalogError, load_catalog
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.package_file import EVALPLUS_FIELDS, PackageFile, task_ids
from wmtp_assets_tests.artifact_checks.breaking import answers, recommit
from wmtp_assets_tests.corpora import further_sources as sources
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.worlds import materialized

DOCUMENT = Path(__file__).parents[2] / "docs/datasets.md"
PACKAGE = PackageFile("evalplus", "HUMANEVAL_OVERRIDE_PATH", EVALPLUS_FIELDS)


def entries() -> dict[str, Any]:
    """The document's entries by name. Rows and files of the generated sources are fewer."""
    found: dict[str, Any] = {}
    for block in re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S):
        found |= yaml.safe_load(block)
    for entry in found.values():
        for split in entry["splits"].values():
            split.pop("rows", None)
            for file in split["files"]:
                if isinstance(file, dict):
                    file.pop("count", None)
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
    catalog["datasets"] |= entries()
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
