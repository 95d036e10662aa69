"""Every field that the catalog's schema does not demand is left out once, in a whole run: the gate
opens, or the catalog is refused by its own words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published, run_checks
from wmtp_assets.artifacts.gate import judge
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.catalog import Catalog, CatalogError, load_catalog
from wmtp_assets.catalog.artifacts import TOKENIZER, TOKENIZER_RAW
from wmtp_assets.findings import Finding
from wmtp_assets_tests.artifacts.workbench import Workbench

Path_ = tuple[str | int, ...]
MODELS = ("meta-llama-mtp", "ref-sheared-llama-2.7b", "micro-ref")
# Left out, these make a catalog that cannot be: its own message says which field is missing.
DEMANDED = {
    ("models", "meta-llama-mtp", "files", "tokenizer"): "tokenizer.from_model",
    ("datasets", "codecontests", "splits", "valid", "correct"): "must be given together",
    ("datasets", "codecontests", "splits", "valid", "incorrect"): "must be given together",
    ("datasets", "codecontests", "splits", "valid", "current", "correct"): "must be given together",
    (
        "datasets",
        "codecontests",
        "splits",
        "valid",
        "current",
        "incorrect",
    ): "must be given together",
    ("datasets", "codecontests", "splits", "valid", "files", 0, "count"): "",
}


def everything(known: dict[str, Any]) -> dict[str, Any]:
    """A catalog in which every optional field says something else than its default.

    `known` is what the sample's assets.lock says of the files.
    """
    catalog = load_catalog("sample")
    kept = catalog.datasets["codecontests"]
    value = catalog.model_copy(
        update={
            "commits_only": True,
            "models": {name: catalog.models[name] for name in MODELS},
            "datasets": {
                "codecontests": kept.model_copy(
                    update={"splits": {"valid": kept.splits["valid"]}, "quality": None}
                ),
                "humaneval": catalog.datasets["humaneval"],
            },
        }
    ).model_dump(mode="json")
    for name, entry in value["models"].items():
        entry |= {"status": "required", "target_device": "cpu"}
        if "slice_of" in entry:
            entry["max_bytes"] = 1_000_000
            continue
        entry["upstream"]["gated"] = True
        waived = "output.weight" if name == "meta-llama-mtp" else "lm_head.weight"
        entry["waive_overflow"] = [waived]
        files = known[f"models/{entry['upstream']['repository']}"]["files"]
        for file in [*entry["files"]["weights"], entry["files"]["config"]]:
            file |= {key: files[file["path"]][key] for key in ("size", "sha256")}
        for part in ("index", "tokenizer"):
            if file := entry["files"][part]:
                file |= {key: files[file["path"]][key] for key in ("size", "sha256")}
    code, human = value["datasets"]["codecontests"], value["datasets"]["humaneval"]
    code["small"] = {"rows": {"valid": 32}, "seed": 7}
    code["quality"] = {
        "execute": {"rows": {"valid": 8}, "seed": 7, "on_request": True},
        "duplicates": ["valid"],
    }
    human |= {"max_tokens": 4096, "status": "optional"}
    human["upstream"]["gated"] = True
    files = known[f"datasets/{human['upstream']['repository']}"]["files"]
    for file in human["splits"]["test"]["files"]:
        file |= {key: files[file["path"]][key] for key in ("size", "sha256")}
    return value


def optional_fields(value: BaseModel, at: Path_ = ()) -> Iterator[Path_]:
    """The paths of all fields below `value` that need not be given."""
    for name, field in type(value).model_fields.items():
        here = (*at, name)
        if not field.is_required():
            yield here
        yield from _below(getattr(value, name), here)


def _below(value: object, at: Path_) -> Iterator[Path_]:
    if isinstance(value, BaseModel):
        yield from optional_fields(value, at)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _below(inner, (*at, key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _below(inner, (*at, place))


def without(value: dict[str, Any], *paths: Path_) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(value))
    for path in paths:
        inner: Any = copy
        for part in path[:-1]:
            inner = inner[part]
        inner.pop(path[-1], None)  # `quality.leaks` is not given: it is for training splits
    return copy


def read(value: dict[str, Any], path: Path) -> Catalog | str:
    """The catalog, from a file as a user's is, or why it is refused."""
    path.write_text(json.dumps(value), encoding="utf-8")  # JSON is YAML
    try:
        return load_catalog(path)
    except CatalogError as error:
        return str(error)


