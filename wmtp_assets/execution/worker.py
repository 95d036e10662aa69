"""A worker of the judge: takes a task from its connection, judges it, answers.

Started as `python -m wmtp_assets.execution.worker CONNECTION FOLDER MEANS [PYTHON2]`, the first
being the number of an open socket. Messages are pickled by the judge and by this module alone. When
the connection ends, however the judge ended, the worker ends at once, and with it what it started.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from wmtp_assets.execution.judging import judge_function, judge_program
from wmtp_assets.execution.messages import Answer, End, Order, Refused, Taken, Test
from wmtp_assets.execution.server_client import (
    ForkServer,
    NotConfinedError,
    ServerEndedError,
)
from wmtp_assets.execution.tasks import PYTHON_2, ProgramTask, Task, uses_numpy


class _Worker:
    def __init__(self, connection: str, folder: str, means: str, python2: str = "") -> None:
        self._channel = Connection(int(connection))
        self._folder = Path(folder)
        self._means = means
        self._python2 = python2
        self._messages: SimpleQueue[Any] = SimpleQueue()
        self._servers: dict[tuple[str, ...], ForkServer] = {}
        self._leaving = threading.Lock()  # never released

    def run(self) -> None:
        """Works until the connection ends."""
        threading.Thread(target=self._receive, daemon=True).start()
        try:
            self._work()
        except BaseException:
            if self._leaving.locked():  # servers were closed under its hands: let the other end all
                self._leave()
            raise

    def _work(self) -> None:
        while True:
            message = self._messages.get()
            if not isinstance(message, Order):
                continue  # tests of a program that has failed already
            try:
                self._send(self._answer(message))
            except NotConfinedError as error:
                self._send(Refused(str(error)))
            except ServerEndedError:  # the judge replaces this worker, and tries the task again
                self._leave(1)

    def _answer(self, order: Order) -> Answer:
        server = self._server(order.task)
        if isinstance(order.task, ProgramTask):
            found = judge_program(server, order.task, self._tests(order.number))
        else:
            found = judge_function(server, order.task)
        return Answer(order.number, *found)

    def _server(self, task: Task) -> ForkServer:
        """The fork server for a task. Programs that need numpy have one of their own, so that the
        memory that others are seen to use does not depend on who came before."""
        kind: tuple[str, ...] = ()
        if isinstance(task, ProgramTask) and task.language == PYTHON_2:
            kind = ("python2", self._python2)
        elif uses_numpy(task) and (spec := find_spec("numpy")) and spec.origin:
            kind = ("numpy", str(Path(spec.origin).parents[1]))
        if kind not in self._servers:
            folder = Path(tempfile.mkdtemp(dir=self._folder))
            self._servers[kind] = ForkServer(folder, self._means, *kind)
        return self._servers[kind]

    def _tests(self, number: int) -> Iterator[tuple[str, str]]:
        while True:
            match self._messages.get():
                case Test(number=this, given=given, expected=expected) if this == number:
                    self._send(Taken(number))
                    yield given, expected
                case End(number=this) if this == number:
                    return

    def _send(self, message: Taken | Answer | Refused) -> None:
        try:
            self._channel.send_bytes(pickle.dumps(message, protocol=5))
        except OSError:  # the judge is gone
            self._leave()

    def _receive(self) -> None:
        """Always reads, so that the judge never waits to send; ends all when the judge has."""
        try:
            while True:
                self._messages.put(pickle.loads(self._channel.recv_bytes()))  # noqa: S301 (ours)
        except (EOFError, OSError):
            self._leave()

    def _leave(self, status: int = 0) -> None:
        """Ends this process; who comes second waits for that."""
        self._leaving.acquire()
        with ExitStack() as every:
            every.callback(os._exit, status)
            every.callback(shutil.rmtree, self._folder, ignore_errors=True)
            for server in list(self._servers.values()):
                every.callback(server.close)


if __name__ == "__main__":
    _Worker(*sys.argv[1:]).run()
