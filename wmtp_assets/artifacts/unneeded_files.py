"""Files that may go: fetched ones that nothing names any more, weights verified as converted, and
parts of what is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.conversion import weights_of
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.plans import planning, working
from wmtp_assets.artifacts.recipes import Recipe, stored_inputs
from wmtp_assets.artifacts.released_weights import release, released
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.catalog.artifacts import Artifact, model_artifact
from wmtp_assets.hub.fetch import PARTIAL, QUARANTINE, stem_of
from wmtp_assets.hub.partial import BYTES, JOURNAL
from wmtp_assets.storage import claims, locks, walks
from wmtp_assets.storage.garbage import Guarded
from wmtp_assets.storage.preflight import PARTS


def orphans(project: Project) -> Iterator[Path]:
    """Partial and quarantined files that no fetch of this catalog will take up or look at again.

    They belong to a repository or a file that the catalog does not take, or are a journal whose
    bytes were published already. A partial that a process holds is none, and none takes one up
    until the next file is asked for: each is to be removed as it is given.
    """
    upstream = project.store.upstream
    of_folder = {one.repo.folder: one for one in project.upstream_files()}
    for kind in (PARTIAL, QUARANTINE):
        for path in walks.files_below(upstream / kind, denied=True):
            if not path.is_file():
                continue
            inside = path.relative_to(upstream / kind)
            one = of_folder.get(inside.parent.as_posix())
            name = inside.name.partition(claims.OWNER)[0]  # a claim goes with what it is of
            wanted = one is not None and _takes(one, name)
            if kind == QUARANTINE:
                if not wanted or _emptied(path):
                    yield path
            elif not wanted or _emptied(path):
                with locks.unheld(path.with_name(name).with_suffix(JOURNAL)) as free:
                    # Asked again: the bytes of a journal may have come before it was held here.
                    if free and not (wanted and not _emptied(path)):
                        yield path


def _takes(wanted: UpstreamFiles, name: str) -> bool:
    """Whether a partial or quarantined file of this name can be of a file that is wanted."""
    stem = name.removesuffix(BYTES).removesuffix(JOURNAL)
    for file in wanted.files:
        # What a pattern finds is known only to the source: the readable part has to do.
        pattern = PurePosixPath(file.path).name
        if stem == stem_of(file.path) or (
            "*" in file.path and fnmatchcase(stem.rpartition("-")[0], pattern)
        ):
            return True
    return False


def _emptied(path: Path) -> bool:
    """Whether this is a journal without bytes: they were published, and then the process died."""
    return path.suffix == JOURNAL and not path.with_suffix(BYTES).exists()


def joined_parts(project: Project) -> list[Guarded]:
    """What others left of work in parts, of artifacts that are made: nobody looks at it again who
    does not work on it now, joins it, or divides it."""
    store = project.store
    return [
        Guarded(
            f"{PARTS}/{name}",
            {
                store.versions.lock(name): f"{name} is being made",
                planning(store.root, name): "an array job is being written",
                working(store.root, name): "parts are being worked on",
            },
            partial(_joined, project, artifact),
        )
        for name, artifact in project.artifacts.items()
        if kind_of(artifact).divided is not None and (store.root / PARTS / name).is_dir()
    ]


def _joined(project: Project, artifact: Artifact) -> list[Path]:
    recipe = Recipe.of(artifact, stored_inputs(project, artifact))
    if recipe.made(project.store, artifact.name) is None:
        return []
    folder = project.store.root / PARTS / artifact.name
    return [path for path in walks.files_below(folder, denied=True) if path.is_file()]


def release_weights(project: Project, dry_run: bool) -> list[Guarded]:
    """The fetched weights of models that pass every check now, value by value; they may go while
    nobody fetches or converts them.

    Unless `dry_run`, that is written down (see `released`), and the gate stays open without them.
    """
    found = []
    store = project.store
    for name, model in project.catalog.upstream_models().items():
        artifact = project.artifacts[model_artifact(name)]
        raw = project.artifacts[artifact.inputs[0]]
        made = project.store.current(artifact.name)
        if made is None:
            continue
        asked = check_against_source(project, artifact)
        asked += [*run_checks(project, artifact), *run_checks(project, raw)]
        if all(finding.passed for finding in asked):
            there_is = fetched(project.store, raw.name)
            paths = weights_of(model, there_is)
            if not dry_run:
                release(project, raw.name, paths, made.digest)
            made_of = {
                store.versions.lock(name): f"{name} is being made"
                for name in (raw.name, artifact.name)
            }
            weights = partial(_releasable, project, raw.name, paths, dry_run)
            found.append(Guarded(raw.name, made_of, weights))
    return found


def _releasable(project: Project, raw: str, paths: Iterable[str], dry_run: bool) -> list[Path]:
    """Those of the fetched `paths` whose release was written down and counts now."""
    gone = released(project, raw)
    upstream = fetched(project.store, raw).upstream
    return [
        upstream / path for path in paths if dry_run or (gone is not None and path in gone.files)
    ]
