"""Judging many tasks on all cores.

The judge hands tasks to workers and their tests one by one, a few ahead, so that memory does not
grow with a task. Verdicts come back in any order, are put into the cache as they come, and are
taken from there without a process where the content is the same. A worker that dies is replaced and
its task tried once more. A verdict that a busy machine may have made (too slow, but not by far) is
reached again at the end, with no other worker at work.
"""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from wmtp_assets import interrupts
from wmtp_assets.errors import WmtpError
from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.confinement import ConfinementError, Layer, Means, available
from wmtp_assets.execution.messages import Answer, End, Order, Refused, Taken, Test
from wmtp_assets.execution.tasks import (
    PYTHON_2,
    FunctionTask,
    Judged,
    ProgramTask,
    Task,
    Verdict,
    key_of,
)
from wmtp_assets.storage.digests import cores
from wmtp_assets.storage.held_folder import HeldFolder

Name = TypeVar("Name")

PYTHON_2_SETTING: Final = "WMTP_PYTHON2"
"""The environment variable with the path of a Python 2.7."""
PREFIX: Final = "wmtp-judging-"
"""Of the names of judges' temporary folders."""
_TESTS_AHEAD, _BYTES_AHEAD = 16, 4 << 20
_PYTHON_2_MISSING: Final = "Python 2: no interpreter"


class InterpreterError(WmtpError):
    """What was named as an interpreter of Python 2 is none."""


@dataclass
class _Job(Generic[Name]):
    """A task that is judged, or waits to be."""

    name: Name
    task: Task
    key: str
    deaths: int = 0


class Judge:
    """Workers, and the cache that their verdicts go to; a context manager.

    `workers` is one per core if it is None; `without` narrows what confines, as `available` does.
    Where others execute beside this judge, it must not `settle`: no verdict is then given on a task
    whose verdict a busy machine may have made; one that settles gives it when they have ended.
    `python2` is a Python 2.7, by default the one that WMTP_PYTHON2 names; without it, programs in
    Python 2 are not runnable. Workers are started when there is something to execute. Raises
    ConfinementError where this machine cannot confine what would be executed, and InterpreterError
    where `python2` is none.
    """

    def __init__(
        self,
        workers: int | None = None,
        cache: VerdictCache | None = None,
        *,
        without: Collection[Layer] = (),
        python2: Path | None = None,
        settle: bool = True,
    ) -> None:
        self._most = workers or cores()
        self._settle = settle
        self._cache = cache
        self._without = without
        self._python2 = python2 or named_python2()
        self.python2 = ""
        """The version of the interpreter for Python 2; "" where there is none."""
        self._workers: list[_Worker] = []
        self.executed = 0
        """Tasks that were not in the cache."""

    def __enter__(self) -> Self:
        self._means = available(without=self._without)
        self.python2 = version_of(self._python2)
        self._folder = HeldFolder(PREFIX)
        self._stack = ExitStack()  # a command that is interrupted ends without `__exit__`
        self._stack.enter_context(interrupts.before_ending(self._folder.remove))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(list(self._workers))
        self._folder.remove()
        self._stack.close()

    def _end(self, workers: Iterable[_Worker]) -> None:
        """All at once, and then waits for each."""
        workers = list(workers)
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            worker.kill()
            self._workers.remove(worker)

    def judge(self, tasks: Iterable[tuple[Name, Task]]) -> Iterator[tuple[Name, Judged]]:
        """The verdict on each task, with the name that it came with, as they are reached; on some
        none, unless this judge settles.

        A task is asked for when a worker is free for it. What `tasks` raises is raised.
        """
        coming = iter(tasks)
        again: deque[_Job[Name]] = deque()  # whose worker died
        alone: deque[_Job[Name]] = deque()  # to be judged with no other worker at work
        busy: dict[_Worker, _Job[Name]] = {}
        try:
            ended = False
            while True:
                while len(busy) < self._most and not (ended and not again):
                    if again:
                        self._begin(again.popleft(), busy)
                        continue
                    item = next(coming, None)
                    if item is None:
                        ended = True
                        continue
                    name, task = item
                    judged, key = self._known(task)
                    if judged is not None:
                        yield name, judged
                    else:
                        self._begin(_Job(name, task, key), busy)
                if not busy:
                    if not alone:
                        return
                    for name, judged in self._alone(alone):
                        yield name, judged
                    return
                for worker in wait_for(busy):
                    job = busy[worker]
                    answer = worker.receive()
                    if answer is None:
                        del busy[worker]
                        if (judged := self._died(worker, job)) is None:
                            again.append(job)
                        else:
                            yield job.name, judged
                    elif isinstance(answer, Answer):
                        del busy[worker]
                        if answer.certain:
                            yield job.name, self._kept(job, answer.judged)
                        elif self._settle:
                            alone.append(job)
        finally:
            self._end(busy)

    def _alone(self, jobs: deque[_Job[Name]]) -> Iterator[tuple[Name, Judged]]:
        while jobs:
            job = jobs.popleft()
            busy: dict[_Worker, _Job[Name]] = {}
            try:
                self._begin(job, busy)
                (worker,) = busy
                while not isinstance(answer := worker.receive(), Answer | None):
                    pass
                busy.clear()
            finally:
                self._end(busy)
            if isinstance(answer, Answer):
                yield job.name, self._kept(job, answer.judged)
            elif (judged := self._died(worker, job)) is not None:
                yield job.name, judged
            else:
                jobs.appendleft(job)

    def _known(self, task: Task) -> tuple[Judged | None, str]:
        if isinstance(task, ProgramTask) and task.language == PYTHON_2 and not self.python2:
            return Judged(Verdict.NOT_RUNNABLE, _PYTHON_2_MISSING), ""
        if self._cache is None:
            return None, ""
        key = key_of(task, self.python2)
        return self._cache.get(key), key

    def _kept(self, job: _Job[Name], judged: Judged) -> Judged:
        """Puts a verdict into the cache, unless it is one that another machine may not share."""
        if self._cache is not None and judged.verdict is not Verdict.NOT_RUNNABLE:
            self._cache.put(job.key, judged)
        return judged

    def _begin(self, job: _Job[Name], busy: dict[_Worker, _Job[Name]]) -> None:
        free = next((one for one in self._workers if one not in busy), None)
        if free is None:
            free = _Worker(self._folder.path, self._means, self._python2)
            self._workers.append(free)
        busy[free] = job
        self.executed += 1
        free.begin(job.task)

    def _died(self, worker: _Worker, job: _Job[Name]) -> Judged | None:
        """None where the task is to be tried once more."""
        self._end([worker])
        job.deaths += 1
        if job.deaths < 2:
            return None
        return Judged(
            Verdict.NOT_RUNNABLE,
            f"its worker ended twice ({worker.status}); the machine's memory may have run out",
        )


