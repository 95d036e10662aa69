"""Plans: a list that is not the one that was written, and results whose files are gone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wmtp_assets.artifacts.slurm import log_pattern
from wmtp_assets.engines.engine import EngineError, Function, Task
from wmtp_assets.engines.finished import Finished
from wmtp_assets.engines.local import LocalEngine
from wmtp_assets.engines.whole import Plan, results_of
from wmtp_assets_tests.engines.work import doubled


@dataclass(frozen=True)
class Numbers:
    """Four numbers, each of which is doubled."""

    function: Function = doubled
    fetched: Mapping[Path, str] = field(default_factory=dict)

    def identity(self) -> Task:
        return {"numbers": 4}

    def tasks(self, parts: int) -> list[Task]:
        cuts = [4 * at // parts for at in range(min(parts, 4))]
        return [{"number": cut, "parts": len(cuts), "conditions": {}} for cut in cuts]

    def size(self, task: Task) -> int:
        return 1


def _without_the_last(text: bytes) -> bytes:
    return b"".join(text.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize(
    "change",
    [
        _without_the_last,
        lambda text: text + text.splitlines(keepends=True)[-1],
        lambda text: text.replace(b'"number": 2', b'"number": 3'),
        lambda text: b"\n".join(reversed(text.splitlines())) + b"\n",
        lambda text: text[:-9],
        lambda text: b"",
    ],
    ids=["a line fewer", "a line more", "another task", "another order", "cut", "empty"],
)
def test_a_changed_list_is_refused_and_not_passed_over(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    whole, root = Numbers(), tmp_path / "it's here"
    plan = Plan(root, whole)
    for task in plan.write(4)[:3]:
        plan.finished.put(doubled, task, {"twice": 2 * task["number"]})
    plan.list.write_bytes(change(plan.list.read_bytes()))
    with pytest.raises(EngineError, match="list of tasks") as refused:
        list(results_of(whole, Plan(root, whole), LocalEngine(1)))
    (command,) = re.findall("`(rm -r [^`]*)`", str(refused.value))
    subprocess.run(["sh", "-c", command], check=True)
    again = Plan(root, whole)
    assert len(again.write(4)) == len(again.missing(whole.tasks(4))) == 4
    assert len(list(results_of(whole, Plan(root, whole), LocalEngine(1)))) == 4


def test_a_log_is_named_as_slurm_takes_it() -> None:
    assert log_pattern(Path("/a/50% 'x'"), "%j") == "/a/50%% 'x'/logs/%j.log"
    with pytest.raises(EngineError, match="backslash"):  # Slurm would write "%j" as it is
        log_pattern(Path("/a\\b"), "%j")


@pytest.mark.parametrize("name", ["part.lines", "../part.lines", "gone.lines", "/etc/passwd", ".."])
def test_a_result_is_whole_with_its_files_only(tmp_path: Path, name: str) -> None:
    finished, task = Finished(tmp_path / "folder"), {"number": 1}
    finished.put(doubled, task, {"files": {name: 3}})
    for folder in (tmp_path, finished.folder):
        (folder / "part.lines").write_bytes(b"abc")
    assert (finished.get(doubled, task) is not None) is (name == "part.lines")
    (finished.folder / "part.lines").write_bytes(b"ab")
    assert finished.get(doubled, task) is None
