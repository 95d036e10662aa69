"""The same files, whoever made them: one process, Ray, an array job of Slurm, or a bucket.

Everything goes by commands, as users start it. What running a program took is measured, and
stands in the file of verdicts; so every way is given the same measurements (`executed/`), which a
storage keeps by contents.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.codecontests.generator import write_shards
from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.catalog.dataset_entries import Quality, Split
from wmtp_assets.catalog.upstream_entries import File
from wmtp_assets.storage.preflight import EXECUTED
from wmtp_assets_tests.artifacts.editions import small
from wmtp_assets_tests.orchestration import tiny

ROOT = Path(__file__).parents[1]
CONTESTS = "codecontests"
ROWS = f"datasets/{CONTESTS}_train"
SHARDS = 2
ON_RAY = pytest.param(
    "ray", marks=pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
)
pytestmark = pytest.mark.slow


def digests(project: Project) -> dict[str, str]:
    """Of every artifact that is current, what its receipt says: files by digest."""
    found = {name: project.store.current(name) for name in project.artifacts}
    return {name: receipt.digest for name, receipt in found.items() if receipt is not None}


def assert_same(world: tiny.Tiny, project: Project) -> None:
    """Of what both have made, the digests are the same; and both have made the train split."""
    here, there = digests(world.project), digests(project)
    both = here.keys() & there.keys()
    assert {ROWS, f"{ROWS}_leaks"} <= both
    assert {name: here[name] for name in both} == {name: there[name] for name in both}


def wmtp(world: tiny.Tiny, *arguments: str, **variables: str) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(
        ["wmtp", *arguments],
        cwd=ROOT,
        env=world.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def forget(world: tiny.Tiny) -> None:
    """Removes the train split of code_contests, and what is made from it."""
    for folder in (world.storage / "versions/datasets").glob(f"{CONTESTS}_train*"):
        if folder.name != f"{CONTESTS}_train_raw":
            shutil.rmtree(folder)
    assert ROWS not in digests(world.project)


def by_array_jobs(world: tiny.Tiny, *names: str) -> list[int]:
    """Has these made by array jobs, one after another; how many parts each had."""
    folder = world.folder / "slurm"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/sbatch").symlink_to(ROOT / "wmtp_assets_tests/engines/sbatch.py")
    environment = world.environment(SBATCH_STANDIN=str(folder))
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    for name in names:
        (told,) = json.loads(wmtp(world, "slurm", name, "--parts", "2", "--json"))
        assert told["missing"] == told["parts"] > 0
        subprocess.run(["sh", f"{told['folder']}/submit.sh"], env=environment, check=True)
    jobs = [json.loads(line) for line in (folder / "jobs.jsonl").read_text().splitlines()]
    assert {status for job in jobs for tries in job["ran"].values() for status in tries} == {0}
    return [len(job["ran"]) for job in jobs[::2]]


def through_a_bucket(world: tiny.Tiny, folder: Path) -> tiny.Tiny:
    """A storage that was pulled from a bucket, into which `world` was pushed."""
    url = (folder / "bucket").as_uri()
    wmtp(world, "push", url)
    other = tiny.empty(folder / "pulled", load_catalog(world.catalog), world.hub)
    wmtp(other, "pull", url)
    assert tiny.contract(other) == tiny.contract(world)
    return other


def test_the_sample_on_ray_and_from_a_bucket(project: Project, tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    world = tiny.empty(tmp_path / "ray", project.catalog, Path(str(project.hub_spec)))
    shutil.copytree(project.storage / EXECUTED, world.storage / EXECUTED)
    wmtp(world, "materialize", WMTP_ENGINE="ray")
    assert_same(world, project)
    assert digests(world.project).keys() == world.project.artifacts.keys()
    pulled = through_a_bucket(world, tmp_path)
    assert_same(pulled, project)
    wmtp(pulled, "verify", "--deep")


def test_the_sample_by_array_jobs(project: Project, copied: Project, tmp_path: Path) -> None:
    in_parts = [ROWS, f"{ROWS}_verdicts", f"{ROWS}_leaks"]
    world = tiny.empty(tmp_path, project.catalog, Path(str(project.hub_spec)))  # of `copied`
    forget(world)
    assert by_array_jobs(world, *in_parts) == [2, 2, 1]
    assert_same(world, project)


@pytest.fixture(scope="module")
def contests(project: Project, tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """A fortieth of code_contests' train split, with rows as long as upstream's, made by one
    process. Upstream's 39 shards would be one: here it is two, so that there are parts."""
    folder = tmp_path_factory.mktemp("contests")
    hub = folder / "hub"
    shutil.copytree(Path(str(project.hub_spec)), hub)
    data = hub / "datasets/deepmind/code_contests/data"
    for shard in data.glob("train-*"):
        shard.unlink()
    (written,) = write_shards(folder / "shards", 1 / 40)
    table = pq.read_table(written)
    each = -(-table.num_rows // SHARDS)
    for number in range(SHARDS):
        path = data / f"train-{number:05d}-of-{SHARDS:05d}-0a1b2c3d.parquet"
        pq.write_table(table.slice(number * each, each), path)
    world = tiny.empty(folder / "local", rows_alone(project.catalog), hub)
    wmtp(world, "materialize")
    receipt = world.project.store.current(ROWS)
    assert receipt is not None
    assert int(str(receipt.facts["rows"])) > 50_000
    return world


def rows_alone(catalog: Catalog) -> Catalog:
    """The sample's datasets, with so many shards of the train split, of which nothing is executed
    and the leaks are looked for."""
    contests = catalog.datasets[CONTESTS]
    files = [File(path=f"data/train-*-of-{SHARDS:05d}-*.parquet", count=SHARDS)]
    splits = {**contests.splits, "train": Split(files=files)}
    new = {"splits": splits, "small": None, "quality": Quality(leaks=("train",))}
    others = {
        name: one.model_copy(update={"quality": None}) for name, one in catalog.datasets.items()
    }
    datasets = {**others, CONTESTS: contests.model_copy(update=new)}
    return small(catalog, "optional").model_copy(update={"datasets": datasets})


@pytest.mark.parametrize("way", [ON_RAY, "array jobs", "a bucket"])
def test_a_fortieth_of_code_contests(contests: tiny.Tiny, tmp_path: Path, way: str) -> None:
    if way == "a bucket":
        other = through_a_bucket(contests, tmp_path)
    else:
        other = tiny.empty(tmp_path / "world", load_catalog(contests.catalog), contests.hub)
        if way == "ray":
            wmtp(other, "materialize", f"{ROWS}_leaks", WMTP_ENGINE="ray")
        else:
            shutil.copytree(contests.storage, other.storage, symlinks=True)
            forget(other)
            assert by_array_jobs(other, ROWS, f"{ROWS}_leaks") == [2, 2]
    assert_same(other, contests.project)
