"""The gate, `verify` and signatures answer for the paths that readers open.

Each trick leaves every artifact as it was proven, and changes what a reader of the contract's paths
gets. Each remedy that is printed is then carried out, and sets it right.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published, run_checks
from wmtp_assets.artifacts.gate import Verdict, judge
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.findings import Finding
from wmtp_assets.storage import StorageError
from wmtp_assets_tests.artifacts.editions import planted
from wmtp_assets_tests.artifacts.sweeping import share
from wmtp_assets_tests.artifacts.workbench import Workbench

MODEL, SET = "models_v2/micro-ref", "models/micro-ref"
HF = f"{MODEL}/hf"
ROWS = "datasets_v2/humaneval/processed"
SMALL = "datasets_local_small/codecontests_small"
NARROW_MODELS = ("meta-llama-mtp", "ref-sheared-llama-2.7b", "micro-ref")
NARROW_DATASETS = ("mbpp", "humaneval")


@pytest.fixture(scope="module")
def narrow(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Of the sample what most tricks are about: the models that one needs, and two datasets."""
    catalog = project.catalog.model_copy(
        update={
            "models": {name: project.catalog.models[name] for name in NARROW_MODELS},
            "datasets": {name: project.catalog.datasets[name] for name in NARROW_DATASETS},
        }
    )
    return planted(project, catalog, tmp_path_factory.mktemp("narrow") / "storage", NARROW_MODELS)


@pytest.fixture(scope="module")
def proven(project: Project) -> dict[str, list[Finding]]:
    """Every answer about the artifacts, which no trick here changes."""
    return {
        artifact.name: run_checks(project, artifact)
        for artifact in project.artifacts.values()
        if artifact.status == "required"
    }


@pytest.fixture
def world(tmp_path: Path, project: Project) -> Project:
    """A storage that shares the sample's files."""
    return shared(project, tmp_path)


def shared(project: Project, folder: Path) -> Project:
    """A storage that shares a project's files, each version's by hard links."""
    share(project.storage, folder / "storage")
    return Project(project.catalog, folder / "storage", project.hub_spec)


def gate(project: Project, proven: dict[str, list[Finding]]) -> Verdict:
    return judge(project, proven, published(project))


def moved_away(path: Path) -> Path:
    """Moves a folder out of the storage, and leaves a link in its place; where it is now."""
    place = path.parent
    while not (place / "versions").is_dir():
        place = place.parent
    outside = place.with_name("bigdisk") / path.name
    outside.parent.mkdir(exist_ok=True)
    shutil.move(path, outside)
    path.symlink_to(outside)
    return outside


def into_copies(path: Path) -> None:
    """A real folder with copies of what readers see, in place of a folder or of a link to one."""
    copies = path.with_name("copies")
    shutil.copytree(path, copies)
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
    copies.rename(path)


def elsewhere(path: Path, root: Path) -> None:
    """A link to an outside folder with other bytes, in place of a folder or of a link to one."""
    outside = root.with_name("outside")
    shutil.copytree(path, outside)
    for file in outside.rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes() + b" ")
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)
    path.symlink_to(outside)


def replaced(path: Path, data: bytes | None = None) -> None:
    """A plain file in place of a link: with the same bytes, unless others are given."""
    data = path.read_bytes() if data is None else data
    path.unlink()
    path.write_bytes(data)


def farm(project: Project, name: str = SET) -> Path:
    home = project.store.published.home(name)
    return home / str((home / "current").readlink())


def extra(path: str) -> Callable[[Project], object]:
    def write(project: Project) -> None:
        (project.storage / path).write_text('{"do_sample": true}', encoding="utf-8")

    return write


Trick = Callable[[Project], object]

