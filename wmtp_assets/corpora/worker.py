"""A formatting process: reads units of problems from its connection, formats, answers.

Started by `crew` as `python -m wmtp_assets.corpora.worker CONNECTION MEMORY TOKENIZER MAX_TOKENS`,
the first two being numbers of open files.
"""

from __future__ import annotations

import itertools
import mmap
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from wmtp_assets.corpora.counting import open_counter
from wmtp_assets.corpora.formatting import Formatted, format_problems

SLOTS = 4  # units a worker may have in hand
SLOT_BYTES = 8 << 20  # of lines of one unit in shared memory; more go through the connection


def main(connection: int, memory: int, tokenizer: str, max_tokens: int) -> None:
    """Work until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    channel = Connection(connection)
    lines = mmap.mmap(memory, SLOTS * SLOT_BYTES)
    # A thread that always reads: were the parent stuck sending a unit while we are stuck sending an
    # answer, neither would ever go on. The parent sends SLOTS units ahead at most.
    units: SimpleQueue[bytes | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(channel, units), daemon=True).start()
    counter = open_counter(Path(tokenizer))
    for turn in itertools.count():
        sent = units.get()
        if sent is None:
            return
        unit = pickle.loads(sent)  # noqa: S301 (what our parent sent)
        answer: Formatted | str
        try:
            answer = format_problems(unit, counter, max_tokens)
            size = len(answer.data)
            if size <= SLOT_BYTES and not isinstance(answer.data, range):
                begin = turn % SLOTS * SLOT_BYTES
                lines[begin : begin + size] = answer.data
                answer.data = range(begin, begin + size)
        except Exception:
            answer = traceback.format_exc()
        try:
            channel.send_bytes(pickle.dumps(answer, protocol=5))
        except OSError:  # the parent is gone
            return


def _receive(channel: Connection, units: SimpleQueue[bytes | None]) -> None:
    """Pass on what arrives; None when the connection has ended."""
    try:
        while True:
            units.put(channel.recv_bytes())
    except (EOFError, OSError):
        units.put(None)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
