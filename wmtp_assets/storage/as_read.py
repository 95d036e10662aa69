"""What a reader of the contract's paths finds, compared with the files that were verified.

A path is right when it ends, through however many links, at the very file that the artifact's
version holds: device and inode are compared, never a link's text. A published folder holds what
belongs there and nothing else, for a loader picks up whatever it finds (`generation_config.json`).
Only names and inodes are looked at, no contents.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wmtp_assets.storage import aside, bounds, walks
from wmtp_assets.storage.errors import StorageError, refused
from wmtp_assets.storage.publications import RECORD, PublishedSet
from wmtp_assets.storage.receipts import Mismatch

SAME = "the very file that was verified"
GONE = "nothing"
"""What `described` says of a path where nothing is, or nothing any more."""


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths end at one file or one folder, through whatever links."""
    try:
        return os.path.samestat(one.stat(), other.stat())
    except OSError:
        return False


def misplaced(root: Path, links: Mapping[str, Path], mounts: Sequence[str]) -> list[Mismatch]:
    """Where readers do not find what is published, or find something else beside it.

    `links`: contract path -> the file or folder of an artifact's version that belongs there. The
    mounts themselves are there.
    """
    found: list[Mismatch] = []
    for mount in mounts:
        below = {
            path: target
            for path, target in links.items()
            if PurePosixPath(path).is_relative_to(mount)
        }
        if mount in below:
            wrong = _compared(root / mount, below[mount])
            found += [] if wrong is None else [wrong]
        else:
            found += _folder(root, mount, below)
    return found


def unexpected_in_farm(farm: Path, links: Iterable[str]) -> list[Path]:
    """What is in a publication's folder and does not belong there; links are not followed.

    Things of another kind than belongs there count too: a file or a folder in place of a link, a
    link in place of a folder. The contents of an unexpected folder are not listed.
    """
    wanted = frozenset(links)
    folders = _folders_above(wanted)
    found = []
    todo = [""]
    while todo:
        within = todo.pop()
        for entry in sorted(os.scandir(farm / within), key=lambda entry: entry.name):
            name = f"{within}{entry.name}"
            if name in folders and entry.is_dir(follow_symlinks=False):
                todo.append(f"{name}/")
            elif name in wanted and entry.is_symlink():
                continue
            elif name != RECORD or not entry.is_file(follow_symlinks=False):
                found.append(farm / name)
    return found


@dataclass(frozen=True)
class Unexpected:
    """What is at or among the contract's paths of a catalog and belongs to none of them.

    `inside` is in the folder of a model or dataset, where readers may pick it up; `beside` is
    next to those folders.
    """

    inside: list[Mismatch]
    beside: list[Mismatch]


def unexpected(root: Path, sets: Iterable[PublishedSet], published: Path) -> Unexpected:
    """What does not belong in the folders that several sets share, by all sets of a catalog.

    `published` is the folder of all publications: a link into it is one of an earlier catalog.
    """
    mounts = frozenset(mount for wanted in sets for mount in wanted.mounts)
    inside: list[Mismatch] = []
    beside: list[Mismatch] = []
    for folder in sorted(_folders_above(mounts)):
        place = root / folder
        if os.path.islink(place) or not os.path.isdir(place):  # noqa: PTH112, PTH114  (never raise)
            continue  # reported for the mounts below it
        known = {
            PurePosixPath(path).parts[len(PurePosixPath(folder).parts)]
            for path in mounts
            if PurePosixPath(path).is_relative_to(folder)
        }
        try:
            there = sorted(os.listdir(place))  # noqa: PTH208  (names, not paths)
        except OSError as error:
            inside.append(unreadable(error, place))
            continue
        for name in there:
            extra = None if name in known else _unexpected(root, place / name, published)
            if extra is not None:
                (inside if "/" in folder else beside).append(extra)
    return Unexpected(inside, beside)


