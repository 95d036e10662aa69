"""A file of a source that an evaluation package reads as it is: JSON Lines, one task per line.

Rows are made of the source's Parquet. Such a file is published beside them, byte for byte, so that
the package runs offline; that it has what the package requires is checked here.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from wmtp_assets.corpora.errors import CorpusError

# What evalplus.data.utils.completeness_check (evalplus 0.3.1) requires of every task, and what its
# loaders index besides.
EVALPLUS_FIELDS: Final = (
    "task_id",
    "prompt",
    "contract",
    "canonical_solution",
    "base_input",
    "plus_input",
    "atol",
    "entry_point",
)
_LONGEST = 256 << 20  # bytes of a line; the longest published one has some megabytes
_ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class PackageFile:
    """Which package reads the file, by its name on PyPI; the environment variable that gives it the
    file's path; and the fields that it requires of every line."""

    package: str
    variable: str
    fields: tuple[str, ...]


def usable_ending(path: str) -> bool:
    """Whether a file of this name is read by such a package: plain or gzipped JSON Lines."""
    return path.endswith(_ENDINGS)


def task_ids(path: Path, wanted: PackageFile) -> list[str]:
    """The task ids of a file, in its order. Holds one line at a time.

    Raises CorpusError for a line that is no JSON object with the fields wanted, and for a task id
    that occurs twice.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(_lines(path), 1):
        task = _parsed(line)
        fault = _fault(task, wanted)
        task_id = str(task.get("task_id")) if isinstance(task, dict) else ""
        if not fault and task_id in found:
            fault = f"{task_id!r:.100} again, as in line {found[task_id]}"
        if fault:
            raise CorpusError(
                f"{path.name} is not what the package {wanted.package} reads",
                expected=f"in every line a task of its own with {', '.join(wanted.fields)}",
                found=fault,
                where=f"{path}, line {number}",
                hint="Name a revision of the repository in the catalog whose file is the package's "
                "release, or leave out the dataset's package_file.",
            )
        found[task_id] = number
    return list(found)


def _fault(task: object, wanted: PackageFile) -> str:
    if not isinstance(task, dict):
        return "no JSON object"
    missing = [name for name in wanted.fields if name not in task]
    if missing:
        return f"no {', '.join(missing)}"
    if not isinstance(task["task_id"], str):
        return f"a task_id that is {type(task['task_id']).__name__}"
    return ""


def _parsed(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _lines(path: Path) -> Iterator[bytes]:
    """The lines that are not blank. Raises CorpusError where the file cannot be read."""
    try:
        with _opened(path) as file:
            while line := file.readline(_LONGEST + 1):
                if len(line) > _LONGEST:
                    raise ValueError(f"a line of more than {_LONGEST:,} bytes")
                if line.strip():
                    yield line
    except (OSError, EOFError, ValueError) as error:
        raise CorpusError(
            f"{path.name} cannot be read",
            expected="JSON Lines, gzipped where the name ends in .gz",
            found=str(error),
            where=path,
            hint="Fetch it again.",
        ) from error


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")
