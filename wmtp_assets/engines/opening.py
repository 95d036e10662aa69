"""The engine that was chosen, opened."""

from __future__ import annotations

from contextlib import AbstractContextManager

from wmtp_assets.engines.engine import Engine, EngineName
from wmtp_assets.engines.local import LocalEngine
from wmtp_assets.engines.on_ray import RayEngine


def open_engine(name: EngineName) -> AbstractContextManager[Engine]:
    """The engine of that name, for as long as the block runs. Raises EngineError where its packages
    are missing, or its cluster does not answer."""
    return RayEngine() if name == "ray" else LocalEngine()
