"""Whether a folder may be exported to: it is empty, or an export, and nothing in it is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from wmtp_assets.export.record import IGNORED, NAME, ExportedSet, ExportError, volumes_in
from wmtp_assets.storage import aside, disk, walks
from wmtp_assets.storage.errors import refused
from wmtp_assets.storage.preflight import require_writable

LOCK = ".wmtp-export.lock"
"""In the folder of an export: who exports to it. It stays there, as lock files do."""

# By these a storage is known; an export has folders of the contract in common with it.
_OF_A_STORAGE = frozenset({".locks", "assets.lock", "published", "upstream", "versions"})
_ALWAYS = (".locks", "published", "versions")
_SHOWN = 3


def require_target(folder: Path, storage: Path, volumes: Collection[str]) -> None:
    """Raises ExportError where `folder` is in the storage, is a storage, or holds files of
    something else; StorageError where this user may not write there. `volumes` are the names of
    those that will be written."""
    require_writable(folder, "An export")
    root = storage.resolve()
    there = _names(folder) if folder.is_dir() else set()
    inside = folder.is_relative_to(root)
    if inside or there & _OF_A_STORAGE or any(map(_is_storage, folder.parents)):
        raise ExportError(
            "An export is not written into a storage",
            expected="a folder outside of every storage",
            found=f"a folder of the storage {root}" if inside else "a storage, or a folder of one",
            where=folder,
            hint="name another folder.",
        )
    volumes_there = volumes_in(folder) if there else []
    if folder in volumes_there:
        raise ExportError(
            "This is one volume of an export, not the folder of all of them",
            expected="the folder that holds the volumes",
            found=f"a volume, by its {NAME}",
            where=folder,
            hint=f"name the folder above it ({aside.quoted(folder.parent)}).",
        )
    exported = {one.name for one in volumes_there}
    foreign = {name for name in there - exported if not _is_ours(name)}
    foreign -= {name for name in foreign & set(volumes) if _is_empty(folder / name)}
    if exported:  # other entries beside the volumes are not examined
        foreign &= set(volumes)
    if foreign:
        shown = ", ".join(ascii(name) for name in sorted(foreign)[:_SHOWN])
        raise ExportError(
            "An export is written into an empty folder, or into one that holds an export",
            expected="a new or empty folder",
            found=f"other files, such as {shown}",
            where=folder,
            hint="name another folder.",
        )


def require_no_strangers(volume: Path, known: Collection[str]) -> None:
    """Raises ExportError where a volume holds files that no export has put there."""
    strangers = sorted(set(files_below(volume)) - set(known))
    if strangers:
        moves = f"`mkdir -p {aside.quoted(_beside(volume))} && mv"
        first = aside.quoted(volume / strangers[0])
        raise ExportError(
            "The export holds files that no export wrote, and readers could not tell them apart",
            expected="the files that `wmtp export` wrote",
            found=", ".join(ascii(name) for name in strangers[:_SHOWN])
            + (f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""),
            where=volume,
            hint=f"look at it, then {moves} {first} {aside.quoted(_beside(volume))}`, or name "
            "another folder.",
        )


def require_disjoint(volume: Path, sets: Mapping[str, ExportedSet]) -> None:
    """Raises ExportError where two sets would have one file: they are of different catalogs."""
    owners: dict[str, str] = {}
    for name, one in sets.items():
        for path in one.files:
            if path in owners:
                raise ExportError(
                    "This folder holds an export of another catalog, with files of the same path",
                    expected=f"{path} of {owners[path]} alone",
                    found=f"{path} of {name} as well",
                    where=volume,
                    hint="name another folder.",
                )
            owners[path] = name


def files_below(folder: Path) -> Iterator[str]:
    """The paths below a folder of everything that is no folder; follows no link. Temporaries of a
    killed export and what a file system's root holds of itself are left out, and so is what an
    export removes meanwhile. Raises StorageError where a folder may not be read."""
    try:
        for here, folders, others in walks.walk(folder):
            within = here.relative_to(folder)
            at_root = within == Path()
            if at_root:
                folders[:] = [name for name in folders if name not in IGNORED]
            for name in others:
                if not (at_root and disk.is_temporary(name)):
                    yield (within / name).as_posix()
    except OSError as error:
        raise refused(error) from error


def _names(folder: Path) -> set[str]:
    try:
        return set(disk.listing(folder)) - IGNORED
    except OSError as error:
        raise refused(error, folder) from error


def _is_storage(folder: Path) -> bool:
    try:
        return all((folder / name).is_dir() for name in _ALWAYS)
    except OSError:  # nobody's who exports here
        return False


def _is_ours(name: str) -> bool:
    """Whether it is the lock of an export, its claim, or what a killed process left of one."""
    return name.startswith(LOCK) or disk.is_temporary(name)


def _is_empty(folder: Path) -> bool:
    return disk.is_folder(folder) and not any(
        not disk.is_temporary(name) for name in _names(folder)
    )


def _beside(volume: Path) -> Path:
    return volume.with_name(f"{volume.name}.set-aside")
