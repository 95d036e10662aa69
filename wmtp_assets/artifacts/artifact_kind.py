"""What is the same for all artifacts of a kind; `kinds.py` has one row of it for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wmtp_assets.artifacts.make.task import Divided, Maker
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.types import Handle
from wmtp_assets.catalog import Catalog
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.storage.receipts import Receipt


def _every_input(artifact: Artifact) -> tuple[str, ...]:
    return artifact.inputs


def _no_file(_: Artifact) -> tuple[str, ...]:
    return ()


def _always(_: Receipt) -> bool:
    return True


@dataclass(frozen=True)
class ArtifactKind:
    """What is the same for all artifacts of a kind.

    make: fills the artifact's folder from its inputs.
    loaded_as: the handle that readers of the artifact get.
    facts: what the receipt must state, computed from the files.
    checks: its `KindChecks`, as "module:name", because checks compare artifacts with their recipes,
        which need the table of kinds.
    describe: what the artifact is, for its page.
    red: what it means that a check failed, for its page.
    icon: one of Dagster's icons.
    page: the function that gives the facts and pictures of its page, as "module:name", because
        `pages/` is built upon this package.
    code_version: gets a new number when `make` gives other bytes for the same inputs, so that what
        the old code made is made again.
    of_format: whether the version of the dataset's format counts as well (`code_version_of`).
    loads: the inputs that `make` is given; the others count for staleness only.
    beside: the files in the folder that no published path leads to, a folder as `name/`.
    fit: whether a receipt with the artifact's recipe will do on this machine; if not, it is stale.
    counted: what the table of a run counts.
    long_checks: whether its checks may read gigabytes; they run after those of other kinds.
    row_schema: the JSON Schema whose fields Dagster lists as columns, above all pictures.
    divided: how an engine works on it in parts; None if one process makes it.
    """

    make: Maker
    loaded_as: type[Handle]
    facts: Callable[[Project, Artifact, Handle], Mapping[str, object]]
    checks: str
    describe: Callable[[Catalog, Artifact], str]
    red: str
    icon: str
    page: str = "wmtp_assets.pages.asset.documents:of_stated"
    code_version: str = "1"
    of_format: bool = False
    loads: Callable[[Artifact], tuple[str, ...]] = _every_input
    beside: Callable[[Artifact], tuple[str, ...]] = _no_file
    fit: Callable[[Receipt], bool] = _always
    counted: Literal["parameters", "rows"] | None = None
    long_checks: bool = False
    row_schema: Callable[[Catalog, Artifact], Mapping[str, Any]] | None = None
    divided: Divided | None = None
