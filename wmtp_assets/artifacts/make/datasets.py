"""Datasets: splits, their metadata files, the schema, and the small copies."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from typing import cast

from wmtp_assets.artifacts.facts import package_facts
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.plans import plan_of, plans_of
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.schemas import schema_documents
from wmtp_assets.artifacts.types import Fetched, Split, Tokenizer
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.package_file import task_ids
from wmtp_assets.corpora.problem_metadata import write_problem_metadata
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.shard_parts import ShardsToFormat, in_units
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets.engines.engine import chosen_engine
from wmtp_assets.engines.opening import open_engine
from wmtp_assets.engines.whole import results_of
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import atomic_write
from wmtp_assets.storage.preflight import require_space


def build_rows(task: Task) -> Made:
    """A split's JSONL, row index and statistics. Raises CorpusError; EngineError where the engine
    that was chosen cannot do it."""
    artifact = task.artifact
    dataset, split = task.project.catalog.datasets[artifact.owner], str(artifact.split)
    dataset_format = format_of(task.project.catalog, artifact)
    raw = task.input(artifact.inputs[0], Fetched)
    tokenizer = task.input(artifact.inputs[1], Tokenizer)
    shards = list(raw.paths().values())
    graded_by = [task.input(name, Fetched) for name in artifact.inputs[2:]]
    if graded_by:
        paths = [path for files in graded_by for path in files.paths().values()]
        dataset_format = dataset_format.with_difficulties(paths)
    size = dataset_format.growth * sum(shard.stat().st_size for shard in shards)
    purpose = f"Building {artifact.owner} {split}"
    require_space(task.folder, size, purpose)
    build = partial(
        build_split,
        dataset_format,
        shards,
        tokenizer.model,
        task.folder,
        split,
        max_tokens=dataset.max_tokens,
        log=task.log.info,
    )
    if not can_be_divided(task.project, artifact):
        report = build()
        return Made(_facts(report), report.files)
    whole = shards_to_format(task)
    plan = plan_of(task, whole)
    if not plan.parts and (chosen_engine() == "local" or len(shards) == 1):
        report = build()
        return Made(_facts(report), report.files)
    require_space(task.folder, 2 * size, purpose)  # the parts' lines, too
    with open_engine(chosen_engine(), task.log.info) as engine:
        results = results_of(whole, plan, engine)
        report = build(blocks=in_units(whole.folder, results))
    if not plan.parts:  # what is not Slurm's, nobody asks for again
        disk.remove_tree(whole.folder)
    return Made(_facts(report), report.files)


def can_be_divided(project: Project, artifact: Artifact) -> bool:
    """Whether the rows of a split can be made shard by shard: not where another dataset gives
    difficulties."""
    return format_of(project.catalog, artifact).divides and len(artifact.inputs) == 2


def shards_to_format(task: Task) -> ShardsToFormat:
    """The shards of a split that can be divided."""
    artifact = task.artifact
    raw = task.input(artifact.inputs[0], Fetched)
    return ShardsToFormat(
        root=plans_of(task),
        layout=str(artifact.settings["layout"]),
        contract=artifact.contract,
        shards=list(raw.paths().values()),
        fetched=raw.digests(),
        tokenizer=task.input(artifact.inputs[1], Tokenizer).model,
        max_tokens=task.project.catalog.datasets[artifact.owner].max_tokens,
    )


def choose_rows(task: Task) -> Made:
    """The JSONL and row index of a small copy; the same seed chooses the same rows."""
    settings = task.artifact.settings
    whole = task.input(task.artifact.inputs[0], Split)
    wanted, seed = int(str(settings["rows"])), int(str(settings["seed"]))
    report = select_small(whole.jsonl, whole.index, task.folder, wanted, seed)
    return Made(_facts(report), report.files)


def _facts(report: SplitReport) -> Mapping[str, object]:
    """The counts that the page shows; evaluation datasets have no classes."""
    counts: dict[str, object] = {"rows": report.rows}
    if report.correct is not None:
        counts |= {"correct": report.correct, "incorrect": report.incorrect}
    return counts | {"stats": dict(report.stats)}


def describe_rows(task: Task) -> Made:
    """The metadata file of a split: entry i holds class and difficulty of line i."""
    (file,) = task.artifact.links.values()
    rows = task.input(task.artifact.inputs[0], Split)
    written = write_metadata(rows.index, task.folder / file)
    stats = cast("dict[str, object]", written["stats"])
    return Made({"rows": stats["total"], **stats}, {file: str(written["sha256"])})


def describe_problems(task: Task) -> Made:
    """The current contract's metadata file of a split: entries, and the lines of each problem."""
    (file,) = task.artifact.links.values()
    rows = task.input(task.artifact.inputs[0], Split)
    written = write_problem_metadata(rows.index, rows.jsonl, task.folder / file)
    stats = cast("dict[str, object]", written["stats"])
    return Made({"rows": stats["total"], **stats}, {file: str(written["sha256"])})


def copy_package_file(task: Task) -> Made:
    """The file that an evaluation package reads, as it was fetched. Raises CorpusError where the
    package could not read it."""
    raw = task.input(task.artifact.inputs[0], Fetched)
    (fetched,) = raw.paths().values()
    require_space(task.folder, fetched.stat().st_size, f"Copying {fetched.name}")
    copy = task.folder / str(task.artifact.settings["file"])
    with fetched.open("rb") as there, atomic_write(copy) as file:
        shutil.copyfileobj(there, file, 1 << 20)
    package = format_of(task.project.catalog, task.artifact).package
    if package is not None:
        task_ids(copy, package)
    return Made(package_facts(package))


def write_schema(task: Task) -> Made:
    """schema.json of a dataset, and the cards that declare its files."""
    return Made(schema_documents(task.project.store, task.artifact).write(task.folder))
