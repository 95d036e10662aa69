"""A page whose processes die comes back by itself, and so does a queue that dead runs blocked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from wmtp_assets.storage.locks import exclusive
from wmtp_assets_tests.ports import reserved_port
from wmtp_assets_tests.web.asking import selector
from wmtp_assets_tests.web.pages import Page, printed_link, processes_of, running_page, wmtp

pytestmark = pytest.mark.slow
PATIENCE = 240  # seconds, of a loaded machine
ASSETS = "{ assetNodes { assetKey { path } } }"
STATUSES = "{ runsOrError { ... on Runs { results { runId status repositoryOrigin { id } } } } }"
LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STANDSTILL = 45  # seconds
SCHEDULE = {
    "repositoryLocationName": "wmtp_assets",
    "repositoryName": "__repository__",
    "scheduleName": "daily_verify",
}
DRY_RUN = """mutation Dry($schedule: ScheduleSelector!, $at: Float) {
  scheduleDryRun(selectorData: $schedule, timestamp: $at) { __typename
    ... on DryRunInstigationTick { evaluationResult { error { message }
      runRequests { runKey } } } ... on PythonError { message } } }"""
TERMINATE = """mutation End($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } } }"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page whose daemon looks after runs every two seconds."""
    with running_page(tmp_path_factory.mktemp("page"), poll_seconds=2) as page:
        page.enter(printed_link(page))
        yield page


def until(condition: Callable[[], object], what: str) -> Any:
    """What the condition gives as soon as it is something."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.5)
    return found


def process_with(page: Page, *words: str) -> int | None:
    """The page's first process whose command line has all the words."""
    for process in processes_of(page):
        try:
            line = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if all(word in line for word in words):
            return int(process.name)
    return None


def number_of_assets(page: Page) -> int:
    answer = page.graphql(ASSETS)
    return len((answer.get("data") or {}).get("assetNodes") or [])


