"""Sets of artifacts that readers must see together, published by replacing one link.

        published/<set>/<version>/...      links to the files of one version of each artifact,
                                       at the contract's paths, and publication.json
    published/<set>/current            a link to <version>: the swap
    models_v2/<model>, ...             mounts: the contract's paths, links into .../current/

A mount never changes once it is there, so moving `current` moves all of a set's paths at one
instant. Mounts are made before the first swap: until then they lead nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from wmtp_assets.storage import as_read, aside, bounds, disk, locks
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.errors import StorageError, storage_errors
from wmtp_assets.storage.publications import RECORD, Publication, PublishedSet
from wmtp_assets.storage.receipts import Mismatch, Receipt
from wmtp_assets.storage.versions import (
    CURRENT,
    Versions,
    current_version,
    leftovers,
    version_folders,
)

_TRIES = 5  # looks at a set that is being published meanwhile


class Published:
    """All sets below one root."""

    def __init__(self, versions: Versions) -> None:
        self.versions = versions
        self.root = versions.root
        self.folder = self.root / "published"
        self.lock = self.root / ".locks" / "published.lock"
        """One lock for all sets: publishing takes milliseconds, and gc must see it standing."""

    def home(self, name: str) -> Path:
        """The folder of a set's versions."""
        return self.folder / bounds.checked_name(name)

    def readers(self, name: str) -> Path:
        """The lock that readers of a set share, and that `gc` wants for itself."""
        return self.root / ".locks" / "sets" / f"{bounds.checked_name(name)}.readers"

    def require_inside(self, name: str) -> None:
        """Raises `StorageError` if writing this set or its lock would leave the storage."""
        bounds.require_inside(self.root, self.home(name) / CURRENT)
        bounds.require_inside(self.root, self.lock)

    # Reading.

    def current(self, name: str) -> Publication | None:
        """What is published of a set now, None if nothing; `StorageError` if it is damaged."""
        home = self.home(name)
        version = current_version(home)
        return None if version is None else Publication.read(home / version / RECORD)

    def history(self, name: str) -> list[Publication]:
        """All publications of a set that are still here, the last first."""
        found = []
        for version in version_folders(self.home(name)):
            with suppress(StorageError):
                found.append(Publication.read(version / RECORD))
        return sorted(found, key=lambda publication: publication.sequence, reverse=True)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """The folder of what is published now, with the contract's paths in it; `gc` leaves it and
        its artifacts alone for as long as the block runs. Raises `StorageError` if nothing is."""
        with locks.shared(self.readers(name)):
            version = current_version(self.home(name))
            if version is None:
                raise StorageError(
                    "This set has not been published yet",
                    where=self.home(name),
                    hint="`wmtp materialize`",
                )
            yield self.home(name) / version

    def mismatches(self, wanted: PublishedSet) -> list[Mismatch]:
        """What a reader of the contract's paths would find that is not the current version of the
        set's artifacts: other or unexpected files, an older or damaged publication.

        Names and inodes are compared, no contents. A publication meanwhile is no mismatch: it is
        looked at again.
        """
        for _ in range(_TRIES):
            before = _readlink(self.home(wanted.name) / CURRENT)
            try:
                found = self._mismatches(wanted)
            except OSError as error:
                return [as_read.unreadable(error, self.home(wanted.name))]
            if not found or before == _readlink(self.home(wanted.name) / CURRENT):
                break
        return found

    def misplaced(self, name: str) -> list[Mismatch]:
        """Where readers do not find what is published of a set (which may be older than the
        artifacts), or find something else beside it. Nothing published is nothing misplaced.

        Raises `StorageError` where the record of what is published is damaged.
        """
        publication = self.current(name)
        return [] if publication is None else self._misplaced(publication)

    def _misplaced(self, publication: Publication) -> list[Mismatch]:
        ways = [self.home(publication.name) / CURRENT]
        ways += [self.versions.home(artifact) / CURRENT for artifact in publication.members]
        ways += [self.root / path for path in publication.mounts]
        if moved := as_read.relocated(self.root, ways):
            return moved
        farm = self.home(publication.name) / publication.version
        if farm.is_symlink() or not farm.is_dir():
            return [Mismatch(farm, "a folder", as_read.described(farm))]
        files = {
            path: self.versions.home(artifact) / publication.members[artifact].version / file
            for path, (artifact, file) in publication.links.items()
        }
        found = self._wrong_mounts(publication.name, publication.mounts)
        wrong = {mismatch.file for mismatch in found}
        mounts = [path for path in publication.mounts if self.root / path not in wrong]
        found += as_read.misplaced(self.root, files, mounts)
        reported = {os.path.realpath(mismatch.file.parent) for mismatch in found}
        for extra in as_read.unexpected_in_farm(farm, publication.links):
            # Behind a mount a reader's path has been named; a file may stand in place of its own.
            if os.path.realpath(extra.parent) not in reported and not any(
                extra == farm / path and as_read.same_file(extra, target)
                for path, target in files.items()
            ):
                there = f"{as_read.described(extra)} that does not belong here"
                found.append(Mismatch(extra, "nothing", there))
        return found

    def _wrong_mounts(self, name: str, mounts: Sequence[str]) -> list[Mismatch]:
        """Contract paths where something stands that does not lead to what is published, or
        nothing does."""
        places = [self.root / path for path in mounts if not self._leads_to_ours(name, path)]
        moves = [
            f"`{aside.command(self.root, place)}`" for place in places if os.path.lexists(place)
        ]
        hint = f"{', '.join(moves)}, then `wmtp materialize {name}`" if moves else ""
        expected = f"a link that leads to what is published of {name}"
        return [Mismatch(place, expected, as_read.described(place), hint) for place in places]

    def _mismatches(self, wanted: PublishedSet) -> list[Mismatch]:
        absent = [path for path in wanted.mounts if not os.path.lexists(self.root / path)]
        found = self._wrong_mounts(wanted.name, absent)
        for place in self._stale_mounts(wanted.name, wanted.mounts):
            found.append(Mismatch(place, "nothing", f"a link to {_readlink(place)}"))
        home = self.home(wanted.name)
        try:
            publication = self.current(wanted.name)
            members = self._coherent_members(wanted)
        except StorageError as error:
            where = error.where if isinstance(error.where, Path) else home
            return [*found, Mismatch(where, str(error.expected), str(error.found))]
        if publication is None or members is None:
            there = (
                "nothing published"
                if publication is None
                else "artifacts of which one is missing, damaged, or made from another version of "
                "the others"
            )
            expected = "a publication of artifacts that were made from each other"
            return [*found, Mismatch(home / CURRENT, expected, there)]
        asked = Publication.of(wanted, members)
        if publication.version != asked.version:
            there = f"version {publication.version}"
            return [*found, Mismatch(home / CURRENT, f"version {asked.version}", there)]
        misplaced = self._misplaced(publication)
        missing = {mismatch.file for mismatch in found}
        return found + [mismatch for mismatch in misplaced if mismatch.file not in missing]

    def _is_tidy(self, publication: Publication) -> bool:
        """Whether every link is one that this package makes: such a path follows the next swap."""
        home = self.home(publication.name)
        farm = home / publication.version
        return all(
            _readlink(self.root / path) == self._mount_target(publication.name, path)
            for path in publication.mounts
        ) and all(
            _readlink(farm / path) == target
            for path, target in self._farm_links(publication).items()
        )

    # Publishing.

    def publish(self, wanted: PublishedSet) -> Publication | None:
        """Publishes the current versions of a set's artifacts, as a whole.

        None, and nothing changes, when they do not (yet) fit together: one is missing or not as
        its receipt says, or was made from another version of a member than the current one. What
        is published already is not published again. Raises `StorageError` when the disk refuses,
        or when something that is not ours stands at one of the contract's paths.
        """
        self.require_inside(wanted.name)
        for artifact in wanted.artifacts:
            self.versions.require_inside(artifact)
        with (
            storage_errors(f"Publishing {wanted.name}", self.home(wanted.name)),
            locks.exclusive(self.lock) as lock,
        ):
            members = self._coherent_members(wanted)
            if members is None:
                return None
            if not self.mismatches(wanted):
                publication = self.current(wanted.name)
                if publication is not None and self._is_tidy(publication):
                    return publication
            self._check_mounts(wanted.name, wanted.mounts)
            home = self.home(wanted.name)
            disk.make_folders(home)
            for leftover in leftovers(home):
                disk.remove_tree(leftover)
            before = current_version(home)
            publication = replace(
                Publication.of(wanted, members),
                sequence=1 + max((made.sequence for made in self.history(wanted.name)), default=0),
            )
            if before != publication.version:
                publication = replace(publication, replaced=before)
            elif here := self._record(publication):
                publication = replace(publication, replaced=here.replaced)
            self._build_farm(publication)
            lock.require()
            self._expose(publication)
            return publication

    def rollback(self, name: str, version: str | None = None) -> Publication:
        """Publishes an older version of a set again; by default the one that the current one
        replaced. Copies nothing.

        The artifacts' own `current` moves with it. Raises `StorageError` when there is no such
        version, when its files are not all there, or when one of its artifacts is being made.
        """
        self.require_inside(name)
        home = self.home(name)
        with storage_errors(f"Rolling back {name}", home), locks.exclusive(self.lock) as lock:
            publication = self._rollback_target(name, version)
            self._return_to(publication, lock)
            return publication

    def adopt(self, publication: Publication) -> Publication:
        """Publishes what was published elsewhere, of versions of artifacts that are here.

        Raises `StorageError` as `rollback` does: when a file of one is not as its receipt says,
        when something that is not ours stands at one of the contract's paths.
        """
        name = publication.name
        self.require_inside(name)
        home = self.home(name)
        with storage_errors(f"Publishing {name}", home), locks.exclusive(self.lock) as lock:
            self._require_members(publication)
            disk.make_folders(home)
            before = current_version(home)
            known = self._record(publication)
            if known is None:
                made = [one.sequence for one in self.history(name)]
                known = replace(
                    publication,
                    sequence=1 + max(made) if made else publication.sequence,
                    replaced=before,
                )
            self._return_to(known, lock)
            return known

    def _return_to(self, publication: Publication, lock: locks.Held) -> None:
        """Publishes versions that are here, under the lock of publishing; makes them current."""
        self._check_mounts(publication.name, publication.mounts)
        for artifact in publication.members:
            self.versions.require_inside(artifact)
        with ExitStack() as held:
            claims = [lock]
            for artifact in sorted(publication.members):
                claim = held.enter_context(locks.exclusive_now(self.versions.lock(artifact)))
                if claim is None:
                    raise StorageError(
                        "An artifact of this set is being made at this moment",
                        found=locks.holder(self.versions.lock(artifact)),
                        where=artifact,
                        hint="wait for it, or end it, then roll back again.",
                    )
                claims.append(claim)
            for claim in claims:
                claim.require()
            # The swap comes last: killed before it, the same call does the same again.
            for artifact, member in sorted(publication.members.items()):
                self.versions.point_current(artifact, member.version)
            self._build_farm(publication)
            lock.require()
            self._expose(publication)

    def _rollback_target(self, name: str, version: str | None) -> Publication:
        made = {publication.version: publication for publication in self.history(name)}
        current = self.current(name)
        wanted = version or (current.replaced if current else None)
        if wanted is None and len(made) == 1:
            raise StorageError(
                f"There is only one version of {name}, the current one",
                where=self.home(name),
                hint="nothing needs to be done: there is nothing to go back to until another "
                "version was published.",
            )
        if wanted is None or wanted not in made:
            others = [version for version in made if current is None or version != current.version]
            raise StorageError(
                "There is no such version to go back to",
                expected=f"one of {', '.join(others)}" if others else "a version that is here",
                found=wanted or "nothing that the current version replaced",
                where=self.home(name),
                hint=f"`wmtp history {name}` lists what is here; name one of those.",
            )
        self._require_members(made[wanted])
        return made[wanted]

    def _require_members(self, target: Publication) -> None:
        """Raises `StorageError` unless the files of a publication are here, as they were."""
        for artifact, member in target.members.items():
            if broken := self.versions.mismatches(artifact, deep=False, version=member.version):
                raise StorageError(
                    "This version cannot be restored: one of its files has changed",
                    expected=broken[0].expected,
                    found=broken[0].found,
                    where=broken[0].file,
                    hint=f"`wmtp history {target.name}` lists the versions that are here; name "
                    "another.",
                )

    def _coherent_members(self, wanted: PublishedSet) -> dict[str, Receipt] | None:
        members: dict[str, Receipt] = {}
        for artifact in wanted.artifacts:
            try:
                receipt = self.versions.current(artifact)
            except StorageError:
                return None
            if receipt is None or self.versions.mismatches(
                artifact, deep=False, version=receipt.version
            ):
                return None
            members[artifact] = receipt
        for receipt in members.values():
            for name, digest in receipt.inputs.items():
                if name in members and members[name].digest != digest:
                    return None
        for path, (artifact, file) in wanted.links.items():
            files = members[artifact].files
            if file not in files and not any(name.startswith(f"{file}/") for name in files):
                raise StorageError(
                    "A published path names a file that its artifact does not hold",
                    expected=f"one of {', '.join(files)}, or a folder of them",
                    found=file,
                    where=f"{wanted.name}: {path}",
                )
        return members

    def _record(self, publication: Publication) -> Publication | None:
        try:
            return Publication.read(self.home(publication.name) / publication.version / RECORD)
        except StorageError:
            return None

    # Links.

    def _farm_links(self, publication: Publication) -> dict[str, str]:
        """Path in the farm -> what the link there says."""
        farm = self.home(publication.name) / publication.version
        links = {}
        for path, (artifact, file) in publication.links.items():
            version = self.versions.home(artifact) / publication.members[artifact].version
            links[path] = os.path.relpath(version / file, (farm / path).parent)
        return links

    def _build_farm(self, publication: Publication) -> None:
        """The farm of a publication, whole and on the device, under its name."""
        home = self.home(publication.name)
        farm = home / publication.version
        # An existing farm is repaired in place: each of its links has the same target as before.
        if os.path.lexists(farm) and not disk.is_folder(farm):
            aside.set_aside(self.root, farm)
        building = farm if os.path.lexists(farm) else disk.fresh(home, disk.STAGING)
        disk.make_folders(building)
        links = self._farm_links(publication)
        for extra in as_read.unexpected_in_farm(building, links):
            if extra.relative_to(building).as_posix() in links and extra.is_file():
                aside.keep_a_name(self.root, extra)  # and the link takes its place in one step
            else:
                aside.set_aside(self.root, extra)
        for path, target in links.items():
            link = building / path
            if os.path.lexists(link):
                if _readlink(link) != target:
                    disk.point(link, target, scratch=home)
            else:
                disk.make_folders(link.parent)
                disk.symlink(target, link)
        for folder, _, _ in os.walk(building, topdown=False):
            disk.sync(Path(folder))
        write_bytes(building / RECORD, publication.to_bytes(), scratch=home)
        if building != farm:
            disk.rename(building, farm)
            disk.sync(home)

    def _mount_target(self, name: str, path: str) -> str:
        """The target of the link at a contract path."""
        return os.path.relpath(self.home(name) / CURRENT / path, (self.root / path).parent)

    def _check_mounts(self, name: str, mounts: Sequence[str]) -> None:
        """Raises `StorageError` unless each mount is absent or already ours: before any is made."""
        for path in mounts:
            place = self.root / path
            bounds.require_inside(self.root, place)
            for above in place.parents[: len(PurePosixPath(path).parts) - 1]:
                if above.is_symlink() or (above.exists() and not above.is_dir()):
                    raise _not_ours(self.root, above, "a folder")
            if (
                os.path.lexists(place)
                and _readlink(place) != self._mount_target(name, path)
                and not self._leads_to_ours(name, path)
            ):
                raise _not_ours(
                    self.root, place, f"nothing, or the link to what is published of {name}"
                )

    def _leads_to_ours(self, name: str, path: str) -> bool:
        """Whether a link or a file at a mount is, on whatever way, what is published there."""
        place = self.root / path
        ours = self.home(name) / CURRENT / path
        if place.is_symlink() and _readlink(place) == self._mount_target(name, path):
            return True
        return as_read.same_file(place, ours) and (place.is_symlink() or place.is_file())

    def _expose(self, publication: Publication) -> None:
        """Makes the mounts, swaps, and takes away mounts that no longer lead anywhere."""
        name, home = publication.name, self.home(publication.name)
        for path in publication.mounts:
            place = self.root / path
            if _readlink(place) != self._mount_target(name, path):
                disk.make_folders(place.parent)
                disk.point(place, self._mount_target(name, path), scratch=home)
        if current_version(home) != publication.version:
            disk.point(home / CURRENT, publication.version, scratch=home)
        for place in self._stale_mounts(name, publication.mounts):
            disk.unlink(place)
            disk.sync(place.parent)

    def _stale_mounts(self, name: str, mounts: Sequence[str]) -> list[Path]:
        """Our links at contract paths that the set had once and has no more."""
        past = {path for made in self.history(name) for path in made.mounts}
        return [
            self.root / path
            for path in sorted(past - set(mounts))
            if _readlink(self.root / path) == self._mount_target(name, path)
        ]


def _readlink(path: Path) -> str:
    """The target of a link, or a description of what is there instead."""
    try:
        return str(path.readlink())
    except FileNotFoundError:
        return "nothing"
    except OSError:
        return "something that is not a link"


def _not_ours(root: Path, path: Path, expected: str) -> StorageError:
    return StorageError(
        "Something else stands where a published path belongs",
        expected=expected,
        found=as_read.described(path),
        where=path,
        hint=f"look at it, and move it away (`{aside.command(root, path)}`), "
        "then `wmtp materialize`.",
    )
