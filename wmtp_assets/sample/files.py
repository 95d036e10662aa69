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


def write_readme(repo: Path, what: str) -> None:
    """README.md of a repository: what stands in for it, and that nothing of it is here."""
    text = (
        "---\nlicense: other\nlicense_name: generated-sample\n---\n"
        f"Written by wmtp_assets as a stand-in for {repo.parent.name}/{repo.name}: {what}.\n"
        "The values are made up: nothing of the original is in it, nor does its licence apply.\n"
    )
    write_new(repo / "README.md", text.encode())
