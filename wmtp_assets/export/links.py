"""Links in a folder that was copied: which lead nowhere, and to what of a storage they once led."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from wmtp_assets.storage import walks
from wmtp_assets.storage.bounds import usable_name
from wmtp_assets.storage.errors import refused

# What the links of a storage say: a version of an artifact, or what is published of a set.
_OURS = re.compile(
    r"(?:^|/)(?:versions/(?P<artifact>.+?)/[0-9a-f]{12}/|published/(?P<set>.+?)/current(?:/|$))"
)


@dataclass
class Links:
    """What is in a folder, by counts, and its links that lead nowhere, each with its target.

    `names` are the artifacts and sets of a storage that those links led to.
    """

    folder: Path
    files: int = 0
    links: int = 0
    dangling: dict[Path, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


def survey(folder: Path) -> Links:
    """Examines every entry below a folder; follows links only to see whether they lead anywhere.

    What is removed meanwhile is left out: the folder may be one that is at work. Raises
    StorageError where a folder may not be read.
    """
    found = Links(folder)
    try:
        for path in walks.files_below(folder):
            status = walks.status(path)
            if status is not None and stat.S_ISLNK(status.st_mode):
                _add(found, path)
            elif status is not None:
                found.files += 1
    except OSError as error:
        raise refused(error) from error
    return found


def _add(found: Links, link: Path) -> None:
    try:
        target = os.fspath(link.readlink())
    except FileNotFoundError:
        return
    if not os.path.exists(link):  # noqa: PTH110  (never raises, as for a loop of links)
        if walks.status(link) is None:
            return
        found.dangling[link] = target
        if owner := name_of(target):
            found.names.add(owner)
    found.links += 1


def name_of(target: str) -> str | None:
    """The artifact or set that a link of a storage leads into; None for other links.

    It is a name that this package gives: links of a copy are anybody's, and commands name these.
    """
    ours = _OURS.search(target)
    name = (ours["artifact"] or ours["set"]) if ours else ""
    return name if all(map(usable_name, name.split("/"))) else None
