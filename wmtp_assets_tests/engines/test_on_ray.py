"""Ray with two workers of this machine: order, refusals, killed workers, and the same labels."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.make import leaks
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.corpora import build
from wmtp_assets.corpora.annotations import AnnotationFile
from wmtp_assets.engines import on_ray
from wmtp_assets.engines.engine import EngineError, Task, chosen_engine
from wmtp_assets.engines.on_ray import LONGEST_SOCKET, TRIES, RayEngine
from wmtp_assets.engines.opening import open_engine
from wmtp_assets.interrupts import descendants
from wmtp_assets.quality.leaks.parts import RowsToSearch
from wmtp_assets.storage.preflight import EXECUTED, PARTS
from wmtp_assets_tests.engines import patience
from wmtp_assets_tests.engines.work import dies, doubled, fails, refuses
from wmtp_assets_tests.engines.worlds import rows_to_execute
from wmtp_assets_tests.living import below, content
from wmtp_assets_tests.ports import reserved_port

ROOT = Path(__file__).parents[2]
LOG = logging.getLogger(__name__)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("ray") is None, reason="Ray is not installed: pip install 'wmtp-assets[ray]'"
    ),
]


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    with on_ray._Environment(joins=False):
        on_ray._imported(joins=False)  # with the token that it has to have from the start
    from ray._private import services

    with pytest.MonkeyPatch.context() as patch:
        for name, value in patience.VARIABLES.items():
            patch.setenv(name, value)
        patch.setattr(services, "get_node", patience.patient(services.get_node))
        yield


@pytest.fixture(scope="module")
def ray(patient: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayEngine]:
    """Its sockets' paths would be too long, were they not reached by a link."""
    temporary = tmp_path_factory.mktemp("é" * 40)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # which workers import from; tests before may have left another
        patch.delenv("RAY_TMPDIR", raising=False)
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        with RayEngine(workers=2) as engine:
            yield engine
        assert list(temporary.glob("wmtp-ray-*")) == []


def test_nobody_else_gets_to_the_sockets_which_ask_for_no_token(ray: RayEngine) -> None:
    (folder,) = Path(os.environ["TMPDIR"]).glob("wmtp-ray-*")
    assert folder.stat().st_mode & 0o077 == 0
    sockets = {path.name: path for path in below(folder) if path.is_socket()}
    assert sockets.keys() == {"plasma_store", "raylet"}
    path = f"/{sockets['plasma_store'].relative_to(folder)}"
    assert re.sub(r"\d+", "", path) == re.sub(r"\d+", "", LONGEST_SOCKET)
    assert len(path) <= len(LONGEST_SOCKET)