def named_python2() -> Path | None:
    """The Python 2.7 that WMTP_PYTHON2 names."""
    given = os.environ.get(PYTHON_2_SETTING)
    return Path(given) if given else None


def version_of(path: Path | None) -> str:
    """The version of a Python 2.7; "" of none. Raises InterpreterError: what is called python2 may
    be a script that says what one could install."""
    if path is None:
        return ""
    tells = "import sys; sys.stdout.write('.'.join(map(str, sys.version_info[:3])))"
    try:
        asked = subprocess.run(  # noqa: S603  (the path that the user gave)
            [str(path), "-E", "-S", "-c", tells], capture_output=True, timeout=60, env={}
        )
        found = asked.stdout.decode("utf-8", "replace")[:100] or f"exit status {asked.returncode}"
    except (OSError, subprocess.SubprocessError) as error:
        found = str(error)
    if not found.startswith("2.7."):
        raise InterpreterError(
            "Solutions in Python 2 should be executed, but the given interpreter is "
            "not a Python 2.7",
            expected="the path of its executable",
            found=found,
            where=path,
            hint=f"Give that path in {PYTHON_2_SETTING}, or unset it: solutions in Python 2 are "
            "not executed then, and not counted as wrong.",
        )
    return found


def wait_for(busy: Iterable[_Worker]) -> list[_Worker]:
    """The workers that have an answer, or have died; waits for the first."""
    by_connection = {worker.connection: worker for worker in busy}
    return [by_connection[one] for one in wait(list(by_connection))]  # type: ignore[index]


class _Worker:
    """A worker process, and the tests that it is being sent."""

    def __init__(self, folder: Path, means: Means, python2: Path | None) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(  # noqa: S603  (our own module, our own arguments)
            [
                sys.executable,
                "-m",
                f"{__package__}.worker",
                str(theirs.fileno()),
                str(self._folder),
                means.to_json(),
                *([str(python2)] if python2 else []),
            ],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env={
                **os.environ,
                # The package may be importable only because the caller changed sys.path.
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            start_new_session=True,  # Ctrl-C is the judge's to handle
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.status = ""
        self._numbers = itertools.count()
        self._number = -1
        self._tests: Iterator[tuple[str, str]] | None = None
        self._ahead: deque[int] = deque()  # bytes of each test that was sent and not begun

    def begin(self, task: Task) -> None:
        """Sends a task, and the first of its tests."""
        self._number = next(self._numbers)
        self._ahead.clear()
        self._tests = None
        if isinstance(task, ProgramTask):
            self._tests = iter(task.tests)
            task = replace(task, tests=())
        self._send(Order(self._number, task))
        self._send_tests()

    def receive(self) -> Answer | Taken | None:
        """What the worker says of its task; None where it has died. To be called when there is
        something to be received. Raises ConfinementError."""
        try:
            message: Any = pickle.loads(self.connection.recv_bytes())  # noqa: S301  (ours)
        except (EOFError, OSError):
            return None
        if isinstance(message, Taken) and message.number == self._number:
            self._ahead.popleft()
            self._send_tests()
        if isinstance(message, Refused):
            raise ConfinementError(
                "Programs cannot be confined here after all, and nothing was executed",
                found=message.why,
                hint="Run `python -m wmtp_assets.execution`, which says what this machine offers.",
            )
        if isinstance(message, Answer):
            self._tests = None  # those that are left are not read
        return message  # type: ignore[no-any-return]

    def kill(self) -> None:
        """Ends the worker: it and its fork servers end when the connection is closed."""
        self.connection.close()
        try:
            status = self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self.status = f"exit status {status}"
        shutil.rmtree(self._folder, ignore_errors=True)

    def _send_tests(self) -> None:
        while self._tests is not None and (
            not self._ahead or (len(self._ahead) < _TESTS_AHEAD and sum(self._ahead) < _BYTES_AHEAD)
        ):
            test = next(self._tests, None)
            if test is None:
                self._tests = None
                self._send(End(self._number))
                return
            self._ahead.append(len(test[0]) + len(test[1]))
            self._send(Test(self._number, *test))

    def _send(self, message: Order | Test | End) -> None:
        with suppress(OSError):  # it has died, which `receive` will say
            self.connection.send_bytes(pickle.dumps(message, protocol=5))


def needs_one_process(reference: FunctionTask, judge: Judge) -> bool:
    """Whether tests need objects of the solution's own classes, as the reference solution shows: it
    passes in one process with its tests, and does not in two."""
    verdicts = dict(
        judge.judge((together, replace(reference, together=together)) for together in (False, True))
    )
    passed = {name: judged.verdict is Verdict.PASSED for name, judged in verdicts.items()}
    return passed[True] and not passed[False]
