"""The engine that was chosen, opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from wmtp_assets.engines.engine import Engine, EngineName
from wmtp_assets.engines.local import LocalEngine
from wmtp_assets.engines.on_ray import ADDRESS, RayEngine


@contextmanager
def open_engine(name: EngineName, log: Callable[[str], None] | None = None) -> Iterator[Engine]:
    """The engine of that name, for as long as the block runs; `log` gets a line on Ray's workers.
    Raises EngineError where its packages are missing, or its cluster does not answer."""
    if name == "local":
        with LocalEngine() as local:
            yield local
        return
    with RayEngine() as ray:
        if log is not None:
            where = f"at {address}" if (address := os.environ.get(ADDRESS)) else "on this machine"
            log(f"Ray has {ray.workers} workers {where}")
        yield ray