def until(condition: Callable[[], object]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_results_come_in_the_order_of_tasks_from_two_processes(
    ray: RayEngine, tmp_path: Path
) -> None:
    tasks: list[Task] = [{"number": number} for number in range(20)]
    for task in tasks[:2]:
        task["meet"] = str(tmp_path)
    found = list(ray.map(doubled, tasks))
    assert [one["twice"] for one in found] == [2 * number for number in range(20)]
    # Two at once; in place of one that begins slowly, Ray may have begun another one.
    assert len({one["process"] for one in found} - {os.getpid()}) >= 2
    assert {one["cores"] for one in found} == {1}
    assert (ray.workers, ray.parts) == (2, 8)


def test_words_of_a_refusal_come_with_the_node_and_bugs_as_they_are(ray: RayEngine) -> None:
    node = os.uname().nodename
    with pytest.raises(EngineError, match=rf"No\. Expected: yes.*: 1\..*{node}, here.*ask again"):
        list(ray.map(refuses, [{"number": 1}]))
    with pytest.raises(KeyError, match="a bug"):
        list(ray.map(fails, [{"number": 1}]))


def test_a_worker_that_is_killed_is_replaced_and_its_part_tried_again(
    ray: RayEngine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = [{"number": n, "deaths": n == 1, "folder": str(tmp_path)} for n in range(4)]
    found = list(ray.map(dies, tasks))
    assert [one["twice"] for one in found] == [0, 2, 4, 6]
    assert [one["tries"] for one in found] == [1, 2, 1, 1]
    always = [{"number": 9, "deaths": 99, "folder": str(tmp_path)}]
    with pytest.raises(EngineError, match=f"each of the {TRIES} times.*WMTP_ENGINE=local"):
        list(ray.map(dies, always))
    # A line of the log, not of standard output.
    until(lambda: "retries remaining" in caplog.text)
    assert capsys.readouterr().out == ""


def test_a_node_that_is_gone_is_no_worker_that_died(
    ray: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ray raises some 45 s after the head was ended."""
    import ray as module

    def gone(_: object) -> None:
        raise module.exceptions.LocalRayletDiedError

    monkeypatch.setattr(module, "get", gone)
    with pytest.raises(EngineError, match=r"is gone.*`ray status`, and repeat"):
        list(ray.map(doubled, [{"number": 1, "seconds": 0}]))


def test_ray_that_was_imported_without_a_token_is_not_started() -> None:
    text = (
        "import ray\nfrom wmtp_assets.engines.opening import open_engine\n"
        "open_engine('ray').__enter__()"
    )
    environment = {n: v for n, v in os.environ.items() if n != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False
    )
    assert "call ray.init() first, or leave the import" in done.stderr


LATE = """
import time
from wmtp_assets.engines import on_ray
from wmtp_assets.engines.engine import EngineError
from wmtp_assets_tests.engines import patience

imported = on_ray._imported

def slowly(**given):
    ray = imported(**given)
    import ray._private.node as node
    from ray._private import services

    def not_yet(*_):
        now[0] += 10
        raise RuntimeError("no such node")

    class Clock:
        monotonic = staticmethod(lambda: now[0])
        __getattr__ = lambda self, name: getattr(time, name)

    now = [0]
    changed.update(node=node, time=node.time, services=services, get_node=services.get_node)
    node.time, services.get_node = Clock(), not_yet
    return ray

changed = {}
on_ray._imported = slowly
try:
    on_ray.RayEngine(1).__enter__()
except EngineError as error:
    print(error)
on_ray._imported = imported
changed["node"].time = changed["time"]
changed["services"].get_node = patience.patient(changed["get_node"])
with on_ray.RayEngine(1) as engine:
    print("workers:", engine.workers)
"""


def test_a_node_that_is_not_up_in_time_is_told_and_the_next_start_works() -> None:
    environment = {n: v for n, v in os.environ.items() if n != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", LATE], env=environment, capture_output=True, text=True, check=False
    )
    assert "Ray cannot be started" in done.stdout, done.stderr
    assert "timed out during startup" in done.stdout
    assert "WMTP_ENGINE=local no Ray" in done.stdout
    assert "workers: 1" in done.stdout, done.stderr


def test_whoever_has_no_token_is_not_let_in(ray: RayEngine) -> None:
    import ray as module

    address = module.get_runtime_context().gcs_address
    stranger = subprocess.Popen(
        [sys.executable, "-c", f"import ray; ray.init(address={address!r}); print('joined')"],
        env={n: v for n, v in os.environ.items() if not n.startswith("RAY_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert stranger.stdout is not None
    said = ""
    for line in stranger.stdout:  # it would ask again for 20 seconds
        said = line.lower()
        if "unauthenticated" in said or "joined" in said:
            break
    stranger.kill()
    stranger.wait()
    assert "token is missing" in said


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


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as free:
        yield free


def test_a_cluster_that_is_started_as_documented_is_joined(
    project: Project, tmp_path: Path, port: int
) -> None:
    """Every command of the page, and Ctrl-C or SIGTERM ends the nodes."""
    page = (ROOT / "docs/cluster.md").read_text(encoding="utf-8")
    (block,) = (one for one in re.findall(r"```sh\n(.*?)```", page, re.S) if "--head" in one)
    for there, here in {
        "first-machine": "127.0.0.1",
        "6379": str(port),
        "--num-cpus=16": "--num-cpus=1",
        "/data/ray-token": str(tmp_path / "token"),
    }.items():
        assert there in block
        block = block.replace(there, here)
    begin, generate, head, other, join = block.strip().splitlines()
    (remedy,) = re.findall(r"`AF_UNIX path length.*: add `(--temp-dir=\S+)` to the head", page)
    head = head.replace("ray start", f"ray start {remedy}")  # TMPDIR is long here
    world = rows_to_execute(project, tmp_path / "world")
    patience.write_ray(tmp_path / "bin")
    path = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}"
    prepare = f'export PATH="{path}:$PATH"\n{begin}\n'
    subprocess.run(["bash", "-ec", prepare + generate], check=True)
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0
    nodes = []
    try:
        for command in (head, other):
            line = f"{prepare}exec {command}"
            nodes.append(subprocess.Popen(["bash", "-ec", line], stdout=subprocess.PIPE, text=True))
            assert nodes[-1].stdout is not None
            assert any("Ray runtime started" in said for said in nodes[-1].stdout), command
        done = subprocess.run(
            ["bash", "-ec", prepare + join],
            env=world.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "made datasets/codecontests_train_verdicts" in done.stdout + done.stderr
        assert "Ray has 2 workers at 127.0.0.1" in done.stdout + done.stderr
        ask = f"{prepare}RAY_ADDRESS=127.0.0.1:{port} exec ray status"

        def told() -> str:  # of a cluster that was started just now, nothing yet
            done = subprocess.run(["bash", "-ec", ask], capture_output=True, text=True, check=True)
            return done.stdout

        until(lambda: "/2.0 CPU" in told())
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.communicate(timeout=240)


def _killing(name: str, folder: Path, stop: threading.Event, killed: list[int]) -> None:
    """Kills a worker of this process that is seen to work on `name`, once there are verdicts in
    the folder."""
    while not stop.wait(0.01):
        if not any(content(path) for path in folder.glob("*.verdicts")):
            continue
        for pid in descendants(os.getpid()):
            said = content(Path(f"/proc/{pid}/cmdline")) or b""
            if said.startswith(f"ray::{name}".encode()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return


def test_verdicts_are_those_of_the_local_run_though_a_worker_is_killed(
    ray: RayEngine, copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = copied.artifacts["datasets/codecontests_train_verdicts"]

    def made() -> tuple[str, list[tuple[object, ...]]]:
        """The digest, and the lines without what is measured."""
        inputs = load_inputs(copied, artifact)
        receipt = make_artifact(copied, artifact, inputs, LOG, force=True).receipt
        path = copied.store.path(artifact.name) / "train_verdicts.parquet"
        table = AnnotationFile(path, "verdicts").table()
        names = set(table.column_names) - {"seconds", "memory"}
        return receipt.digest, list(zip(*(table[one].to_pylist() for one in names), strict=True))

    _, before = made()
    known = copied.store.root / EXECUTED
    monkeypatch.setenv("WMTP_ENGINE", "ray")
    killed = list[int]()
    while not killed:  # a busy machine may let nobody look while workers are at work
        shutil.rmtree(known)
        stop = threading.Event()
        killer = threading.Thread(target=_killing, args=("judge_rows", known, stop, killed))
        killer.start()
        try:
            by_ray = made()
        finally:
            stop.set()
            killer.join()
        assert by_ray[1] == before
    monkeypatch.setenv("WMTP_ENGINE", "local")
    assert made() == by_ray  # to the byte, by what Ray's workers have kept


def test_rows_and_leaks_are_those_of_the_local_run(
    ray: RayEngine, copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMTP_ENGINE", "ray")
    monkeypatch.setattr(build, "format_in_order", None)  # which formats here
    artifact = copied.artifacts["datasets/codecontests_train"]
    before = copied.store.current(artifact.name)
    assert before is not None
    made = make_artifact(copied, artifact, load_inputs(copied, artifact), LOG, force=True)
    assert made.receipt.digest == before.digest
    parts = copied.store.root / PARTS / artifact.name
    assert [path for path in parts.rglob("*") if path.is_file()] == []

    artifact = copied.artifacts["datasets/codecontests_train_leaks"]
    before = copied.store.current(artifact.name)
    assert before is not None
    monkeypatch.setattr(leaks, "RowsToSearch", partial(RowsToSearch, least=50))
    monkeypatch.setattr(leaks, "write_leaks", None)  # which searches here
    made = make_artifact(copied, artifact, load_inputs(copied, artifact), LOG, force=True)
    assert made.receipt.digest == before.digest
