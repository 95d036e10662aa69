"""What the checks of several artifacts read, within one verification of all of them.

A split's lines are read for its own checks, and those of its metadata file ask for the same facts
of the same lines: whoever needs them first reads them, and the other one waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from typing import Any


class Shared:
    """Facts by key, each computed once, for artifacts that are verified `together`, in any number
    of threads. A key identifies every file that the fact was read from, as it was then."""

    def __init__(self, together: Iterable[str] = ()) -> None:
        self.together = set(together)
        self._lock = threading.Lock()
        self._facts: dict[Hashable, Future[Any]] = {}

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """What `compute` gave, or raised, when this was asked first with this key."""
        with self._lock:
            known = self._facts.get(key)
            fact = self._facts.setdefault(key, Future())
        if known is None:
            try:
                fact.set_result(compute())
            except BaseException as error:
                fact.set_exception(error)
        return fact.result()
