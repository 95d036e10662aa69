"""What a function that makes an artifact is given, and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.types import Handle
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.engines.engine import Function
from wmtp_assets.engines.whole import Whole
from wmtp_assets.hub.source import Hub

HandleType = TypeVar("HandleType", bound=Handle)


class Log(Protocol):
    """Where progress goes: a logger, or Dagster's log of a run."""

    def info(self, msg: str, /) -> None:
        """A line about progress."""

    def warning(self, msg: str, /) -> None:
        """A line that a person should read."""


@dataclass(frozen=True)
class Task:
    """One artifact to be made into `folder`, which is empty and on the storage's file system.

    `inputs` are the handles of the inputs that its kind loads, by the artifacts' names; `hub` is
    the source of bytes, opened, for what is fetched. `recipe` is the digest of the artifact's
    recipe: what is kept of the work is of that recipe alone.
    """

    project: Project
    artifact: Artifact
    inputs: Mapping[str, Handle]
    folder: Path
    log: Log
    hub: Hub | None = None
    recipe: str = ""

    def input(self, name: str, loaded_as: type[HandleType]) -> HandleType:
        """The input `name`. Raises TypeError where it was loaded as something else."""
        handle = self.inputs[name]
        if not isinstance(handle, loaded_as):
            raise TypeError(f"{name}: expected {loaded_as.__name__}, found {type(handle).__name__}")
        return handle


@dataclass(frozen=True)
class Made:
    """What making an artifact gave beside its files.

    `facts` go into the receipt and onto the page; `digests` are SHA-256 that are known already, by
    file name, so that those files are not read again.
    """

    facts: Mapping[str, object] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


Maker = Callable[[Task], Made]


def _always(_: Project, __: Artifact) -> bool:
    return True


@dataclass(frozen=True)
class Divided:
    """How the work of a kind is divided: `whole` of the artifact that is to be made, where it is
    `able` to be, into tasks of `function`."""

    whole: Callable[[Task], Whole]
    function: Function
    able: Callable[[Project, Artifact], bool] = _always
