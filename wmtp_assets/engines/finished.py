"""Results of tasks in a folder, each under the digest of what it is the result of.

A result appears whole or not at all, and is the same whoever wrote it, in which attempt: what a
killed worker leaves is a temporary file that nobody reads. Whoever may write here may state any
result, as whoever may write into the storage may; a file that is not as it was written, that is of
another task, or that has not the form of its function's results is no result, and its task is
worked on again. So it is where the files are gone or shortened that a result names as being beside
it: `files`, of sizes in bytes by names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from wmtp_assets.engines.engine import Function, Result, Task
from wmtp_assets.engines.forms import has_form
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.digests import digest_of

_SUFFIX: Final = ".json"


class Finished:
    """The results in a folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, function: Function, task: Task) -> Path:
        """Where the result of a task lies, or will lie."""
        return self.folder / f"{_name_of(function, task)}{_SUFFIX}"

    def get(self, function: Function, task: Task) -> Result | None:
        """The result of a task; None where there is none, or no whole one of its form."""
        path = self.path(function, task)
        try:
            stated = json.loads(path.read_bytes())
            result, digest = stated["result"], stated["sha256"]
            whole = (
                _digest_of(_name_of(function, task), result) == digest
                and has_form(function, result)
                and self._has_files(**result.get("files", {}))
            )
        except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return None
        return result if whole else None

    def _has_files(self, **sizes: int) -> bool:
        """Whether all of these files are there. What is no plain name is never there."""
        return all(
            Path(name).name == name and (self.folder / name).stat().st_size == size
            for name, size in sizes.items()
        )

    def put(self, function: Function, task: Task, result: Result) -> None:
        """Adds the result of a task, unless it is there. Raises StorageError; TypeError where it
        has not the form that its function states."""
        digest = _digest_of(_name_of(function, task), result)
        stated = {"sha256": digest, "result": result}
        text = json.dumps(stated, separators=(",", ":"), allow_nan=False)
        if not has_form(function, json.loads(text)["result"]):
            raise TypeError(f"{function.__name__}: a result that is not of the form that it states")
        if self.get(function, task) is None:
            disk.make_folders(self.folder)
            write_bytes(self.path(function, task), text.encode("ascii"))


def _name_of(function: Function, task: Task) -> str:
    return digest_of({"function": function.__name__, "task": task})


def _digest_of(name: str, result: Result) -> str:
    """Of a result and of what it is the result of: copied to another name, it is none."""
    return digest_of({"of": name, "result": result})
