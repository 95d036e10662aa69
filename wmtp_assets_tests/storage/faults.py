"""A disk that fails or dies at the N-th operation, put under `wmtp_assets.storage.disk`.

A fetch writes what arrives by itself, at the places where it belongs; its calls are counted too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest

from wmtp_assets.hub import partial
from wmtp_assets.storage import disk

PRIMITIVES = (
    "create",
    "open_or_create",
    "write",
    "clone",
    "truncate",
    "fsync",
    "rename",
    "symlink",
    "hardlink",
    "unlink",
    "mkdir",
    "rmdir",
    "chmod",
)


# The calls that a fetch makes itself, and what takes no room among them.
OF_A_FETCH = ("open", "pwrite", "ftruncate")
NEED_ROOM = ("create", "write", "symlink", "hardlink", "mkdir", "open", "pwrite")


class Killed(BaseException):
    """The process is dead: nothing catches this, and nothing after it reaches the disk."""


class FaultyDisk(AbstractContextManager["FaultyDisk"]):
    """Counts operations, and at number `at` (from 1) kills the process or raises `code`.

    A kill in the middle of a write leaves half of it. After a kill every further operation is a
    kill too, so that no clean-up code of ours runs. With `for_good`, the operations that need room
    go on failing, as on a disk that stays full. fsync is counted and not done: what is tested is
    the order of operations, and a thousand cases must not take a thousand disk waits.
    """

    def __init__(self, at: int = 0, code: int | None = None, *, for_good: bool = False) -> None:
        self.count = 0
        self.log: list[tuple[str, Any]] = []
        self.struck = False
        self._at = at
        self._code = code
        self._for_good = for_good
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> FaultyDisk:
        for name in PRIMITIVES:
            self._patch.setattr(disk, name, self._wrapped(name, getattr(disk, name)))
        calls = {name: self._wrapped(name, getattr(os, name)) for name in OF_A_FETCH}
        self._patch.setattr(partial, "os", SimpleNamespace(**(vars(os) | calls)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._patch.undo()

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any) -> Any:
            self.count += 1
            if self.struck and self._code is None:
                raise Killed
            if self.count == self._at:
                self.struck = True
                self._strike(name, original, arguments)
            if self.struck and self._for_good and name in NEED_ROOM:
                self._strike(name, original, arguments)
            self.log.append((name, _named(arguments)))
            return None if name == "fsync" else original(*arguments)

        return operation

    def _strike(self, name: str, original: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if self._code is not None:
            raise OSError(self._code, os.strerror(self._code))
        if name in ("write", "pwrite"):
            descriptor, data, *place = arguments
            original(descriptor, data[: len(data) // 2], *place)
        raise Killed


def _named(arguments: tuple[Any, ...]) -> Any:
    """The arguments, an open file by its path."""
    first, *rest = arguments
    if isinstance(first, int):
        first = Path(f"/proc/self/fd/{first}").readlink()
    return (first, *rest)
