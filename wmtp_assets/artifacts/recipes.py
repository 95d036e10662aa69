"""Whether an artifact must be made (again): its recipe, compared with the receipt of what exists.

A recipe is all that an artifact's bytes depend on: the digests of its inputs, its settings in the
catalog, and the version of the code that makes it (`code_version` in `kinds.py`). An artifact is
stale if its receipt states another recipe, or its files are missing; whatever is made from a
stale artifact is stale as well (`staleness.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata

from wmtp_assets.artifacts.kinds import KINDS, code_version_of, kind_of
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, identity
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import Hub
from wmtp_assets.storage.digests import digest_of
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.store import Store
from wmtp_assets.storage.versions import Staging


def code_versions() -> dict[str, str]:
    """The version of this package, by kind the version of what makes artifacts of that kind, and
    of the dataset formats that have one."""
    kinds = {str(kind): row.code_version for kind, row in KINDS.items()}
    formats = {f"layout {name}": one.version for name, one in FORMATS.items() if one.version}
    return {"wmtp-assets": metadata.version("wmtp-assets"), **kinds, **formats}


@dataclass(frozen=True)
class Recipe:
    """`inputs` maps names to digests (of artifacts) or identities (of upstream repositories).

    `fit` says whether what the recipe gave once will do: see `ArtifactKind.fit`.
    """

    inputs: Mapping[str, str]
    code_version: str
    entry_digest: str
    fit: Callable[[Receipt], bool] = field(default=lambda _: True, compare=False)

    @property
    def digest(self) -> str:
        """By which to tell it from every other recipe of the same artifact."""
        return digest_of([dict(self.inputs), self.code_version, self.entry_digest])

    @classmethod
    def of(cls, artifact: Artifact, inputs: Mapping[str, str]) -> Recipe:
        """The recipe of `artifact` when made from `inputs`."""
        fit = kind_of(artifact).fit
        return cls(dict(inputs), code_version_of(artifact), artifact.settings_digest, fit)

    def made(self, store: Store, name: str) -> Receipt | None:
        """The receipt of the artifact if it was made by this recipe and its files are there."""
        receipt = store.reusable(
            name,
            inputs=self.inputs,
            code_version=self.code_version,
            entry_digest=self.entry_digest,
        )
        return receipt if receipt is not None and self.fit(receipt) else None

    def made_before(self, staging: Staging) -> Receipt | None:
        """The receipt of a version that was made by this recipe, and is now the current one."""
        return staging.reuse(
            inputs=self.inputs,
            code_version=self.code_version,
            entry_digest=self.entry_digest,
            fit=self.fit,
        )


def inputs_of(project: Project, hub: Hub, artifact: Artifact) -> dict[str, str]:
    """What an artifact would be made from now, for its recipe: of its inputs those that exist.

    Raises HubError where upstream must be asked and refuses, StorageError for a damaged record.
    """
    if artifact.is_fetched:
        return upstream_inputs(hub, artifact, project.lock)
    return stored_inputs(project, artifact)


def stored_inputs(project: Project, artifact: Artifact) -> dict[str, str]:
    """Of an artifact that is not fetched, the inputs that exist, as of `inputs_of`."""
    receipts = {name: project.store.current(name) for name in artifact.inputs}
    return {name: made.digest for name, made in receipts.items() if made is not None}


def upstream_inputs(hub: Hub, artifact: Artifact, lock: Lock) -> dict[str, str]:
    """The input of a raw artifact: its repository, and what stands for the files now."""
    wanted = UpstreamFiles.of(artifact)
    return {f"hub/{wanted.repo}": identity(hub, wanted, lock)}
