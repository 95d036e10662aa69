"""What a run has to make and to publish: whatever would come out differently than it did, does not
exist, or is not at the contract's paths."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.recipes import Recipe, inputs_of
from wmtp_assets.artifacts.released_weights import must_return
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.storage import PublishedSet
from wmtp_assets.storage.digests import sha256_files
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import UNREADABLE, record_bytes
from wmtp_assets.storage.store import Store


def stale_artifacts(
    project: Project, among: Collection[str], damaged: Collection[str] = ()
) -> set[str]:
    """Those of `among` that do not exist, would be made from other inputs than they were, or are
    `damaged`.

    Whatever is made from a stale artifact is stale too; once made, it may turn out unchanged.
    """
    hub = project.hub()
    stale: set[str] = set()
    for artifact in project.artifacts.values():
        if artifact.name not in among:
            continue
        if artifact.name in damaged or stale.intersection(artifact.inputs):
            stale.add(artifact.name)
            continue
        recipe = Recipe.of(artifact, inputs_of(project, hub, artifact))
        made = recipe.made(project.store, artifact.name)
        if made is None or (artifact.is_fetched and incomplete(project, artifact.name)):
            stale.add(artifact.name)
    return stale


def with_ancestors(project: Project, names: Iterable[str]) -> set[str]:
    """The artifacts among `names`, and all that they are made from."""
    wanted: set[str] = set()
    waiting = [name for name in names if name in project.artifacts]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += project.artifacts[name].inputs
    return wanted


def existing_followers(project: Project, names: Collection[str]) -> set[str]:
    """What was made from the artifacts `names`, directly or not, and has all of its inputs."""
    found: set[str] = set()
    for artifact in project.artifacts.values():
        if {*names, *found}.isdisjoint(artifact.inputs):
            continue
        try:
            made = [project.store.current(one) for one in (artifact.name, *artifact.inputs)]
        except StorageError:
            continue
        if None not in made:
            found.add(artifact.name)
    return found - set(names)


def sets_of(project: Project, names: Collection[str]) -> dict[str, PublishedSet]:
    """The sets that have a member among `names`."""
    return {
        name: published
        for name, published in project.sets.items()
        if not set(names).isdisjoint(published.artifacts)
    }


def own_sets_of(project: Project, names: Iterable[str]) -> dict[str, PublishedSet]:
    """As `sets_of`, but the shared tokenizer does not stand for all the models it goes with."""
    known = [project.artifacts[name] for name in names if name in project.artifacts]
    return sets_of(project, {one.name for one in known if not one.is_shared})


def unfit_members(store: Store, published: PublishedSet) -> list[str]:
    """Why a set cannot be published now, one line per member: it does not exist, is not as its
    receipt says, or was made from another version of a member than the current one."""
    lines, receipts = [], {}
    for name in published.artifacts:
        try:
            receipt = store.current(name)
        except StorageError as error:
            lines.append(f"{name}: {error.problem}")
            continue
        if receipt is None:
            lines.append(f"{name} does not exist yet")
        elif store.mismatches(name, deep=False):
            lines.append(f"{name} is not as its receipt says")
        else:
            receipts[name] = receipt
    lines += [
        f"{name} was made from another version of {member}"
        for name, receipt in receipts.items()
        for member, digest in receipt.inputs.items()
        if member in receipts and receipts[member].digest != digest
    ]
    return lines


def incomplete(project: Project, name: str) -> bool:
    """Whether files of a raw artifact that exists must be fetched, or recorded in assets.lock."""
    return must_return(project, name) or _unrecorded(project, name)


def _unrecorded(project: Project, name: str) -> bool:
    """Whether assets.lock lacks the commit or a file of a raw artifact that exists."""
    try:
        there_is = fetched(project.store, name)
        if there_is.lost():  # released: recording them would mean fetching them
            return False
        paths = there_is.files().keys()
    except (StorageError, *UNREADABLE):
        return True
    record = project.lock.repo(UpstreamFiles.of(project.artifacts[name]).repo)
    return record is None or record.commit != there_is.revision or not paths <= record.files.keys()


def damaged_artifacts(project: Project, suspects: Iterable[str]) -> set[str]:
    """Those of `suspects` that exist with other bytes than their receipts say; reads every byte.

    Of a raw artifact the fetched files count, too.
    """
    found = set()
    for name in suspects:
        try:
            wrong = bool(project.store.mismatches(name, deep=True))
            if not wrong and project.artifacts[name].is_fetched:
                wrong = _wrong_files(project, name)
        except (StorageError, *UNREADABLE):
            wrong = True
        if wrong:
            found.add(name)
    return found


def _wrong_files(project: Project, name: str) -> bool:
    if project.store.current(name) is None:
        return False
    there_is = fetched(project.store, name)
    paths, lost = there_is.paths(), there_is.lost()
    wanted = {paths[p]: r["sha256"] for p, r in there_is.files().items() if p not in lost}
    return sha256_files(wanted) != wanted


def suspects_of_last_report(project: Project) -> set[str]:
    """The artifacts that failed a blocking check when the gate's report was written."""
    try:
        report = json.loads(record_bytes(project.report))
        names = {
            str(reason["artifact"])
            for condition in report["conditions"]
            if condition["required"]
            for reason in condition["reasons"]
        }
    except UNREADABLE:
        return set()
    return names & project.artifacts.keys()
