"""Verifying artifacts: many in parallel, and each once per run.

Findings are shared within one process and one run only, and only while everything that they were
computed from is untouched: every file that the checks of an artifact may read is identified by
device, inode, size and times before and after. A file that changed meanwhile is verified again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.identity import Identity, identity_of
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Finding
from wmtp_assets.progress import following
from wmtp_assets.storage.digests import cores, watched
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import UNREADABLE

_KEPT_RUNS = 4


def verify_all(
    project: Project, artifacts: Iterable[Artifact], seed: int | None = None
) -> dict[str, list[Finding]]:
    """The findings on each artifact by name, computed anew; see `run_checks`."""
    given = list(artifacts)
    shared = Shared(artifact.name for artifact in given)
    sizes = {artifact.name: _size(project, artifact) for artifact in given}
    with following("verifying", sum(sizes.values()), None) as at:
        tally = _Tally(at)

        def verify(artifact: Artifact) -> list[Finding]:
            with tally.part(sizes[artifact.name]):
                return run_checks(project, artifact, seed, shared=shared)

        return in_parallel(project, given, verify)


class _Tally:
    """Bytes that were read of several artifacts at once, for one report on all of them."""

    def __init__(self, at: Callable[[int], None]) -> None:
        self._at = at
        self._lock = threading.Lock()
        self._done = 0

    @contextmanager
    def part(self, size: int) -> Iterator[None]:
        """In the block `size` bytes are read, of which digests report some, and a part twice."""
        left = size

        def add(count: int) -> None:
            nonlocal left
            with self._lock:
                count = min(count, left)
                left -= count
                self._done += count
                self._at(self._done)

        with watched(add):
            yield
        add(size)


def verify_all_of_run(
    project: Project, artifacts: Iterable[Artifact], run_id: str
) -> dict[str, list[Finding]]:
    """The findings on each artifact by name; see `findings_of_run`."""
    return in_parallel(
        project, artifacts, lambda artifact: findings_of_run(project, artifact, run_id)
    )


def in_parallel(
    project: Project,
    artifacts: Iterable[Artifact],
    verify: Callable[[Artifact], list[Finding]],
) -> dict[str, list[Finding]]:
    """Calls `verify` for each artifact on every core, the largest first; the results by name.

    What loads a model waits for another that does (see `checks/subject.py`): memory stays bounded.
    """
    given = list(artifacts)
    order = sorted(given, key=lambda artifact: _size(project, artifact), reverse=True)
    with ThreadPoolExecutor(cores(), thread_name_prefix="verify") as pool:
        futures = {artifact.name: pool.submit(verify, artifact) for artifact in order}
        return {artifact.name: futures[artifact.name].result() for artifact in given}


class _Run:
    """What was verified in one run, and what is being verified in the background."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.verified: dict[str, tuple[Identity, Future[list[Finding]]]] = {}
        self.started: set[str] = set()
        self.shared = Shared()  # `together`: what was started
        self.pool = ThreadPoolExecutor(cores(), thread_name_prefix="verify")


_RUNS: OrderedDict[tuple[str, Path], _Run] = OrderedDict()
_RUNS_LOCK = threading.Lock()


def findings_of_run(
    project: Project,
    artifact: Artifact,
    run_id: str,
    log: Callable[[str], None] | None = None,
) -> list[Finding]:
    """The findings of every check of an artifact, computed in this run and in this process, after
    the last change of anything that they depend on. Waits for what is being verified already.

    `log` gets a line about progress every ten seconds.
    """
    identity = identity_of(project, artifact)
    if identity is None:  # something is missing or damaged: what is found is not kept
        return run_checks(project, artifact)
    run = _run(project, run_id)
    with run.lock:
        known = run.verified.get(artifact.name)
        if known is not None and known[0] == identity:
            future, own = known[1], False
        else:
            future, own = Future[list[Finding]](), True
            run.verified[artifact.name] = identity, future
    if own:
        try:
            size = _size(project, artifact)
            with (
                following(f"verifying {artifact.name}", size, log or _unsaid) as at,
                _Tally(at).part(size),
            ):
                findings = run_checks(project, artifact, shared=run.shared)
            if identity_of(project, artifact) != identity:
                with run.lock:
                    if run.verified.get(artifact.name) == (identity, future):
                        del run.verified[artifact.name]
            future.set_result(findings)
        except BaseException as error:  # nobody may wait for it without end
            future.set_exception(error)
            raise
    return future.result()


def _unsaid(_: str) -> None:
    """Where there is no log: a line from the background would go to a step that has ended."""


def start(project: Project, artifacts: Iterable[Artifact], run_id: str) -> None:
    """Begins to verify artifacts for `findings_of_run` in the background, the largest first; those
    that were started in this run already are left out."""
    run = _run(project, run_id)
    with run.lock:
        added = [artifact for artifact in artifacts if artifact.name not in run.started]
        run.started.update(artifact.name for artifact in added)
        run.shared.together.update(run.started)
    for artifact in sorted(added, key=lambda artifact: _size(project, artifact), reverse=True):
        run.pool.submit(_in_background, project, artifact, run_id)


def _in_background(project: Project, artifact: Artifact, run_id: str) -> None:
    if threading.main_thread().is_alive():  # the process is not ending
        findings_of_run(project, artifact, run_id)


def _run(project: Project, run_id: str) -> _Run:
    key = (run_id, project.store.root)
    with _RUNS_LOCK:
        run = _RUNS.setdefault(key, _Run())
        _RUNS.move_to_end(key)
        while len(_RUNS) > _KEPT_RUNS:
            _, old = _RUNS.popitem(last=False)
            old.pool.shutdown(wait=False, cancel_futures=True)
        return run


def _size(project: Project, artifact: Artifact) -> int:
    """Bytes that verifying an artifact reads, about."""
    try:
        receipt = project.store.current(artifact.name)
        size = receipt.size if receipt is not None else 0
        if receipt is not None and artifact.is_fetched:
            files = fetched(project.store, artifact.name).files().values()
            size += sum(int(str(record["size"])) for record in files)
    except (StorageError, *UNREADABLE):
        return 0
    return size
