"""Whether the contract's paths lead to the artifacts that are verified."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import Catalog
from wmtp_assets.catalog.quality_artifacts import QUALITY
from wmtp_assets.findings import Finding
from wmtp_assets.generations import CONTRACTS, dataset_folder, model_folder
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Mismatch


def published(project: Project) -> list[Finding]:
    """Whether the contract's paths lead to the artifacts' current versions, for every set, and
    nothing else stands among them. Looks at names and inodes only.

    Something wrong that several sets share (a link in place of `models_v2/`) is one finding.
    """
    findings: list[Finding] = []
    named: set[str] = set()
    for name, wanted in project.sets.items():
        optional = _is_optional(project, name)
        wrong = project.store.unpublished(wanted)
        with suppress(StorageError):  # a damaged record is among what is wrong
            if optional and project.store.publication(name) is None:
                continue
        for mismatch in wrong:
            if str(mismatch.file) in named:
                continue
            if not optional:
                named.add(str(mismatch.file))
            findings.append(_not_published(mismatch, name, blocking=not optional))
        if not wrong:
            findings.append(
                Finding(
                    "published",
                    passed=True,
                    expected="links to the current versions",
                    found="as expected",
                    where=name,
                    blocking=not optional,
                    details={"set": name},
                )
            )
    others = project.store.unexpected(project.sets.values())
    for mismatch, blocking in (
        *((mismatch, not _about_quality(project, mismatch.file)) for mismatch in others.inside),
        *((mismatch, False) for mismatch in others.beside),
        *((mismatch, False) for mismatch in project.store.left_over(_unserved(project.catalog))),
    ):
        folder = str(mismatch.file.parent.relative_to(project.store.root))
        findings.append(_not_published(mismatch, folder, blocking=blocking))
    return findings


def _is_optional(project: Project, name: str) -> bool:
    """Whether nobody needs a set: an optional model's, or what is said of rows."""
    artifact = project.artifacts.get(name)
    if artifact is None or artifact.status != "optional":
        return False
    return name.startswith("models/") or artifact.is_about_quality


def _about_quality(project: Project, path: Path) -> bool:
    """Whether a path is among those of what is said of rows, or their folder: a catalog that asks
    for less of it than an earlier one leaves them, and the gate waits for none."""
    return any(
        path.is_relative_to(project.storage / dataset_folder(contract, name) / QUALITY)
        for contract in project.catalog.contract
        for name in project.catalog.datasets
    )


def _unserved(catalog: Catalog) -> list[str]:
    """The folders of the catalog's models and datasets in generations that it does not serve:
    readers would take what was published there once for what is verified now."""
    others = [contract for contract in CONTRACTS if contract not in catalog.contract]
    return [
        folder(contract, name)
        for contract in others
        for folder, names in (
            (model_folder, catalog.models),
            (dataset_folder, catalog.datasets),
        )
        for name in names
    ]


def _not_published(mismatch: Mismatch, name: str, *, blocking: bool) -> Finding:
    return Finding(
        "published",
        passed=False,
        expected=mismatch.expected,
        found=mismatch.found,
        where=str(mismatch.file),
        hint=mismatch.hint or f"wmtp materialize {name}",
        blocking=blocking,
        details={"set": name},
    )