def left_over(root: Path, folders: Iterable[str], published: Path) -> list[Mismatch]:
    """Links into `published`, the folder of all publications, below folders where a catalog
    publishes nothing: one mismatch for each folder that holds some."""
    found = []
    for folder in folders:
        links, others = 0, 0
        for place in walks.files_below(root / folder, denied=True):
            if _leads_into(published, place):
                links += 1
            else:
                others += 1
        if links:
            place = root / folder
            command = aside.command(root, place) if others else f"rm -r {aside.quoted(place)}"
            paths = "1 path that was" if links == 1 else f"{links:,} paths that were"
            there = f"{paths} published there, by a catalog that serves this generation"
            found.append(Mismatch(place, "nothing", there, f"`{command}`"))
    return found


def unreadable(error: OSError, where: Path) -> Mismatch:
    """What may not be looked at: no reader finds there what was verified."""
    why = refused(error, where)
    place = Path(str(why.where)) if why.where else where
    return Mismatch(place, "something that this user may read", str(why.found), str(why.hint or ""))


def described(path: Path) -> str:
    """A description of what is at a path."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            nowhere = "" if path.exists() else ", where nothing is"
            return f"a link to {path.readlink()}{nowhere}"
    except FileNotFoundError:
        return GONE
    except (OSError, RuntimeError) as error:  # a link loop
        return f"something that cannot be opened ({error})"
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a file" if stat.S_ISREG(mode) else "a device, pipe or socket"


def _folder(root: Path, folder: str, links: Mapping[str, Path]) -> Iterator[Mismatch]:
    """What is wrong in a folder of the contract, as its readers see it."""
    folders = _folders_above(links)
    place = root / folder
    try:
        there = set(os.listdir(place))  # noqa: PTH208  (names, not paths)
    except OSError as error:
        yield Mismatch(place, "a folder that can be read", error.strerror or str(error))
        return
    known = {
        path[len(folder) + 1 :].split("/", 1)[0] for path in links if path.startswith(f"{folder}/")
    }
    for name in sorted(known):
        path = f"{folder}/{name}"
        if path in links:
            wrong = _compared(root / path, links[path])
            if wrong is not None:
                yield wrong
        elif path in folders and (root / path).is_dir():
            yield from _folder(root, path, links)
        else:
            yield Mismatch(root / path, "a folder", described(root / path))
    for name in sorted(there - known):
        extra = described(place / name)
        if extra != GONE:
            yield Mismatch(place / name, "nothing", f"{extra} that does not belong here")


def _compared(path: Path, target: Path) -> Mismatch | None:
    if same_file(path, target):
        return None
    found = described(path)
    if not found.startswith(("nothing", "something")) and path.exists():
        found += ", which is another file" if path.is_file() else ", which is something else"
    return Mismatch(path, f"{SAME}, {target}", found)


def relocated(root: Path, paths: Iterable[Path]) -> list[Mismatch]:
    """Links that stand in place of the storage's own folders, on the way to any of these."""
    found = {}
    for path in paths:
        try:
            bounds.require_inside(root, path)
        except StorageError as error:
            where = error.where if isinstance(error.where, Path) else path
            found[where] = Mismatch(
                where, str(error.expected), str(error.found), str(error.hint or "")
            )
    return list(found.values())


def _unexpected(root: Path, path: Path, published: Path) -> Mismatch | None:
    """The mismatch of an entry that belongs nowhere; None where it has been removed meanwhile."""
    if inside := _leads_into(published, path):
        return Mismatch(
            path,
            "nothing",
            f"a link that was published as {inside}, which this catalog does not have",
            f"`rm {aside.quoted(path)}`",
        )
    there = described(path)
    if there == GONE:
        return None
    return Mismatch(
        path,
        "nothing",
        f"{there} that does not belong here",
        f"`{aside.command(root, path)}`",
    )


def _leads_into(published: Path, path: Path) -> str:
    """The set in `published` that a link leads to; "" where it is no such link."""
    try:
        target = Path(os.path.normpath(path.parent / path.readlink()))
    except OSError:  # no link, or none any more
        return ""
    if not target.is_relative_to(published):
        return ""
    return target.relative_to(published).as_posix().partition("/current/")[0]


def _folders_above(paths: Iterable[str]) -> set[str]:
    return {
        str(above) for path in paths for above in PurePosixPath(path).parents if str(above) != "."
    }
