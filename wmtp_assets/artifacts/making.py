"""Making one artifact, unless the storage already has it by the same recipe.

If the inputs, the catalog's settings and the code version are those of the recorded receipt, its
files exist and no check has failed, that receipt is the result. Otherwise the kind's
function fills a staging folder, which is then committed in one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wmtp_assets.artifacts.checks import quick, run_checks
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.make.task import Log, Task
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.recipes import Recipe, upstream_inputs
from wmtp_assets.artifacts.staleness import incomplete
from wmtp_assets.artifacts.types import Handle, demand
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, require_pins
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Finding
from wmtp_assets.hub.source import Hub
from wmtp_assets.storage.receipts import Receipt


@dataclass(frozen=True)
class Outcome:
    """The receipt of an artifact, and whether it was there already."""

    receipt: Receipt
    unchanged: bool


def load_inputs(project: Project, artifact: Artifact) -> list[Handle]:
    """The inputs that the artifact's kind reads. Raises StorageError, CheckpointError."""
    kinds = ((name, kind_of(project.artifacts[name])) for name in kind_of(artifact).loads(artifact))
    return [kind.loaded_as.load(project.store, name) for name, kind in kinds]


def _nothing(_: Receipt) -> Sequence[str]:
    return ()


def make_artifact(
    project: Project,
    artifact: Artifact,
    inputs: Iterable[Handle],
    log: Log,
    *,
    force: bool = False,
    failed: Callable[[Receipt], Sequence[str]] = _nothing,
) -> Outcome:
    """Makes `artifact` of `inputs` (see `load_inputs`) unless nothing changed, or with `force`.

    What fails the quick checks is made again, and so is what failed its last checks: `failed` gives
    their names, for the receipt that would be the result. Its other inputs count as they are now.
    Raises WmtpError; TransientError where trying again later may help.
    """
    handles = {handle.name: handle for handle in inputs}
    recipe, hub = _recipe(project, artifact, handles)
    store = project.store
    with store.stage(artifact.name, on_wait=log.info) as staging:
        # Asked under the artifact's lock: another process may just have made it.
        receipt = None if force else recipe.made(store, artifact.name)
        if receipt is not None:
            doubts = [*failed(receipt), *_failed_now(project, artifact)]
            if doubts:
                log.info(f"made again, since it failed {', '.join(dict.fromkeys(doubts))}")
                receipt = None
        elif not force:
            receipt = recipe.made_before(staging)
            # Nobody knows what became of an older version: all of it is verified, now that it is
            # the current one.
            if receipt is not None and (doubts := _failed(run_checks(project, artifact))):
                log.info(f"an older version is not taken, since it fails {', '.join(doubts)}")
                receipt = None
        # What is fetched lies in files of its own, which may be gone although the listing is there.
        if receipt is not None and not (artifact.is_fetched and incomplete(project, artifact.name)):
            log.info("unchanged, nothing was made again")
            return Outcome(receipt, unchanged=True)
        started = time.monotonic()
        task = Task(project, artifact, handles, staging.path, log, hub, recipe.digest)
        made = kind_of(artifact).make(task)
        receipt = staging.commit(
            inputs=recipe.inputs,
            code_version=recipe.code_version,
            entry_digest=recipe.entry_digest,
            facts=made.facts,
            digests=made.digests,
            seconds=round(time.monotonic() - started, 3),
        )
    return Outcome(receipt, unchanged=False)


def _failed_now(project: Project, artifact: Artifact) -> list[str]:
    """The names of the quick checks that block, and that the stored version fails."""
    return _failed(quick(project, artifact))


def _failed(findings: Iterable[Finding]) -> list[str]:
    return [one.name for one in findings if one.blocking and not one.passed]


def _recipe(
    project: Project, artifact: Artifact, handles: dict[str, Handle]
) -> tuple[Recipe, Hub | None]:
    """The artifact's recipe with the inputs as they are now, and the source if it is fetched."""
    if artifact.is_fetched:
        require_pins(project.catalog, [UpstreamFiles.of(artifact)])
        hub = project.hub()
        return Recipe.of(artifact, upstream_inputs(hub, artifact, project.lock)), hub
    return recipe_of(project, artifact, handles), None


def recipe_of(project: Project, artifact: Artifact, handles: Mapping[str, Handle]) -> Recipe:
    """The recipe of an artifact that is not fetched, from the inputs that were loaded, and the
    others as they are now. Raises StorageError where one is not there."""
    read = {name: handle.digest for name, handle in handles.items()}
    others = [name for name in artifact.inputs if name not in read]
    read |= {name: demand(project.store, name).digest for name in others}
    return Recipe.of(artifact, read)
