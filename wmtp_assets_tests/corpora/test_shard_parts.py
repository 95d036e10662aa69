"""Rows formatted shard by shard: to the byte those of one process, units and groups included."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wmtp_assets.corpora.shard_parts import ShardsToFormat, format_shards, in_units
from wmtp_assets.engines.engine import EngineError, Result, Worker
from wmtp_assets_tests.corpora.conftest import build_codecontests, problem, write_shard
from wmtp_assets_tests.engines.work import require_form, require_tasks


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units that end within shards and go across, each of which is a row group."""
    monkeypatch.setattr("wmtp_assets.corpora.units.UNIT_BYTES", 1500)
    monkeypatch.setattr("wmtp_assets.corpora.writer.ROWS_PER_GROUP", 1)


@pytest.fixture
def shards(trap_shards: list[Path], tmp_path: Path) -> list[Path]:
    """The traps, and shards without a row or with one problem, before, between and after them."""
    (tmp_path / "more").mkdir()
    nothing = [problem(name="0_Z. None", solutions=[], incorrect_solutions=[(2, "int main;")])]
    few = [
        write_shard(tmp_path / "more" / f"{name}.parquet", rows)
        for name, rows in (("none", nothing), ("one", [problem(name="9_Z. One")]), ("empty", []))
    ]
    return [few[0], *trap_shards, few[2], few[1]]


def results(whole: ShardsToFormat, parts: int) -> list[Result]:
    tasks = whole.tasks(parts)
    assert len(tasks) == min(parts, len(whole.shards))
    assert sum(map(whole.size, tasks)) == len(whole.shards)
    found = [format_shards(task, Worker()) for task in json.loads(json.dumps(tasks))]
    require_tasks(format_shards, tasks)
    require_form(format_shards, found)
    return list(json.loads(json.dumps(found)))


@pytest.mark.usefixtures("small_units")
@pytest.mark.parametrize("parts", [1, 2, 99])
def test_any_number_of_parts_gives_the_same_bytes(
    shards: list[Path], small_tokenizer: Path, tmp_path: Path, parts: int
) -> None:
    wanted = build_codecontests(shards, small_tokenizer, tmp_path / "whole", "train", processes=1)
    whole = ShardsToFormat(
        tmp_path / "plans", "code-contests", "phase1", shards, small_tokenizer, 2048
    )
    blocks = in_units(whole.folder, results(whole, parts))
    found = build_codecontests(shards, small_tokenizer, tmp_path / "parts", "train", blocks=blocks)
    assert found.files == wanted.files
    assert found.rows > 60


def test_a_part_whose_files_are_damaged_is_refused_and_made_again(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shards = [write_shard(tmp_path / "one.parquet", [problem()])]
    whole = ShardsToFormat(
        tmp_path / "it's here", "code-contests", "phase1", shards, small_tokenizer, 2048
    )
    found = results(whole, 1)
    for path in sorted(whole.folder.iterdir()):
        good = path.read_bytes()
        for damage in (good[:-1], b"", good[:5] + b"#" + good[6:]):
            path.write_bytes(damage)
            with pytest.raises(EngineError, match="is missing or was changed"):
                list(in_units(whole.folder, found))
        path.write_bytes(good)
    shutil.rmtree(whole.folder)
    with pytest.raises(EngineError, match="No such file") as refused:
        list(in_units(whole.folder, found))
    again = results(whole, 1)
    other = whole.folder / "another part"
    other.touch()
    (command,) = re.findall("`(rm [^`]*)`", str(refused.value))
    subprocess.run(["sh", "-c", command], check=True)
    assert list(whole.folder.iterdir()) == [other]
    again = results(whole, 1)
    assert again == found
    assert sum(len(block.sizes) for block in in_units(whole.folder, again)) == 2