TRICKS: dict[str, Trick] = {
    "models_v2 moved to another disk": lambda p: moved_away(p.storage / "models_v2"),
    "datasets_v2 moved to another disk": lambda p: moved_away(p.storage / "datasets_v2"),
    "published moved to another disk": lambda p: moved_away(p.storage / "published"),
    "versions moved to another disk": lambda p: moved_away(p.storage / "versions"),
    "a model's versions moved": lambda p: moved_away(p.store.versions.home(SET)),
    "a set's publications moved": lambda p: moved_away(p.store.published.home(SET)),
    "models_v2 leads to other bytes": lambda p: elsewhere(p.storage / "models_v2", p.storage),
    "processed leads to other bytes": lambda p: elsewhere(p.storage / ROWS, p.storage),
    "hf leads to other bytes": lambda p: elsewhere(farm(p) / HF, p.storage),
    "a model leads to other bytes": lambda p: elsewhere(p.storage / MODEL, p.storage),
    "a publication leads to other bytes": lambda p: elsewhere(farm(p), p.storage),
    "a mount with copies": lambda p: into_copies(p.storage / MODEL),
    "hf with copies": lambda p: into_copies(farm(p) / HF),
    "a publication with copies": lambda p: into_copies(farm(p)),
    "a link back into the storage, to other rows": lambda p: (
        replaced(p.storage / f"{ROWS}/test.jsonl"),
        (p.storage / f"{ROWS}/test.jsonl").unlink(),
        p.storage.with_name("outer").symlink_to(
            p.storage / "datasets_v2/mbpp/processed/test.jsonl"
        ),
        (p.storage / f"{ROWS}/test.jsonl").symlink_to(p.storage.with_name("outer")),
    ),
    "a file of a farm with the same bytes": lambda p: replaced(farm(p) / HF / "config.json"),
    "a file of a farm with other bytes": lambda p: replaced(farm(p) / HF / "config.json", b"{}"),
    "rows with the same bytes": lambda p: replaced(p.storage / f"{ROWS}/test.jsonl"),
    "a link to nothing": lambda p: (
        (farm(p) / HF / "config.json").unlink(),
        (farm(p) / HF / "config.json").symlink_to("/nowhere"),
    ),
    "an older farm's link": lambda p: (
        (farm(p) / HF / "config.json").unlink(),
        (farm(p) / HF / "config.json").symlink_to("generation_config.json"),
    ),
    "added_tokens.json": extra(f"{HF}/added_tokens.json"),
    "special_tokens_map.json": extra(f"{HF}/special_tokens_map.json"),
    "generation_config.json": extra(f"{HF}/generation_config.json"),
    "chat_template.jinja": extra(f"{HF}/chat_template.jinja"),
    "an index of shards": extra(f"{HF}/model.safetensors.index.json"),
    "a hidden file": extra(f"{HF}/.hidden"),
    "a file beside hf": extra(f"{MODEL}/tokenizer_config.json"),
    "a file among the configs": extra(f"{MODEL}/configs/other.json"),
    "an empty folder": lambda p: (p.storage / HF / "empty").mkdir(),
    "a folder of files": lambda p: (
        (p.storage / MODEL / "original").mkdir(),
        extra(f"{MODEL}/original/params.json")(p),
    ),
    "a link to nothing more": lambda p: (p.storage / HF / "more").symlink_to("nowhere"),
    "a folder in a version": lambda p: (p.store.path(SET) / "empty").mkdir(),
    "a file at a farm's top": lambda p: (farm(p) / "extra").write_bytes(b"1"),
    "a split more": extra(f"{ROWS}/train.jsonl"),
    "a hidden file among the rows": extra(f"{ROWS}/.test.jsonl.swp"),
    "statistics more": extra("datasets_v2/humaneval/stats/other.json"),
    "a folder of a dataset more": lambda p: (p.storage / "datasets_v2/humaneval/raw").mkdir(),
    "small rows more": extra(f"{SMALL}/more.jsonl"),
    "a name that no terminal shows": extra(f"{ROWS}/new\nline\x1b[2J"),
    "a name that is no text": lambda p: Path(
        os.fsdecode(os.fsencode(p.storage / ROWS) + b"/\xff\xfe.jsonl")
    ).write_bytes(b"1"),
    "a published split of an earlier catalog": lambda p: (
        p.storage / ROWS / "old.jsonl"
    ).symlink_to("../../../published/datasets/humaneval_old/current/datasets_v2/old.jsonl"),
}


