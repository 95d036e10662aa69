"""Formatting units of problems on several processes, results in the order of the units.

The parent decodes, hashes and writes, which is nearly half of the work, so it counts as one of the
processes; workers count, escape and join (`worker`). Units go round in turn, so results come back
in order by themselves, and no worker is more than SLOTS units ahead: that bounds memory. Lines come
back through memory that both share, never through a pipe.

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

from wmtp_assets.corpora.counting import open_counter
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formatting import Formatted, format_problems
from wmtp_assets.corpora.records import Problem
from wmtp_assets.corpora.worker import SLOT_BYTES, SLOTS
from wmtp_assets.storage.digests import cores

# A split of fewer units is done as soon as workers are ready to begin.
UNITS_ALONE = 12


def format_in_order(
    units: Iterable[list[Problem]],
    tokenizer: Path,
    max_tokens: int,
    processes: int | None,
) -> Iterator[Formatted]:
    """Format every unit; the result's `data` is valid until the next one is asked for.

    `processes` includes this one, which formats by itself when it is alone; None is one per core.
    Raises CorpusError if a worker dies.
    """
    if processes is None:
        processes = cores() if hasattr(os, "memfd_create") else 1  # workers need Linux
    counter = open_counter(tokenizer)  # also where every core is used: it refuses what is no model
    units = iter(units)
    begun = list(itertools.islice(units, UNITS_ALONE))
    every = itertools.chain(begun, units)
    if processes < 2 or len(begun) < UNITS_ALONE:
        for unit in every:
            yield format_problems(unit, counter, max_tokens)
        return
    with ExitStack() as stack:
        workers = [
            stack.enter_context(_Worker(tokenizer, max_tokens)) for _ in range(processes - 1)
        ]
        waiting: deque[_Worker | Formatted] = deque()  # in the order of the units
        own = 0  # of those waiting
        for unit in every:
            worker = min(workers, key=lambda worker: worker.in_hand)
            if worker.in_hand < SLOTS:
                worker.send(unit)
                waiting.append(worker)
            else:  # nobody needs anything of this process
                waiting.append(format_problems(unit, counter, max_tokens))
                own += 1
            while waiting and (own == SLOTS or _ready(waiting[0])):
                own -= isinstance(waiting[0], Formatted)
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())


def _ready(source: _Worker | Formatted) -> bool:
    return isinstance(source, Formatted) or source.ready()


def _result(source: _Worker | Formatted) -> Formatted:
    return source if isinstance(source, Formatted) else source.receive()


class _Worker:
    """A worker process, its connection, and the memory that it puts lines into."""

    def __init__(self, tokenizer: Path, max_tokens: int) -> None:
        self._arguments = (str(tokenizer), str(max_tokens))
        self.in_hand = 0  # units sent and not received back

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
            env={
                "OPENBLAS_NUM_THREADS": "1",  # its threads spin for a while, and nothing needs them
                **os.environ,
                # The package may be importable only because the caller changed sys.path.
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
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
        self.in_hand += 1

    def ready(self) -> bool:
        """Whether `receive` would find an answer at once."""
        return self._connection.poll()

    def receive(self) -> Formatted:
        try:
            found: Formatted | str = pickle.loads(self._connection.recv_bytes())  # noqa: S301 (ours)
        except (EOFError, OSError) as error:
            raise self._died() from error
        self.in_hand -= 1
        if isinstance(found, str):
            raise RuntimeError(f"A formatting process failed:\n{found}")
        if isinstance(found.data, range):
            found.data = memoryview(self._memory)[found.data.start : found.data.stop]
        return found

    def _died(self) -> CorpusError:
        try:
            status: int | None = self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            status = None
        return CorpusError(
            "A formatting process died",
            expected="its result",
            found=f"exit status {status}",
            hint="If memory ran out (status -9), use fewer processes; then try again.",
        )
