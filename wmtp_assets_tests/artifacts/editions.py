"""A small catalog (one model, one split) in two editions, and storages made of them.

The new edition fetches another commit of the rows and stores the model in another dtype, so that
every step has something to do again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.unneeded_files import orphans
from wmtp_assets.catalog import Catalog
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.storage.disk import LEFTOVERS
from wmtp_assets.storage.versions import version_folders

MODEL, ROWS = "meta-llama-mtp", "humaneval"
CHECKPOINT, SPLIT = f"models/{MODEL}", f"datasets/{ROWS}_test"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
PARQUET = "datasets/openai/openai_humaneval/openai_humaneval/test-00000-of-00001.parquet"


def small(catalog: Catalog, model_status: str = "required") -> Catalog:
    """The sample's catalog with one model and one dataset, of which nothing is executed: worlds
    that are made again and again need no verdicts."""
    model = catalog.models[MODEL].model_copy(update={"status": model_status})
    rows = catalog.datasets[ROWS].model_copy(update={"quality": None})
    return catalog.model_copy(update={"models": {MODEL: model}, "datasets": {ROWS: rows}})


def model_alone(catalog: Catalog) -> Catalog:
    """`small` without its rows."""
    return small(catalog).model_copy(update={"datasets": {}})


def newer(catalog: Catalog) -> Catalog:
    """The new edition of `small`."""
    datasets = dict(catalog.datasets)
    for name, rows in datasets.items():
        upstream = rows.upstream.model_copy(update={"revision": COMMIT})
        datasets[name] = rows.model_copy(update={"upstream": upstream})
    model = catalog.models[MODEL].model_copy(update={"dtype": "bfloat16"})
    return catalog.model_copy(update={"models": {MODEL: model}, "datasets": datasets})


def newer_hub(hub: Path, folder: Path) -> Path:
    """A copy of the sample whose HumanEval is the commit of the new edition, with another text."""
    shutil.copytree(hub, folder)
    path = folder / PARQUET
    table = pq.read_table(path)
    prompts = [f"{prompt}# a newer edition\n" for prompt in table["prompt"].to_pylist()]
    at = table.schema.get_field_index("prompt")
    pq.write_table(table.set_column(at, "prompt", pa.array(prompts, pa.string())), path)
    lock = json.loads((folder / "assets.lock").read_bytes())
    entry = lock["repos"]["datasets/openai/openai_humaneval"]
    entry["commit"] = COMMIT
    entry["files"][PARQUET.split("/", 3)[3]] |= {
        "size": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "assets.lock").write_text(json.dumps(lock), encoding="utf-8")
    return folder


def planted(made: Project, catalog: Catalog, root: Path, optional: Collection[str] = ()) -> Project:
    """A storage with what `made` has of `catalog`, published: what is required, and what belongs
    to one of the `optional` owners."""
    project = Project(catalog, root, made.hub_spec)
    required = [
        name
        for name, one in project.artifacts.items()
        if one.status == "required" or one.owner in optional
    ]
    for name in required:
        shutil.copytree(
            made.storage / "versions" / name,
            root / "versions" / name,
            symlinks=True,
            dirs_exist_ok=True,
        )
    for wanted in project.upstream_files():
        folder = root / "upstream" / wanted.repo.folder
        shutil.copytree(made.storage / "upstream" / wanted.repo.folder, folder)
    shutil.copy(made.storage / "assets.lock", root / "assets.lock")
    for wanted in project.sets.values():
        if set(wanted.artifacts) <= set(required):
            assert project.store.publish(wanted) is not None
    return project


@dataclass(frozen=True)
class Outcome:
    """What came of a run: whether every step succeeded, and the failures' words."""

    succeeded: bool
    failures: str


class Maker:
    """Makes artifacts of a project through its Dagster assets, without their checks."""

    def __init__(self, project: Project) -> None:
        self.project = project
        defs = build_defs(project.catalog, project.hub_spec, project.storage)
        self._job = defs.resolve_job_def("materialize_all")

    def make(self, names: Iterable[str]) -> Outcome:
        """Makes (or finds unchanged) these artifacts, and publishes what they complete."""
        job = self._job.get_subset(
            asset_selection={key_of(name) for name in names}, asset_check_selection=set()
        )
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(instance=instance, raise_on_error=False)
        failures = [
            event.step_failure_data.error_display_string
            for event in (result.get_step_failure_events() if not result.success else ())
        ]
        return Outcome(result.success, "\n".join(failures))


def seen(project: Project) -> dict[str, bytes]:
    """What readers of the contract's paths find: path -> bytes. Links to nothing are nothing."""
    found = {}
    for wanted in project.sets.values():
        for path in wanted.links:
            if (project.storage / path).is_file():
                found[path] = (project.storage / path).read_bytes()
    return found


def halves(project: Project) -> list[str]:
    """What bears a version's name and is not whole."""
    found = []
    for name in project.artifacts:
        for version in version_folders(project.store.versions.home(name)):
            wrong = project.store.versions.mismatches(name, deep=True, version=version.name)
            found += [f"{one.file}: {one.found}" for one in wrong]
    return found


def leftovers(project: Project) -> Sequence[Path]:
    """Everything that only something unfinished leaves, after `gc`."""
    project.store.gc(keep=9, also=orphans(project))
    named = [p for p in project.storage.rglob("*") if p.name.startswith(LEFTOVERS)]
    return [*named, *orphans(project)]
