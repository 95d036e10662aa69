"""Folders for what is needed for a while only, where the system keeps such (TMPDIR)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new folder, which is removed with all that it holds.

    Its path has no links, also where TMPDIR is one: what this package writes goes through none.
    Raises OSError.
    """
    parent = Path(tempfile.gettempdir()).resolve()
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as folder:
        yield Path(folder)
