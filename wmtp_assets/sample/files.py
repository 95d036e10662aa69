"""New files of the sample, below a folder that no other process writes to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from wmtp_assets.storage import disk


def new_file(path: Path) -> BinaryIO:
    """A new file, open for writing, with the folders above it. Raises OSError where there is one,
    or a link on the way."""
    disk.make_folders(path.parent)
    return os.fdopen(disk.create(path), "wb")


def write_new(path: Path, data: bytes) -> None:
    """`data` as a new file."""
    with new_file(path) as file:
        file.write(data)
