"""Ray with two workers of this machine: order, refusals, killed workers, and the same labels."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.engines.engine import EngineError, chosen_engine, open_engine
from wmtp_assets.engines.on_ray import TRIES, RayEngine
from wmtp_assets_tests.engines.work import dies, doubled, fails, refuses

LOG = logging.getLogger(__name__)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("ray") is None, reason="Ray is not installed: pip install 'wmtp-assets[ray]'"
    ),
]


@pytest.fixture(scope="module")
def ray() -> Iterator[RayEngine]:
    with RayEngine(workers=2) as engine:
        yield engine


def test_results_come_in_the_order_of_tasks_from_two_processes(ray: RayEngine) -> None:
    tasks = [{"number": number, "seconds": 0.2 * (number < 2)} for number in range(20)]
    found = list(ray.map(doubled, tasks))
    assert [one["twice"] for one in found] == [2 * number for number in range(20)]
    assert len({one["process"] for one in found} - {os.getpid()}) == 2
    assert {one["cores"] for one in found} == {1}
    assert (ray.workers, ray.parts) == (2, 8)


def test_words_of_a_refusal_come_with_the_node_and_bugs_as_they_are(ray: RayEngine) -> None:
    node = os.uname().nodename
    with pytest.raises(EngineError, match=rf"No\. Expected: yes.*: 1\..*{node}, here.*ask again"):
        list(ray.map(refuses, [{"number": 1}]))
    with pytest.raises(KeyError, match="a bug"):
        list(ray.map(fails, [{"number": 1}]))


def test_a_worker_that_is_killed_is_replaced_and_its_part_tried_again(
    ray: RayEngine, tmp_path: Path
) -> None:
    tasks = [{"number": n, "deaths": 2 * (n == 1), "folder": str(tmp_path)} for n in range(4)]
    found = list(ray.map(dies, tasks))
    assert [one["twice"] for one in found] == [0, 2, 4, 6]
    assert [one["tries"] for one in found] == [1, 3, 1, 1]
    always = [{"number": 9, "deaths": 99, "folder": str(tmp_path)}]
    with pytest.raises(EngineError, match=f"each of the {TRIES} times.*WMTP_ENGINE=local"):
        list(ray.map(dies, always))


def test_whoever_has_no_token_is_not_let_in(ray: RayEngine) -> None:
    import ray as module

    address = module.get_runtime_context().gcs_address
    done = subprocess.run(
        [sys.executable, "-c", f"import ray; ray.init(address={address!r}); print('joined')"],
        env={n: v for n, v in os.environ.items() if not n.startswith("RAY_")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "joined" not in done.stdout
    assert "token" in done.stderr.lower()


def test_a_missing_package_is_named_and_the_remedies_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WMTP_ENGINE", "ray")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ray", None)
        with pytest.raises(EngineError, match=r"pip install 'wmtp-assets\[ray\]'`, or unset"):
            open_engine(chosen_engine()).__enter__()
        patch.delenv("WMTP_ENGINE")
        with open_engine(chosen_engine()) as engine:
            assert engine.name == "local"
    with open_engine(chosen_engine()) as engine:  # installed
        assert engine.name == "ray"


def _killing(name: str, stop: threading.Event, killed: list[int]) -> None:
    """Kills the first worker that is seen to work on `name`."""
    while not stop.wait(0.01):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                said = path.read_bytes()
            except OSError:
                continue
            if said.startswith(f"ray::{name}".encode()):
                pid = int(path.parent.name)
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return


def test_verdicts_are_those_of_the_local_run_though_a_worker_is_killed(
    ray: RayEngine, copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = copied.artifacts["datasets/codecontests_train_verdicts"]
    before = copied.store.current(artifact.name)
    assert before is not None
    (segment, *_) = (copied.store.root / "executed").iterdir()
    monkeypatch.setenv("WMTP_ENGINE", "ray")
    stop, killed = threading.Event(), list[int]()
    killer = threading.Thread(target=_killing, args=("judge_rows", stop, killed))
    killer.start()
    try:
        made = make_artifact(copied, artifact, load_inputs(copied, artifact), LOG, force=True)
    finally:
        stop.set()
        killer.join()
    assert killed
    assert not made.unchanged
    assert made.receipt.digest == before.digest
    assert segment.exists()
