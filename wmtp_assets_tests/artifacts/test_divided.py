"""One part, worked on: what it reads may change, its plan may go, others may be at work."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wmtp_assets.artifacts import divided
from wmtp_assets.artifacts.plans import origin_of, planning, working, written_anew
from wmtp_assets.engines.engine import EngineError, Function, Result, Task, Worker
from wmtp_assets.engines.forms import gives
from wmtp_assets.engines.inputs import NAME
from wmtp_assets.engines.local import LocalEngine
from wmtp_assets.engines.whole import Plan, results_of
from wmtp_assets.errors import WmtpError
from wmtp_assets.storage import locks
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets.storage.garbage import Guarded
from wmtp_assets.storage.store import Store

ARTIFACT = "datasets/set_train"


@gives({"text": str})
def read(task: Task, worker: Worker) -> Result:
    """What is in the file, after whatever happens meanwhile."""
    text = Path(task["file"]).read_text()
    MEANWHILE[0]()
    return {"text": text}


def nothing() -> None:
    """Nothing happens."""


MEANWHILE: list[Callable[[], object]] = [nothing]


@dataclass(frozen=True)
class Files:
    """A file that is read, in one part."""

    file: Path
    fetched: dict[Path, str] = field(default_factory=dict)
    function: Function = read

    def identity(self) -> Task:
        return {"file": str(self.file)}

    def tasks(self, parts: int) -> list[Task]:
        return [{"file": str(self.file), "conditions": {}}]

    def size(self, task: Task) -> int:
        return 1


@dataclass(frozen=True)
class World:
    """A storage at a path that a shell would take apart, with a plan of one part."""

    root: Path
    file: Path
    whole: Files

    @property
    def plan(self) -> Plan:
        return Plan(self.root / "parts" / ARTIFACT / "0123456789abcdef", self.whole)

    def replace(self, text: str) -> None:
        """As another revision is fetched: under the same name, in one step."""
        (self.root / "new").write_text(text)
        (self.root / "new").replace(self.file)

    def work(self, meanwhile: Callable[[], object] = nothing) -> bool:
        MEANWHILE[:] = [meanwhile]
        return divided.work_on(self.plan.list, 0, 1)

    def result(self) -> Result | None:
        return self.plan.finished.get(read, self.whole.tasks(1)[0])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(divided, "functions", lambda: {"read": read})
    root = tmp_path / '50% of parts/it\'s "here"'
    (root / "upstream").mkdir(parents=True)
    file = root / "upstream/shard"
    file.write_text("old")
    made = World(root, file, Files(file, {file: sha256_file(file)}))
    made.plan.write(1)
    return made


def refusal(world: World, meanwhile: Callable[[], object] = nothing) -> str:
    """The words with which a part is refused, which leaves no result."""
    with pytest.raises(EngineError) as refused:
        world.work(meanwhile)
    assert f"`wmtp slurm {ARTIFACT}`" in str(refused.value)
    assert world.result() is None
    return str(refused.value)


def test_a_part_whose_files_are_those_of_the_plan_is_finished(world: World) -> None:
    assert origin_of(world.plan.folder) == (world.root, ARTIFACT)
    assert world.work()
    assert world.result() == {"text": "old"}
    assert not world.work()


def test_a_file_that_was_replaced_before_is_refused_and_planned_anew(world: World) -> None:
    world.replace("new")
    assert f"Where: {world.file}." in refusal(world)
    with pytest.raises(EngineError, match="SHA-256") as refused:  # not what was fetched for it
        world.plan.write(1, "`wmtp materialize it`")
    assert "`wmtp materialize it`" in str(refused.value)
    world.replace("old")
    world.plan.write(1)
    assert world.work()


@pytest.mark.parametrize("text", ["new", "longer", "old"])
def test_a_file_that_is_replaced_meanwhile_is_refused(world: World, text: str) -> None:
    assert "meanwhile" in refusal(world, lambda: world.replace(text))
    world.replace("old")
    assert world.work()


def test_a_file_that_is_removed_is_refused(world: World) -> None:
    refusal(world, world.file.unlink)
    assert "no file" in refusal(world)


@pytest.mark.parametrize("error", [WmtpError("These are not the rows"), ValueError("no shard")])
def test_what_fails_as_a_file_was_replaced_says_so(world: World, error: Exception) -> None:
    def fails() -> None:
        world.replace("new")
        raise error

    assert "meanwhile" in refusal(world, fails)
    world.replace("old")
    with pytest.raises(type(error), match=str(error)):
        world.work(lambda: _raise(error))


def _raise(error: Exception) -> None:
    raise error


def test_the_same_bytes_in_another_file_are_the_same(world: World) -> None:
    world.replace("old")
    assert world.work()


def test_files_are_read_once_for_a_plan_and_again_where_they_differ(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(paths: list[Path]) -> dict[Path, str]:
        read.extend(paths)
        return {path: sha256_file(path) for path in paths}

    monkeypatch.setattr("wmtp_assets.engines.inputs.sha256_files", counted)
    world.plan.write(1)
    assert read == []
    world.replace("old")
    world.plan.write(1)
    assert read == [world.file]


@pytest.mark.parametrize("damage", [None, b"", b"{}", b'{"folder": 1, "files": {}}'], ids=repr)
def test_a_plan_that_does_not_say_what_it_reads_is_refused(
    world: World, damage: bytes | None
) -> None:
    path = world.plan.folder / NAME
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    assert NAME in refusal(world)
    world.plan.write(1)
    assert world.work()


def test_a_plan_that_was_copied_is_refused(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.root, tmp_path / "it's other")
    folder = tmp_path / "it's other" / world.plan.folder.relative_to(world.root)
    with pytest.raises(EngineError, match="is a copy") as refused:
        divided.work_on(folder / "tasks.jsonl", 0, 1)
    (command,) = re.findall("`(rm -r [^`]*)`", str(refused.value))
    shutil.rmtree(world.root)
    with pytest.raises(EngineError, match="is a copy"):
        divided.work_on(folder / "tasks.jsonl", 0, 1)
    assert not list(folder.glob("*[0-9a-f].json"))
    elsewhere = tmp_path / "folder"
    shutil.copytree(folder, elsewhere)
    with pytest.raises(EngineError, match="not where `wmtp slurm` wrote it"):
        divided.work_on(elsewhere / "tasks.jsonl", 0, 1)
    subprocess.run(["sh", "-c", command], check=True)
    assert not folder.exists()


def test_a_plan_that_is_removed_is_said_to_be(world: World) -> None:
    assert "not there any more" in refusal(world, lambda: shutil.rmtree(world.plan.folder))
    assert "not there any more" in refusal(world)
    assert not world.plan.folder.exists()
    world.plan.write(1)
    assert world.work()


def test_plans_are_removed_while_nobody_is_at_work_on_them(world: World) -> None:
    store = Store(world.root)
    taken = {
        working(world.root, ARTIFACT): "parts are being worked on",
        planning(world.root, ARTIFACT): "an array job is being written",
    }
    files = Guarded("parts", taken, lambda: [world.plan.list, world.plan.folder / NAME])

    def collected() -> dict[str, str]:
        return store.gc(guarded=[files]).held

    held: list[dict[str, str]] = []
    assert world.work(lambda: held.append(collected()))
    with locks.exclusive(planning(world.root, ARTIFACT)):
        held.append(collected())
    assert held == [{"parts": meaning} for meaning in taken.values()]
    assert world.plan.list.exists()
    assert collected() == {}
    assert not world.plan.list.exists()


def test_a_temporary_of_a_part_goes_when_nobody_writes_it(world: World) -> None:
    left, written = (world.plan.folder / f".tmp-{digit * 12}" for digit in "01")
    left.touch()
    with written.open("wb") as file:
        locks.lock_open(file.fileno(), written)
        removed = Store(world.root).gc().removed
    assert [one.path for one in removed] == [left]


def test_two_at_the_same_part_leave_one_result(world: World) -> None:
    def other() -> None:
        MEANWHILE[:] = [nothing]
        assert divided.work_on(world.plan.list, 0, 1)

    assert world.work(other)
    assert world.result() == {"text": "old"}


def test_what_is_made_here_of_files_that_are_replaced_is_refused(world: World) -> None:
    MEANWHILE[:] = [lambda: world.replace("new")]
    with pytest.raises(EngineError, match=r"meanwhile.*run the same command again"):
        list(results_of(world.whole, world.plan, LocalEngine(1)))
    MEANWHILE[:] = [nothing]
    assert list(results_of(world.whole, world.plan, LocalEngine(1))) == [{"text": "new"}]


def test_a_hint_names_one_command() -> None:
    assert re.findall("`([^`]*)`", written_anew(ARTIFACT)) == [f"wmtp slurm {ARTIFACT}"]