def carried_out(hint: str, project: Project) -> None:
    """Does what a remedy says, as a person would."""
    for command in re.findall(r"`([^`]+)`", hint) or [hint]:
        words = shlex.split(command)
        if words[:2] == ["wmtp", "materialize"]:
            Workbench(project).make([words[2]])
        else:
            done = subprocess.run(
                ["sh", "-c", command], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, (command, done.stderr)


@pytest.mark.parametrize("trick", TRICKS)
def test_what_readers_find_decides(
    trick: str,
    project: Project,
    narrow: Project,
    proven: dict[str, list[Finding]],
    tmp_path: Path,
) -> None:
    world = shared(project if "small rows" in trick else narrow, tmp_path)
    proven = {name: found for name, found in proven.items() if name in world.artifacts}
    assert gate(world, proven).open
    files = readable(world)
    TRICKS[trick](world)
    verdict = gate(world, proven)
    report = verify(world)
    assert not verdict.open
    assert not report.sound
    (condition,) = (one for one in verdict.conditions if one.name == "published")
    if "moved to another disk" in trick:
        assert len(condition.reasons) == 1, "one clear message"
        assert "WMTP_STORAGE" in condition.reasons[0].hint
    for _ in range(4):  # what lies behind the first thing shows when it is out of the way
        if gate(world, proven).open:
            break
        wrong = [finding for finding in published(world) if not finding.passed]
        wrong += [f for a in world.artifacts.values() for f in quick_failures(world, a.name)]
        carried_out(wrong[0].hint, world)
        for finding in wrong[1:]:
            if finding.hint != wrong[0].hint and os.path.lexists(finding.where):
                carried_out(finding.hint, world)
    assert gate(world, proven).open
    assert verify(world).sound
    assert readable(world) == files


def quick_failures(project: Project, name: str) -> list[Finding]:
    from wmtp_assets.artifacts.checks import quick

    artifact = project.artifacts[name]
    if artifact.status == "optional" and project.store.current(name) is None:
        return []
    return [finding for finding in quick(project, artifact) if not finding.passed]


def readable(project: Project) -> dict[str, bytes]:
    return {
        path: (project.storage / path).read_bytes()
        for wanted in project.sets.values()
        for path in wanted.links
        if (project.storage / path).is_file()
    }


def test_what_is_in_the_way_is_kept(world: Project) -> None:
    """Publishing again moves what is not ours aside; it deletes nothing."""
    for name, path in {"own": HF, "deep": f"{MODEL}/original", "top": ""}.items():
        (farm(world) / path).mkdir(exist_ok=True)
        (farm(world) / path / name).write_bytes(name.encode())
    replaced(farm(world) / HF / "config.json", b"theirs")
    into_copies(farm(world) / f"{MODEL}/configs")
    assert world.store.publish(world.sets[SET]) is not None
    assert world.store.unpublished(world.sets[SET]) == []
    kept = [
        path.read_bytes() for path in (world.storage / ".set-aside").rglob("*") if path.is_file()
    ]
    assert {b"own", b"deep", b"top", b"theirs"} <= set(kept)
    world.store.gc(keep=1)
    assert (world.storage / ".set-aside").is_dir()


def test_a_reader_of_a_file_that_is_replaced_sees_it_at_every_moment(world: Project) -> None:
    """A file in place of a link is replaced in one step, beside right ones that stay."""
    place = farm(world) / HF / "config.json"
    replaced(place)
    from wmtp_assets_tests.storage.faults import FaultyDisk

    with FaultyDisk() as disk:
        world.store.publish(world.sets[SET])
    renames = [arguments for name, arguments in disk.log if name == "rename"]
    assert [target for _, target in renames if target == place] == [place]
    assert not any(name == "unlink" and args[0] == place for name, args in disk.log)


HARMLESS: dict[str, Trick] = {
    "a hard link for a published file": lambda p: (
        (p.storage / f"{ROWS}/test.jsonl").unlink(),
        (p.storage / f"{ROWS}/test.jsonl").hardlink_to(
            p.store.path("datasets/humaneval_test") / "test.jsonl"
        ),
    ),
    "a hard link in a farm": lambda p: (
        (farm(p) / HF / "model.safetensors").unlink(),
        (farm(p) / HF / "model.safetensors").hardlink_to(p.store.path(SET) / "model.safetensors"),
    ),
    "an absolute link": lambda p: (
        (p.storage / f"{ROWS}/test.jsonl").unlink(),
        (p.storage / f"{ROWS}/test.jsonl").symlink_to(
            p.store.published.home("datasets/humaneval_test") / f"current/{ROWS}/test.jsonl"
        ),
    ),
    "a chain that leaves and comes back": lambda p: (
        (farm(p) / HF / "model.safetensors").unlink(),
        p.storage.with_name("outer").symlink_to(p.store.path(SET) / "model.safetensors"),
        (farm(p) / HF / "model.safetensors").symlink_to(p.storage.with_name("outer")),
    ),
    "a model of another catalog": lambda p: (p.storage / "models_v2/theirs").mkdir(),
    "a note in models_v2": extra("models_v2/README"),
    "another dataset": lambda p: (p.storage / "datasets_v2/theirs/processed").mkdir(parents=True),
}


@pytest.mark.parametrize("trick", HARMLESS)
def test_the_very_file_on_another_way_is_right(
    trick: str, world: Project, proven: dict[str, list[Finding]]
) -> None:
    files = readable(world)
    HARMLESS[trick](world)
    assert gate(world, proven).open
    assert verify(world).sound
    warned = [finding for finding in published(world) if not finding.passed]
    strange = trick.startswith(("a model", "a note", "another"))
    assert len(warned) == strange
    if warned:
        (recommended,) = (
            one for one in gate(world, proven).conditions if one.name == "recommended"
        )
        assert warned[0].where in [reason.where for reason in recommended.reasons]
        carried_out(warned[0].hint, world)
        assert not [finding for finding in published(world) if not finding.passed]
    for wanted in world.sets.values():  # and the next publication makes our own link of it
        world.store.publish(wanted)
        publication = world.store.publication(wanted.name)
        assert publication is not None
        assert world.store.published._is_tidy(publication)
    assert readable(world) == files


def test_a_storage_behind_a_link_works_in_full(
    world: Project, tmp_path: Path, proven: dict[str, list[Finding]]
) -> None:
    big = tmp_path / "bigdisk"
    big.mkdir()
    shutil.move(world.storage, big / "storage")
    world.storage.symlink_to(big / "storage")
    behind = Project(world.catalog, world.storage, world.hub_spec)
    assert gate(behind, proven).open
    assert verify(behind).sound
    replaced(farm(behind) / HF / "config.json", b"{}")
    assert not gate(behind, proven).open
    Workbench(behind).make([SET])
    assert gate(behind, proven).open
    assert behind.store.gc(keep=1).removed == []


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("models_v2", SET),
        ("published", SET),
        ("published/models", SET),
        ("versions", SET),
        ("versions/models", SET),
        (".locks", SET),
        ("datasets_v2", "datasets/humaneval_test"),
        ("datasets_v2/humaneval", "datasets/humaneval_test"),
        ("datasets_v2/humaneval/processed", "datasets/humaneval_test"),
    ],
)
def test_making_in_a_storage_with_a_folder_behind_a_link_is_refused_in_one_sentence(
    folder: str, name: str, world: Project
) -> None:
    world.store.publish(world.sets[name])  # so that there are locks
    outside = moved_away(world.storage / folder)
    before = sorted(outside.rglob("*"))
    with pytest.raises(StorageError, match="WMTP_STORAGE") as refusal:
        world.store.publish(world.sets[name])
    assert str(world.storage / folder) in str(refusal.value)
    assert sorted(outside.rglob("*")) == before
