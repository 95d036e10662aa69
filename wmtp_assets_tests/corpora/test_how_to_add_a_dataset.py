"""docs/how-to-add-a-dataset.md, executed: a format in one file, a catalog with it, and a run."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets.corpora import formats
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.source_comparison import SplitSource, check_source
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.worlds import materialized

DOCUMENT = Path(__file__).parents[2] / "docs/how-to-add-a-dataset.md"
NAME = "bigcodebench"
SHARD = pa.schema(
    [
        (name, pa.string())
        for name in (
            "task_id",
            "complete_prompt",
            "instruct_prompt",
            "canonical_solution",
            "code_prompt",
            "test",
            "entry_point",
            "doc_struct",
            "libs",
        )
    ]
)
ROWS = [
    {
        "task_id": f"BigCodeBench/{at}",
        "complete_prompt": f'def task_func(n):\n    """A function that adds {at}."""\n',
        "instruct_prompt": "not read",
        "canonical_solution": f"    return n + {at}\n",
        "test": f"assert task_func(1) == {1 + at}",
        "entry_point": "task_func",
    }
    for at in range(5)
]


def blocks(language: str) -> list[str]:
    """The code of the document in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)


@pytest.fixture
def with_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The document's module in a folder of formats; the package's own stays as it is, and no later
    test of this process knows the format."""
    folder = tmp_path / "formats"
    folder.mkdir()
    (folder / "bigcodebench.py").write_text(blocks("python")[0])
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(folder)])
    assert NAME not in formats.FORMATS
    formats.discover()
    assert NAME in formats.FORMATS
    yield
    del formats._FORMATS[NAME]
    del sys.modules[f"{formats.__name__}.bigcodebench"]


@pytest.fixture
def world(project: Project, tmp_path: Path, with_format: None) -> tiny.Tiny:
    """A storage with a tokenizer, and a catalog and a hub that have the document's dataset."""
    made = tiny.rows(project, tmp_path / "world")
    (entry,) = blocks("yaml")
    text = made.catalog.read_text()
    made.catalog.write_text(text.replace("datasets:\n", f"datasets:\n{entry}", 1))
    hub = tmp_path / "hub"
    shutil.copytree(made.hub, hub)
    shard = hub / "datasets/bigcode/bigcodebench/data/v0.1.4-00000-of-00001.parquet"
    shard.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS, SHARD), shard)
    return tiny.Tiny(made.folder, hub)


@pytest.mark.slow
def test_a_format_in_one_file_is_built_checked_released_and_read(
    world: tiny.Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = world.project
    new = {name for name, one in project.artifacts.items() if one.owner == NAME}
    assert f"datasets/{NAME}_test" in new
    result = materialized(project, new)
    found = result.get_asset_check_evaluations()
    assert [(each.check_name, each.metadata) for each in found if not each.passed] == []
    assert result.success
    names = {each.check_name for each in found}
    assert {"tests_present", "record_schema", "rows_equal_source", "data_files_declared"} <= names
    assert "difficulty_in_training_range" not in names
    assert world.opens()

    expected = [
        {
            "instruction": row["complete_prompt"],
            "input": "",
            "output": row["canonical_solution"],
            "task_id": row["task_id"],
            "test": row["test"],
            "entry_point": row["entry_point"],
            "metadata": {
                "source": NAME,
                "test": row["test"],
                "entry_point": row["entry_point"],
                "has_tests": True,
            },
        }
        for row in ROWS
    ]
    monkeypatch.chdir(world.folder)
    namespace: dict[str, object] = {}
    exec(compile(blocks("python")[1], str(DOCUMENT), "exec"), namespace)  # noqa: S102 (ours)
    corpus = namespace["corpus"]
    assert isinstance(corpus, Corpus)
    assert list(corpus) == expected
    small = wmtp_assets.open_corpus(world.storage, f"{NAME}_small", "test")
    assert len(small) == 2
    folder = world.storage / f"datasets_v2/{NAME}/processed"
    assert [json.loads(line) for line in (folder / "test.jsonl").open()] == expected
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert loaded["test"].to_list() == expected


def test_a_row_that_upstream_does_not_have_is_found_in_a_new_format(
    with_format: None, small_tokenizer: Path, tmp_path: Path
) -> None:
    new = formats.FORMATS[NAME]
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS, SHARD), shard)
    report = build_split(new, [shard], small_tokenizer, tmp_path, "test")
    source = SplitSource(new, "test", [shard], small_tokenizer, 2048)
    assert check_source(report.jsonl, source).passed
    assert [one.name for one in check_split(report.jsonl, new) if not one.passed] == []
    lines = report.jsonl.read_bytes()
    report.jsonl.write_bytes(lines.replace(b"that adds 3", b"that adds 7"))
    finding = check_source(report.jsonl, source)
    assert not finding.passed
    assert "line 3" in str(finding.found)
    report.jsonl.write_bytes(lines.replace(b'"assert task_func(1) == 4"', b'""'))
    assert {one.name for one in check_split(report.jsonl, new) if not one.passed} >= {
        "tests_present",
        "record_schema",
    }
