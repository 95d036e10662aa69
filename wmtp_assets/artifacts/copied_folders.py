"""`wmtp doctor DIR`: whether the files of a folder that was copied have arrived.

A storage's paths are links. A folder that is copied without following them (`rsync -a`, `cp -a` of
a part) has broken links, and the copying command reports no error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wmtp_assets.artifacts.project import Project
from wmtp_assets.errors import one_line
from wmtp_assets.export import Links, name_of, survey
from wmtp_assets.hub.doctor import Fact
from wmtp_assets.storage import aside
from wmtp_assets.storage.errors import StorageError

_SHOWN = 3


def examine_copy(project: Project | None, folder: Path) -> list[Fact]:
    """What is in `folder`, and for links that lead nowhere the command that brings their files.

    `project` is whose storage the files may be in; None where there is none. Raises StorageError
    where a folder may not be read.
    """
    found = survey(folder)
    counted = f"{found.files} files and {found.links} links in {folder}"
    if not found.dangling:
        return [Fact("links", "ok", f"{counted}; every link leads somewhere")]
    shown = [
        one_line(f"{path.relative_to(folder)} -> {target}")
        for path, target in sorted(found.dangling.items())[:_SHOWN]
    ]
    more = len(found.dangling) - len(shown)
    return [
        Fact(
            "links",
            "problem",
            f"{counted}; {len(found.dangling)} lead nowhere: {', '.join(shown)}"
            + (f", and {more} more" if more else ""),
            "every link with its file",
            " ".join(_remedies(project, found)),
        )
    ]


def _remedies(project: Project | None, found: Links) -> Iterator[str]:
    yield "a copy that does not follow links (rsync -a, cp -a) of a part of a storage copies"
    yield "no file."
    folder = aside.quoted(found.folder)
    sources = _sources(project, found) if project is not None else []
    if sources:
        yield f"copy what the links lead to: `rsync -aL {' '.join(sources)} {folder}/`;"
    else:
        yield "where the storage is, copy what the links lead to, with `rsync -aL` in place of"
        yield "`rsync -a`;"
    beside = aside.quoted(found.folder.with_name(f"{found.folder.name}-export"))
    command = " ".join(["wmtp export", beside, *sorted(found.names)])
    yield f"or write regular files with sums, `{command}`, and copy those."


def _sources(project: Project, found: Links) -> list[str]:
    """The folders of the project's storage whose copy this is, as arguments of rsync: in them every
    link that leads nowhere here leads to a file."""
    store = project.store
    for name in project.sets:
        try:
            publication = store.publication(name)
        except StorageError:
            continue
        for path in publication.links if publication else ():
            for above in (store.root / path).parents:
                if _is_copy(found, above):
                    if above != store.root:
                        return [f"{aside.quoted(above)}/"]
                    tops = {path.relative_to(found.folder).parts[0] for path in found.dangling}
                    return [aside.quoted(store.root / top) for top in sorted(tops)]
                if above == store.root:
                    break
    return []


def _is_copy(found: Links, source: Path) -> bool:
    """Whether each link of `found` is at its place in `source` too, into the same artifact or set,
    of whichever version."""
    for path, target in found.dangling.items():
        original = source / path.relative_to(found.folder)
        if not (original.is_symlink() and original.exists()):
            return False
        if name_of(str(original.readlink())) != name_of(target):
            return False
    return True
