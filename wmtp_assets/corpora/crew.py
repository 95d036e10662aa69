"""Formatting units of problems on several processes, results in the order of the units.

The parent decodes, hashes and writes; workers count, escape and join (`worker`). Units go round in
turn, so results come back in order by themselves, and no worker is more than two units ahead: that
bounds memory. Lines come back through memory that both share, never through a pipe.

Workers are processes of their own (not forks: the parent may hold threads and locks; not
multiprocessing's spawn: that runs the caller's main script again).
"""

from __future__ import annotations

import itertools
import mmap
import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

from .errors import CorpusError
from .formatting import Formatted, format_problems
from .records import Problem
from .tokens import TokenCounter
from .worker import SLOT_BYTES, SLOTS

# Units formatted before workers are started: a small split is done sooner than they are.
_UNITS_ALONE = 12


def format_in_order(
    units: Iterable[list[Problem]],
    tokenizer: Path,
    max_tokens: int,
    processes: int | None,
) -> Iterator[Formatted]:
    """Format every unit; the result's `data` is valid until the next one is asked for.

    `processes` is the number of workers; 1 formats in this process, None takes one a core. Raises
    CorpusError if a worker dies.
    """
    if processes is None:
        processes = len(os.sched_getaffinity(0))
    counter = TokenCounter(tokenizer)
    units = iter(units)
    alone = units if processes == 1 else itertools.islice(units, _UNITS_ALONE)
    for unit in alone:
        yield format_problems(unit, counter, max_tokens)
    first = next(units, None)
    if first is None:
        return
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(tokenizer, max_tokens)) for _ in range(processes)]
        waiting: deque[_Worker] = deque()
        turns = itertools.cycle(workers)
        for unit in itertools.chain([first], units):
            worker = next(turns)
            worker.send(unit)
            waiting.append(worker)
            if len(waiting) == SLOTS * len(workers):
                yield waiting.popleft().receive()
        while waiting:
            yield waiting.popleft().receive()


class _Worker:
    """A worker process, its connection, and the memory that it puts lines into."""

    def __init__(self, tokenizer: Path, max_tokens: int) -> None:
        self._arguments = (str(tokenizer), str(max_tokens))

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        memory = os.memfd_create("wmtp-lines")
        os.ftruncate(memory, SLOTS * SLOT_BYTES)
        self._memory = mmap.mmap(memory, SLOTS * SLOT_BYTES)
        self._connection = Connection(ours.detach())
        files = (theirs.fileno(), memory)
        self._process = subprocess.Popen(  # noqa: S603  (our own module, our own arguments)
            [sys.executable, "-m", f"{__package__}.worker", *map(str, files), *self._arguments],
            pass_fds=files,
            stdin=subprocess.DEVNULL,
            # The package may be importable only because the caller changed sys.path.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        theirs.close()
        os.close(memory)
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()  # the worker ends when it reads the end of its connection
        if any(error):
            self._process.kill()
        self._process.wait()
        # Not closed: a caller may still hold a view of the last lines; it goes with the last one.
        del self._memory

    def send(self, unit: list[Problem]) -> None:
        try:
            self._connection.send_bytes(pickle.dumps(unit, protocol=5))
        except OSError as error:
            raise self._died() from error

    def receive(self) -> Formatted:
        try:
            found: Formatted | str = pickle.loads(self._connection.recv_bytes())  # noqa: S301 (ours)
        except (EOFError, OSError) as error:
            raise self._died() from error
        if isinstance(found, str):
            raise RuntimeError(f"A formatting process failed:\n{found}")
        if isinstance(found.data, range):
            found.data = memoryview(self._memory)[found.data.start : found.data.stop]
        return found

    def _died(self) -> CorpusError:
        try:
            status: int | None = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            status = None
        return CorpusError(
            "A formatting process died",
            expected="its result",
            found=f"exit status {status}",
            mend="If memory ran out (status -9), use fewer processes; then try again.",
        )