def server_id(page: Page) -> str:
    query = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {"
    query += " ... on RepositoryLocation { serverId } } } } } }"
    workspace = (page.graphql(query).get("data") or {}).get("workspaceOrError") or {}
    found = [entry["locationOrLoadError"] or {} for entry in workspace.get("locationEntries", [])]
    return next((str(one["serverId"]) for one in found if one.get("serverId")), "")


def status_of(page: Page, run_id: str) -> str:
    runs = page.graphql(STATUSES)["data"]["runsOrError"]["results"]
    return next((str(run["status"]) for run in runs if run["runId"] == run_id), "")


@pytest.mark.parametrize("words", [("api", "grpc"), ("code-server", "start")])
def test_a_code_server_that_dies_comes_back_and_its_assets_with_it(
    page: Page, words: tuple[str, ...]
) -> None:
    before = until(lambda: server_id(page), "a code server")
    os.kill(until(lambda: process_with(page, *words), "its process"), signal.SIGKILL)
    until(lambda: server_id(page) not in ("", before), "another code server")
    until(lambda: number_of_assets(page) > 50, "assets")
    assert page.process.poll() is None


def test_a_code_server_that_stood_still_answers_again_and_nothing_ended(page: Page) -> None:
    """As on a machine that slept, or swapped: Dagster's own server ends itself after 30 s."""
    until(lambda: number_of_assets(page) > 50, "assets")
    daemon = until(lambda: process_with(page, "dagster._daemon"), "a daemon")
    stopped = [
        until(lambda words=words: process_with(page, *words), "a code server")
        for words in (("api", "grpc"), ("code-server", "start"))
    ]
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    time.sleep(STANDSTILL)
    for process in stopped:
        os.kill(process, signal.SIGCONT)
    until(lambda: number_of_assets(page) > 50, "assets")
    dry = page.graphql(DRY_RUN, schedule=SCHEDULE, at=time.time())["data"]["scheduleDryRun"]
    assert len(dry["evaluationResult"]["runRequests"]) == 1, dry
    assert process_with(page, "dagster._daemon") == daemon
    assert page.process.poll() is None


def test_a_daemon_that_dies_comes_back_and_the_terminal_says_so(page: Page) -> None:
    before = until(lambda: process_with(page, "dagster._daemon"), "a daemon")
    os.kill(before, signal.SIGKILL)
    until(lambda: process_with(page, "dagster._daemon") not in (None, before), "a daemon")
    assert "Dagster's daemon ended by itself (exit status -9); it is started again" in page.said()


def test_a_second_page_that_may_start_runs_is_refused(page: Page) -> None:
    with reserved_port() as other:
        done = subprocess.run(
            [wmtp(), "run", "--port", str(other)],
            env=dict(page.environment),
            cwd=page.home,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2, done.stderr  # told before anything is made
    assert f"process {page.process.pid} on" in done.stderr
    assert f"wmtp ui --read-only --port {other + 1}" in done.stderr


@pytest.fixture
def endless(page: Page) -> Iterator[None]:
    """Every run waits for an artifact that this test works at: it is at work whenever one looks."""
    lock = page.root / "storage" / ".locks" / "artifacts" / "models" / "tokenizer_raw.lock"
    with exclusive(lock, machines=False):
        yield


def started_in_a_terminal(page: Page) -> tuple[subprocess.Popen[bytes], str]:
    """`wmtp materialize` beside the page, and its run, which is at work."""
    runs = {run["runId"] for run in page.graphql(STATUSES)["data"]["runsOrError"]["results"]}

    def mine() -> str | None:
        every = page.graphql(STATUSES)["data"]["runsOrError"]["results"]
        new = [run for run in every if run["runId"] not in runs]
        return next((run["runId"] for run in new if run["status"] == "STARTED"), None)

    process = subprocess.Popen(
        [wmtp(), "materialize"],
        env=dict(page.environment),
        cwd=page.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process, until(mine, "a run of the terminal")


@pytest.mark.usefixtures("endless")
def test_runs_that_were_killed_are_ended_and_the_queue_goes_on(page: Page) -> None:
    killed = [started_in_a_terminal(page) for _ in range(2)]  # as many as may run at once
    for process, _ in killed:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    params = {"selector": selector("__ASSET_JOB", "doctor"), "mode": "default"}
    waits = page.graphql(LAUNCH, params=params)["data"]["launchRun"]["run"]["runId"]
    for _, run_id in killed:
        until(lambda one=run_id: status_of(page, one) == "FAILURE", "the end of a dead run")
    until(lambda: status_of(page, waits) in ("SUCCESS", "FAILURE"), "the end of the next run")


@pytest.mark.usefixtures("endless")
def test_terminate_ends_a_run_of_the_terminal(page: Page) -> None:
    process, run_id = started_in_a_terminal(page)
    answer = page.graphql(TERMINATE, id=run_id)["data"]["terminateRun"]
    assert answer["__typename"] == "TerminateRunSuccess", answer
    until(lambda: status_of(page, run_id) == "CANCELED", "the end of the run")
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM


@pytest.mark.usefixtures("endless")
def test_a_page_that_is_ended_ends_its_runs(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    params = {"selector": selector("materialize_all"), "mode": "default"}
    run_id = page.graphql(LAUNCH, params=params)["data"]["launchRun"]["run"]["runId"]
    until(lambda: status_of(page, run_id) == "STARTED", "a run of the page")
    page.process.send_signal(signal.SIGTERM)
    assert page.process.wait(PATIENCE) == 0
    here = Path.cwd()
    monkeypatch.setenv("DAGSTER_HOME", str(page.home))
    os.chdir(page.home)
    try:
        with dg.DagsterInstance.get() as instance:
            left = [run for run in instance.get_runs() if not run.is_finished]
            run = instance.get_run_by_id(run_id)
    finally:
        os.chdir(here)
    assert left == []
    assert run is not None
    assert run.status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)
