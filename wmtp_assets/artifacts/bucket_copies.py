"""`wmtp push` and `wmtp pull` of a project: which files of a storage an edition has.

An edition holds what `wmtp verify --deep` and the gate read of a storage: the published sets,
their artifacts, what these were made from down to the fetched files, and assets.lock. Versions that
are not current, and what executing rows gave, stay here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from wmtp_assets.artifacts.exporting import chosen_sets
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.released_weights import record_of, released
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.bucket import Bucket, BucketError, Edition, Pulled, Pushed
from wmtp_assets.bucket import pull as pull_edition
from wmtp_assets.bucket import push as push_edition
from wmtp_assets.bucket.access import folder_of
from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.files import LOCK_NAME
from wmtp_assets.storage import locks
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.publications import Publication
from wmtp_assets.storage.receipts import FileRecord, Receipt


def push(
    project: Project,
    url: str,
    selection: Sequence[str] = (),
    *,
    force: bool = False,
    drop: bool = False,
    plain: bool = False,
) -> Pushed:
    """Pushes what is published of the selected sets, and what it was made from; all for no
    selection. See `bucket.push`.

    Raises WmtpError where something that is needed is not there, or is not as its receipt says.
    """
    store = project.store
    require_elsewhere(url, store.root)
    bucket = Bucket(url, make=True)
    with ExitStack() as held:
        with locks.shared(store.published.lock):  # nothing is published meanwhile
            publications = _published(project, chosen_sets(project, selection), bool(selection))
            for name in publications:
                held.enter_context(store.reading_set(name))
            names = _artifacts(project, publications.values(), every=not selection)
            for name in names:
                held.enter_context(store.reading(name))
            edition, sources = _edition(project, publications, names)
        return push_edition(bucket, edition, sources, force=force, drop=drop, plain=plain)


def require_elsewhere(url: str, storage: Path) -> None:
    """Raises BucketError where a bucket at `url` would lie in the storage, among its own files."""
    folder = folder_of(url)
    if folder and folder.resolve().is_relative_to(storage.resolve()):
        raise BucketError(
            "A storage is not pushed into itself",
            expected="a folder outside it",
            found=folder,
            where=storage,
            hint="give the URL of another folder.",
        )


def pull(project: Project, url: str) -> Pulled:
    """Makes the edition in a bucket what the project's storage publishes; see `bucket.pull`."""
    return pull_edition(Bucket(url), project.store, project.lock.merge)


def _published(project: Project, names: Iterable[str], selected: bool) -> dict[str, Publication]:
    found = {name: project.store.publication(name) for name in names}
    absent = [name for name, one in found.items() if one is None]
    if absent and (selected or len(absent) == len(found)):
        raise WmtpError(
            "There is nothing to push: it is not published",
            expected="what `wmtp materialize` has published",
            found=", ".join(absent),
            where=project.storage,
            hint=f"`wmtp materialize {absent[0]}`" if selected else "`wmtp materialize`",
        )
    return {name: one for name, one in found.items() if one is not None}


def _artifacts(project: Project, publications: Iterable[Publication], *, every: bool) -> list[str]:
    """The artifacts of the sets and all that they were made from; with `every`, all that are here.

    Raises WmtpError where what is current is not what is published: it would be pushed apart.
    """
    store = project.store
    wanted = {name: member for one in publications for name, member in one.members.items()}
    for name, member in wanted.items():
        receipt = store.current(name)
        if receipt is None or receipt.digest != member.digest:
            raise WmtpError(
                "An artifact has been made that is not published yet",
                expected=f"version {member.version}, which is published",
                found=receipt.version if receipt else "nothing",
                where=store.versions.home(name),
                hint="`wmtp materialize` publishes it.",
            )
    names, open_ends = set(wanted), list(wanted)
    if every:
        open_ends += [name for name in project.artifacts if _is_made(project, name)]
        names |= set(open_ends)
    while open_ends:
        artifact = project.artifacts.get(open_ends.pop())
        inputs = set(artifact.inputs) if artifact else set()
        new = {one for one in inputs - names if _is_made(project, one)}
        names |= new
        open_ends += new
    return sorted(names)


def _is_made(project: Project, name: str) -> bool:
    return project.store.current(name) is not None


def _edition(
    project: Project, publications: dict[str, Publication], names: Sequence[str]
) -> tuple[Edition, dict[str, Path]]:
    """The edition, and where the bytes of its files are, by SHA-256."""
    store = project.store
    receipts: dict[str, Receipt] = {}
    sources: dict[str, Path] = {}
    files: dict[str, FileRecord] = {}
    for name in names:
        receipt = store.current(name)
        if receipt is None or (broken := store.mismatches(name, deep=False)):
            raise StorageError(
                f"{name} is not as its receipt says, and is not pushed",
                expected=broken[0].expected if receipt else "a version of it",
                found=broken[0].found if receipt else "nothing",
                where=broken[0].file if receipt else store.versions.home(name),
                hint=f"`wmtp materialize {name} --force`",
            )
        receipts[name] = receipt
        for path, record in receipt.files.items():
            sources[record.sha256] = store.versions.home(name) / receipt.version / path
        if (artifact := project.artifacts.get(name)) and artifact.is_fetched:
            files |= _upstream(project, name, sources)
    if project.lock.path.exists():
        files[LOCK_NAME] = _record(project.lock.path, sources)
    return Edition(project.catalog.name, receipts, publications, files), sources


def _upstream(project: Project, name: str, sources: dict[str, Path]) -> dict[str, FileRecord]:
    """The fetched files of a raw artifact; instead of weights that were released, the record of
    that. Raises StorageError where others are missing."""
    raw = fetched(project.store, name)
    lost, gone = raw.lost(), released(project, name)
    missing = sorted(lost.keys() - (gone.files.keys() if gone else set()))
    if missing:
        raise StorageError(
            "A fetched file is not what arrived, and is not pushed",
            found=lost[missing[0]],
            where=raw.upstream / missing[0],
            hint=f"`wmtp materialize {name} --force`",
        )
    files: dict[str, FileRecord] = {}
    root = project.store.root
    for path, stated in raw.files().items():
        if path not in lost:
            place = raw.upstream / path
            record = FileRecord(place.stat().st_size, str(stated["sha256"]))
            sources[record.sha256] = place
            files[place.relative_to(root).as_posix()] = record
    if lost:
        place = record_of(project, name)
        files[place.relative_to(root).as_posix()] = _record(place, sources)
    return files


def _record(path: Path, sources: dict[str, Path]) -> FileRecord:
    """A small file as it is now."""
    record = FileRecord(path.stat().st_size, sha256_file(path))
    sources[record.sha256] = path
    return record