@pytest.fixture(scope="module")
def known(sample: Path) -> dict[str, Any]:
    repos: dict[str, Any] = json.loads((sample / "hub" / "assets.lock").read_bytes())["repos"]
    return repos


@pytest.fixture(scope="module")
def world(
    project: Project, known: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, dict[str, list[Finding]]]:
    """All of the full catalog, made, with every finding."""
    catalog = Catalog.model_validate(everything(known))
    root = tmp_path_factory.mktemp("optional") / "storage"
    made = Project(catalog, root, project.hub_spec)
    Workbench(made).make(made.artifacts)
    return made, {name: run_checks(made, one) for name, one in made.artifacts.items()}


def is_open(project: Project, findings: dict[str, list[Finding]]) -> list[str]:
    """The reasons against it; none when the gate is open."""
    required = {n: findings[n] for n, a in project.artifacts.items() if a.status == "required"}
    verdict = judge(project, required, published(project))
    return [str(reason) for c in verdict.conditions if c.required for reason in c.reasons]


def test_the_gate_is_open_with_every_optional_field_given(
    world: tuple[Project, dict[str, list[Finding]]],
) -> None:
    assert is_open(*world) == []


def test_the_gate_opens_without_each_optional_field(
    world: tuple[Project, dict[str, list[Finding]]], known: dict[str, Any], tmp_path: Path
) -> None:
    base, findings = world
    value = everything(known)
    tried: dict[Path_, list[Path_]] = {}
    for path in sorted(set(optional_fields(base.catalog)), key=str):
        catalog = read(without(value, path), tmp_path / "catalog.yaml")
        if isinstance(catalog, str):
            assert DEMANDED[path] in catalog
        elif catalog != base.catalog:  # else it said what is so without it
            tried.setdefault(path[:2], []).append(path)
    assert sum(map(len, tried.values())) >= 30, tried
    for left_out in one_of_each(tried):
        catalog = read(without(value, *left_out), tmp_path / "catalog.yaml")
        assert isinstance(catalog, Catalog), catalog
        if not catalog.is_sample:  # elsewhere, the sample's revision is no commit
            catalog = catalog.model_copy(update={"commits_only": False})
        ours = Project(catalog, base.storage, base.hub_spec)
        unpublished = [finding for finding in published(ours) if not finding.passed]
        if unpublished or stale_artifacts(ours, ours.artifacts):
            root = tmp_path / "storage"
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(base.storage, root, symlinks=True)
            ours = Project(catalog, root, base.hub_spec)
            Workbench(ours).make(ours.artifacts)
        assert is_open(ours, proven_again(ours, base, findings, left_out)) == [], left_out


def one_of_each(tried: dict[Path_, list[Path_]]) -> Iterator[list[Path_]]:
    """Fields that are left out together: one of each model and of each dataset, as they have
    nothing to do with each other. What is the catalog's own is left out alone."""
    entries = []
    for owner, paths in tried.items():
        if len(owner) > 1:
            entries.append(paths)
        else:
            yield paths
    for together in zip_longest(*entries):
        yield [path for path in together if path is not None]


def proven_again(
    ours: Project, base: Project, findings: dict[str, list[Finding]], left_out: list[Path_]
) -> dict[str, list[Finding]]:
    """The findings: anew for what the fields are about and for what came out otherwise."""
    named = {part for path in left_out for part in path}
    found = {}
    for name, artifact in ours.artifacts.items():
        one, other = (each.store.current(name) for each in (ours, base))
        about = artifact.owner in named or (
            "meta-llama-mtp" in named and name in (TOKENIZER, TOKENIZER_RAW)
        )
        same = name in findings and one is not None and other is not None
        if about or not same or one != other:
            found[name] = run_checks(ours, artifact)
        else:
            found[name] = findings[name]
    return found
