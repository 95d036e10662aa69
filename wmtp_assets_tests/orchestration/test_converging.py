"""One plain rerun heals whatever was removed, and makes nothing that is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.cli import main
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets_tests.artifact_checks.breaking import flip, recommit
from wmtp_assets_tests.artifacts.workbench import Workbench
from wmtp_assets_tests.orchestration.tiny import VARIABLES, Tiny, contract, copied, rows, whole

SPLIT = "datasets/humaneval_test"
MODEL = "models/meta-llama-mtp"
LINES = "datasets_v2/humaneval/processed/test.jsonl"


@pytest.fixture(scope="module")
def made_rows(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return rows(project, tmp_path_factory.mktemp("rows") / "world")


@pytest.fixture(scope="module")
def made_whole(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return whole(project, tmp_path_factory.mktemp("whole") / "world")


def entered(world: Tiny, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)
    return world


@pytest.fixture
def small_world(made_rows: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    return entered(copied(made_rows, tmp_path / "world"), monkeypatch)


@pytest.fixture
def large_world(made_whole: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    return entered(copied(made_whole, tmp_path / "world"), monkeypatch)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def one(pattern: str) -> Callable[[Path], None]:
    """Removes the one thing below the storage that a pattern names."""

    def change(storage: Path) -> None:
        (found,) = storage.glob(pattern)
        remove(found)

    return change


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(storage: Path) -> None:
        for each in changes:
            each(storage)

    return change


def lock_entry(storage: Path) -> None:
    path = storage / "assets.lock"
    lock = json.loads(path.read_bytes())
    del lock["repos"]["datasets/openai/openai_humaneval"]
    path.write_text(json.dumps(lock), encoding="utf-8")


def lock_file_entry(storage: Path) -> None:
    path = storage / "assets.lock"
    lock = json.loads(path.read_bytes())
    lock["repos"]["datasets/openai/openai_humaneval"]["files"].clear()
    path.write_text(json.dumps(lock), encoding="utf-8")


@dataclass(frozen=True)
class Loss:
    """What is removed, and the artifacts whose bytes have to be made again because of it."""

    change: Callable[[Path], None]
    made: frozenset[str] = frozenset()
    whole: bool = False


VERSION = "[0-9a-f]" * 12
RAW = f"{SPLIT}_raw"
LOSSES = {
    "a contract path": Loss(one(LINES)),
    "every contract path": Loss(one("datasets_v2")),
    "a model's contract path": Loss(one("models_v2/meta-llama-mtp"), whole=True),
    "a set": Loss(one(f"published/{SPLIT}")),
    "a model's set": Loss(one(f"published/{MODEL}"), whole=True),
    "all sets": Loss(one("published")),
    "all that is published": Loss(both(one("published"), one("datasets_v2"))),
    "a set's current": Loss(one(f"published/{SPLIT}/current")),
    "a publication": Loss(one(f"published/{SPLIT}/{VERSION}")),
    "a publication's record": Loss(one(f"published/{SPLIT}/{VERSION}/publication.json")),
    "a link of a publication": Loss(one(f"published/{SPLIT}/{VERSION}/{LINES}")),
    "a split's current": Loss(one(f"versions/{SPLIT}/current")),
    "a raw artifact's current": Loss(one(f"versions/{RAW}/current")),
    "a model's current": Loss(one(f"versions/{MODEL}/current"), whole=True),
    "a split's versions": Loss(one(f"versions/{SPLIT}"), frozenset({SPLIT})),
    "a split's version": Loss(one(f"versions/{SPLIT}/{VERSION}"), frozenset({SPLIT})),
    "a metadata's versions": Loss(
        one(f"versions/{SPLIT}_metadata"), frozenset({f"{SPLIT}_metadata"})
    ),
    "a model's versions": Loss(one(f"versions/{MODEL}"), frozenset({MODEL}), whole=True),
    "a split's receipt": Loss(one(f"versions/{SPLIT}/{VERSION}/receipt.json"), frozenset({SPLIT})),
    "a raw artifact's receipt": Loss(
        one(f"versions/{RAW}/{VERSION}/receipt.json"), frozenset({RAW})
    ),
    "the tokenizer's receipt": Loss(
        one(f"versions/models/tokenizer/{VERSION}/receipt.json"), frozenset({"models/tokenizer"})
    ),
    "assets.lock": Loss(one("assets.lock"), frozenset({RAW, "models/tokenizer_raw"})),
    "a repository in assets.lock": Loss(lock_entry, frozenset({RAW})),
    "a file in assets.lock": Loss(lock_file_entry, frozenset({RAW})),
    "a fetched file": Loss(one("upstream/datasets/openai/**/test-*.parquet"), frozenset({RAW})),
    "all fetched files": Loss(one("upstream"), frozenset({RAW, "models/tokenizer_raw"})),
    "the report": Loss(one("phase2_readiness.json")),
    "the locks": Loss(one(".locks")),
    "a fetched file and its current": Loss(
        both(one(f"versions/{RAW}/current"), one("upstream/datasets/openai/**/test-*.parquet")),
        frozenset({RAW}),
    ),
}
QUICK = {"a contract path", "a split's current", "assets.lock", "a split's receipt"}


@pytest.mark.parametrize(
    "loss",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LOSSES],
)
def test_one_plain_rerun_heals_a_loss(
    loss: str,
    made_rows: Tiny,
    made_whole: Tiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = LOSSES[loss]
    template = made_whole if case.whole else made_rows
    world = entered(copied(template, tmp_path / "world"), monkeypatch)
    before = contract(world)
    (world.storage / ".locks").mkdir(exist_ok=True)
    case.change(world.storage)
    # The optional model of the small world stays what it is: not made.
    arguments = ["materialize", *([] if case.whole else ["group:humaneval"]), "--json"]
    status = main(arguments)
    said = json.loads(capsys.readouterr().out)
    assert status == 0, said["failures"]
    assert said["gate"]["open"] is True
    assert world.opens()
    assert contract(world) == before
    artifacts = world.project.artifacts
    assert {name for name in said["made"] if name in artifacts} == case.made
    there = [name for name in artifacts if world.project.store.current(name) is not None]
    assert stale_artifacts(world.project, there) == set(), "a second rerun finds nothing to do"
    if loss in QUICK:
        assert main(arguments) == 0
        assert json.loads(capsys.readouterr().out)["made"] == []


@pytest.mark.slow
def test_the_command_that_names_the_asset_makes_its_path_again(
    large_world: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    path = large_world.storage / "models_v2/meta-llama-mtp"
    path.unlink()
    assert main(["materialize", MODEL]) == 0
    assert f"{MODEL} was published again." in capsys.readouterr().out
    assert (path / "metadata.json").is_file()
    # A member other than the one that gives the set its name is gone, too.
    path.unlink()
    remove(large_world.storage / "versions" / f"{MODEL}_config")
    assert main(["materialize", MODEL]) == 0
    assert (path / "configs/params.json").is_file()
    assert large_world.opens()


def test_a_run_of_one_asset_from_the_page_publishes_what_is_unchanged(small_world: Tiny) -> None:
    path = small_world.storage / LINES
    path.unlink()
    project = small_world.project
    defs = build_defs(project.catalog, project.hub_spec, project.storage)
    job = defs.resolve_job_def("materialize_all").get_subset(asset_selection={key_of(SPLIT)})
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
    assert path.is_file()


@pytest.mark.slow
def test_a_rerun_makes_again_what_failed_its_last_check(
    small_world: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_world.project.store.path(f"{SPLIT}_metadata") / "test_metadata.json"
    before = path.read_bytes()
    flip(path)
    assert main(["materialize", SPLIT + "_metadata"]) == 1
    assert f"what to do: wmtp materialize {SPLIT}_metadata --force" in capsys.readouterr().out
    assert main(["materialize", SPLIT + "_metadata"]) == 0
    assert "1 artifacts were made" in capsys.readouterr().out
    assert path.read_bytes() == before
    assert small_world.opens()


@pytest.mark.slow
def test_force_makes_again_what_the_asset_is_made_from_where_that_is_damaged(
    small_world: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    (fetched,) = small_world.storage.glob("upstream/datasets/openai/**/test-*.parquet")
    fetched_before, before = fetched.read_bytes(), contract(small_world)
    flip(fetched)
    assert main(["materialize", SPLIT, "--force", "--json"]) == 0
    assert {SPLIT, RAW} <= set(json.loads(capsys.readouterr().out)["made"])
    assert fetched.read_bytes() == fetched_before
    assert contract(small_world) == before


@pytest.mark.slow
def test_force_makes_again_what_was_made_from_the_asset_where_that_changed(
    small_world: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contract(small_world)

    def change(folder: Path) -> None:
        path = folder / "tokenizer_config.json"
        path.write_bytes(path.read_bytes() + b" ")

    recommit(small_world.project, "models/tokenizer", change)
    Workbench(small_world.project).make([SPLIT, f"{SPLIT}_metadata"])
    assert main(["materialize", "models/tokenizer", "--force", "--json"]) == 0
    made = set(json.loads(capsys.readouterr().out)["made"])
    assert {"models/tokenizer", SPLIT} <= made
    assert contract(small_world) == before
    assert small_world.opens()


def test_a_path_that_is_taken_is_named_and_nothing_is_lost(
    small_world: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    path = small_world.storage / LINES
    path.unlink()
    path.write_text("mine", encoding="utf-8")
    assert main(["materialize", SPLIT]) == 1
    named = re.search(r"`(mkdir -p [^`]* && mv [^`]*)`", capsys.readouterr().out)
    assert named is not None
    assert path.read_text(encoding="utf-8") == "mine"
    subprocess.run(["sh", "-c", named[1]], check=True)
    aside = small_world.storage / ".set-aside" / LINES
    assert aside.read_text(encoding="utf-8") == "mine"
    assert main(["materialize", SPLIT]) == 0
    assert small_world.opens()
