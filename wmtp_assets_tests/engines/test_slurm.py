"""Rows executed by an array job, joined by `wmtp materialize`; Slurm is a stand-in of its own."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.divided import main as work_on_part
from wmtp_assets.artifacts.kinds import KINDS
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.cli import main
from wmtp_assets.corpora import build
from wmtp_assets.corpora.annotations import AnnotationFile
from wmtp_assets.engines.engine import EngineError
from wmtp_assets.storage import disk
from wmtp_assets.storage.preflight import EXECUTED
from wmtp_assets_tests.engines.worlds import DATASET, rows_to_execute
from wmtp_assets_tests.orchestration import tiny

VERDICTS = f"datasets/{DATASET}_train_verdicts"
STAND_IN = Path(__file__).with_name("sbatch.py")


@pytest.fixture
def world(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tiny.Tiny:
    """The rows of the sample's code_contests, 80 of which are to be executed, and `sbatch`."""
    made = rows_to_execute(project, tmp_path / "world")
    monkeypatch.chdir(tmp_path)  # commands enter Dagster's home
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sbatch").symlink_to(STAND_IN)
    (tmp_path / "slurm").mkdir()
    for name, value in made.environment(SBATCH_STANDIN=str(tmp_path / "slurm")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for name in ("WMTP_ENGINE", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    return made


def submission(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """What `wmtp slurm` says that it wrote."""
    assert main(["slurm", VERDICTS, "--json", *more]) == 0
    (value,) = json.loads(capsys.readouterr().out)
    return dict(value)


def jobs(tmp_path: Path) -> list[dict[str, Any]]:
    lines = (tmp_path / "slurm/jobs.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def columns(made: Project) -> dict[str, Any]:
    path = made.store.path(VERDICTS) / "train_verdicts.parquet"
    found: dict[str, Any] = AnnotationFile(path, "verdicts").table().to_pydict()
    return found


def make(made: Project) -> None:
    artifact = made.artifacts[VERDICTS]
    make_artifact(made, artifact, load_inputs(made, artifact), logging.getLogger(__name__))


@pytest.mark.slow
def test_an_array_job_does_the_parts_and_a_second_job_joins_them(
    world: tiny.Tiny,
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = submission(capsys, "--parts", "50")
    assert (told["artifact"], told["parts"], told["missing"]) == (VERDICTS, 2, 2)
    folder = Path(told["folder"])
    script = (folder / "array.sbatch").read_text()
    assert "#SBATCH --array=0-1\n" in script
    for one in ("array.sbatch", "join.sbatch", "submit.sh"):
        assert subprocess.run(["sh", "-n", folder / one], check=False).returncode == 0

    monkeypatch.setenv("SBATCH_KILL", "1")  # a node fails while the second element runs
    done = subprocess.run(
        ["sh", folder / "submit.sh", "--partition=short"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    array, join = jobs(tmp_path)
    assert array["options"]["partition"] == join["options"]["partition"] == "short"
    assert array["ran"] == {"0": [0], "1": [-9, 0]}
    assert join["options"]["dependency"] == "afterany:1"
    log = (folder / "logs/join_2.log").read_text()
    assert join["ran"] == {"None": [0]}, log
    assert f"made {VERDICTS}" in log
    assert len(list(folder.glob("*[0-9a-f].json"))) == 2
    assert len(list(folder.glob(f"{disk.TEMPORARY}*"))) == 1  # of the one that was killed
    # The same bytes as the local run's, since what was measured is kept by contents.
    assert columns(world.project) == columns(project)

    assert submission(capsys)["missing"] == 0
    assert main(["gc"]) == 0  # nothing asks for the parts of what is made
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.slow
def test_what_is_not_finished_is_executed_by_whoever_joins(
    world: tiny.Tiny, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(submission(capsys)["folder"])
    assert work_on_part([str(folder / "tasks.jsonl"), "1"]) == 0
    assert "finished" in capsys.readouterr().out
    again = submission(capsys)
    assert again["missing"] == 1
    assert "#SBATCH --array=0\n" in (folder / "array.sbatch").read_text()
    assert work_on_part([str(folder / "tasks.jsonl"), "1"]) == 0
    assert "was finished already" in capsys.readouterr().out
    make(world.project)
    assert columns(world.project) == columns(project)


@pytest.mark.slow
def test_rows_are_made_shard_by_shard(
    world: tiny.Tiny, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"datasets/{DATASET}_train"
    assert main(["slurm", name, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["parts"] == told["missing"] == 2
    raw = fetched(world.project.store, world.project.artifacts[name].inputs[0])
    shard = next(iter(raw.paths().values()))
    other = shard.with_name("other")
    other.write_bytes(shard.read_bytes()[:-1] + b"#")
    other.replace(shard)  # as a fetch of another revision does that has not ended
    assert work_on_part([f"{told['folder']}/tasks.jsonl", "0"]) == 2
    said = capsys.readouterr().err
    assert f"Where: {shard}." in said
    (again,) = re.findall("`wmtp ([^`]*)`", said)
    assert main(again.split()) == 2
    commands = re.findall("`wmtp ([^`]*)`", capsys.readouterr().err)
    assert commands == [f"materialize {raw.name} --force", f"slurm {name}"]
    for command in commands:
        assert main(command.split()) == 0
    for number in range(2):
        assert work_on_part([f"{told['folder']}/tasks.jsonl", str(number)]) == 0
    assert told["made"] is True
    _, gone = sorted(Path(told["folder"]).glob("*.lines"))
    gone.unlink()  # the lines of a part are part of its result
    assert main(["slurm", name]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 parts are to be done" in said
    assert "--force" in said
    array = (Path(told["folder"]) / "array.sbatch").read_text()
    (number,) = re.findall("--array=(.)\n", array)
    assert work_on_part([f"{told['folder']}/tasks.jsonl", number]) == 0
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:  # parts of other code are none of these
        patch.setitem(KINDS, Kind.SPLIT, replace(KINDS[Kind.SPLIT], code_version="99"))
        assert main(["slurm", name, "--json"]) == 0
        (other,) = json.loads(capsys.readouterr().out)
        assert other["folder"] != told["folder"]
        assert (other["missing"], other["made"]) == (2, False)
    made, artifact = world.project, world.project.artifacts[name]
    log = logging.getLogger(__name__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "format_in_order", None)  # which formats here
        outcome = make_artifact(made, artifact, load_inputs(made, artifact), log, force=True)
    wanted = project.store.current(name)
    assert wanted is not None
    assert outcome.receipt.digest == wanted.digest


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["slurm", *arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.slow
def test_refusals(world: tiny.Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = f"datasets/{DATASET}_train_duplicates"
    assert f"`wmtp materialize {rows}` makes" in refused(capsys, rows)
    assert "`wmtp list` names" in refused(capsys, "datasets/nothing")
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert VERDICTS in listed
    assert rows in listed

    folder = Path(submission(capsys)["folder"])
    assert submission(capsys, "--parts", "90")["parts"] == 2  # as many as are possible
    said = refused(capsys, VERDICTS, "--parts", "1")
    assert "Expected: 2 parts. Found: 1" in said
    tasks = folder / "tasks.jsonl"
    assert work_on_part([str(tasks), "2"]) == 2
    assert "The list of tasks is shorter" in capsys.readouterr().err

    good = tasks.read_bytes()
    tasks.write_bytes(good.replace(b'"judge_rows"', b'"system"'))
    assert work_on_part([str(tasks), "0"]) == 2
    told = capsys.readouterr().err
    assert "for format_shards or judge_rows or search_rows" in told
    with pytest.raises(EngineError, match="no list of tasks"):
        make(world.project)

    tasks.write_bytes(good.replace(platform.machine().encode(), b"sparc"))
    assert work_on_part([str(tasks), "0"]) == 2
    assert "machine differs. Expected: sparc" in capsys.readouterr().err
    with pytest.raises(EngineError, match="begun elsewhere, where machine differs") as differs:
        make(world.project)
    (command,) = re.findall("`(rm -r [^`]*)`", str(differs.value))
    subprocess.run(["sh", "-c", command], check=True)
    assert submission(capsys, "--parts", "1")["parts"] == 1

    (command,) = re.findall("`(rm -r [^`]*)`", refused(capsys, VERDICTS, "--parts", "2"))
    subprocess.run(["sh", "-c", command], check=True)
    assert submission(capsys, "--parts", "2")["parts"] == 2


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter is for x86-64")
def test_a_node_without_a_sandbox_refuses_with_its_words(
    world: tiny.Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(submission(capsys)["folder"])
    shutil.rmtree(world.storage / EXECUTED)
    without = [sys.executable, "-m", "wmtp_assets_tests.orchestration.without_sandbox"]
    part = [sys.executable, "-m", "wmtp_assets.artifacts.divided", str(folder / "tasks.jsonl"), "0"]
    done = subprocess.run(
        [*without, *part],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 2
    assert f"on {platform.node()}: " in done.stderr
    assert "andlock" in done.stderr
    assert not list(folder.glob("*[0-9a-f].json"))
