"""Work in this process: one task after the other, each with every core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from wmtp_assets.engines.engine import EngineName, Function, Result, Task, Worker, nobody
from wmtp_assets.storage.digests import cores


class LocalEngine:
    """See the module. Functions that use several cores divide the work among processes of their
    own, and waste none at the end of a part: one part is best. `workers` None is one per core.
    """

    name: Final[EngineName] = "local"
    parts: Final = 1

    def __init__(self, workers: int | None = None) -> None:
        self._cores = workers or cores()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing was started."""

    def map(
        self, function: Function, tasks: Sequence[Task], tell: Callable[[int], None] = nobody
    ) -> Iterator[Result]:
        """As of `Engine`."""
        worker = Worker(self._cores, tell)
        for task in tasks:
            yield function(task, worker)
