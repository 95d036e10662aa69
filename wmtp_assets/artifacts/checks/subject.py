"""What a check of an artifact looks at: the artifact in its storage, each part read when needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.types import demand
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Check, Finding, Outcome, S, lazy
from wmtp_assets.storage.receipts import Receipt


class Subject:
    """One artifact of one project. All its checks share one subject, so that what several of them
    need is read once; a check alone reads only what it needs itself.

    `seed` draws what is only sampled (None: a fresh one). `deep` False: no contents beyond headers
    and records are read. `shared` holds what was read for other artifacts of the same verification.
    """

    def __init__(
        self,
        project: Project,
        artifact: Artifact,
        seed: int | None = None,
        deep: bool = True,
        shared: Shared | None = None,
    ) -> None:
        self.project = project
        self.artifact = artifact
        self.seed = seed
        self.deep = deep
        self.shared = Shared() if shared is None else shared

    @lazy
    def receipt(self) -> Receipt:
        """Its receipt. Raises StorageError where it was never made or is damaged."""
        return demand(self.project.store, self.artifact.name)

    @lazy
    def folder(self) -> Path:
        """Where its current version lies. Raises StorageError."""
        return self.project.store.path(self.artifact.name)

    def place(self, name: str) -> tuple[Path, Receipt]:
        """The folder and the receipt of another artifact that exists; StorageError otherwise."""
        return place(self.project, name)

    @property
    def again(self) -> str:
        """The command that makes the artifact again."""
        return f"wmtp materialize {self.artifact.name} --force"

    def digests(self) -> dict[str, str]:
        """SHA-256, by path, of files that other checks of this subject have read whole already."""
        return {}

    def measured(self) -> Mapping[str, object]:
        """What the receipt states of it that only reading all of its files can tell."""
        return {}


KindComparison = Callable[[Project, Artifact], Iterable[Finding]]


def _nothing(_: Project, __: Artifact) -> Iterable[str]:
    return ()


@dataclass(frozen=True)
class KindChecks:
    """The checks of a kind of artifact, beside those of every artifact.

    `listed` gives those of one artifact, each a check of `subject`; `against_source` makes an
    artifact again from its source, in memory, and compares. `beside` names the artifacts that the
    checks read in addition to those that it is made from, whether they are there or not.
    """

    subject: type[Subject]
    listed: Callable[[Project, Artifact], Iterable[Check[Any]]]
    against_source: KindComparison
    beside: Callable[[Project, Artifact], Iterable[str]] = _nothing


def by(one: Check[Any], subject: type[Subject] = Subject) -> KindComparison:
    """Comparing with the source by a check that derives or reads all of an artifact anyway."""
    return lambda project, artifact: [one.of(subject(project, artifact))]


# One model in memory at a time, and torch and transformers have settings of the whole process.
_LOADING = threading.Lock()


def one_at_a_time(one: Check[S]) -> Check[S]:
    """The check, for which others that load a model or tokenizer wait, and it for them."""

    def compute(subject: S) -> Outcome | Finding:
        with _LOADING:
            return one.compute(subject)

    return replace(one, compute=compute)
