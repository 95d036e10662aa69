"""Keeps the code location loaded: a code server that answers no more is made to start again.

Dagster's code server is two processes. The inner one may end (out of memory, a machine that slept)
while the outer one lives on, and answers every question of the page with an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

LOOKS_EVERY_SECONDS = 3
FAILURES = 2  # in a row: one may be a reload by somebody else
LONGEST_PAUSE_SECONDS = 60


def keep_loaded(answers: Callable[[], object], reload: Callable[[], object]) -> threading.Event:
    """Asks in a thread, from now on, whether the code server answers, and else reloads it.

    `answers` raises where it doesn't, or does not in time. The event that is returned ends it.
    """
    stop = threading.Event()

    def watch() -> None:
        failures, pause = 0, LOOKS_EVERY_SECONDS
        while not stop.wait(pause):
            try:
                answers()
                failures, pause = 0, LOOKS_EVERY_SECONDS
            except Exception:  # whatever it is, the page shows no assets
                failures += 1
            if failures >= FAILURES:
                failures, pause = 0, min(2 * pause, LONGEST_PAUSE_SECONDS)
                with suppress(Exception):  # its outer process is gone, too: `wmtp ui` starts it
                    reload()

    threading.Thread(target=watch, name="keep-loaded", daemon=True).start()
    return stop
