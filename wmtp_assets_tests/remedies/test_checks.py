"""What each check prints when it fails is executed, and the check passes and the gate opens.

The checks are those of every kind of artifact in the catalogs that are shipped; `breaks.py` has a
fault for each.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.cli import main
from wmtp_assets.storage.preflight import EXECUTED
from wmtp_assets_tests.artifact_checks.breaking import answers
from wmtp_assets_tests.artifacts.editions import planted
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.remedies.breaks import (
    MODELS,
    REFERENCES,
    ROWS,
    Fault,
    check_of,
    every_check,
)
from wmtp_assets_tests.remedies.quality_breaks import QUALITY
from wmtp_assets_tests.remedies.test_hints import COMMAND


@dataclass(frozen=True)
class World:
    """A part of the sample, and rounds of faults in it; of `models` those that the catalog calls
    `optional`, which the gate does not look at. What is found out about rows is optional as well:
    it belongs to one of the datasets in `optional`."""

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    rounds: Sequence[Sequence[Fault]]
    optional: tuple[str, ...] = ()

    def catalog(self, whole: Catalog, dataset_status: str = "required") -> Catalog:
        """The part. The tokenizer's model is always there, and optional where it is no part."""
        origin = whole.tokenizer.from_model
        models = {name: whole.models[name] for name in (origin, *self.models)}
        if origin not in self.models:
            models[origin] = models[origin].model_copy(update={"status": "optional"})
        datasets = {
            name: whole.datasets[name].model_copy(update={"status": dataset_status})
            for name in self.datasets
        }
        return whole.model_copy(update={"models": models, "datasets": datasets})


WORLDS = {
    "models": World(("meta-llama-mtp", "micro-mtp"), (), MODELS),
    "references": World(
        ("ref-sheared-llama-2.7b", "starling-rm-7b"), (), REFERENCES, ("starling-rm-7b",)
    ),
    "rows": World((), ("codecontests", "mbpp", "humaneval"), ROWS),
    "quality": World(
        (), ("codecontests", "mbpp", "humaneval"), QUALITY, ("codecontests", "mbpp", "humaneval")
    ),
}


def test_every_check_of_the_shipped_catalogs_has_a_fault(tmp_path: Path) -> None:
    shipped = [Project(load_catalog(name), tmp_path) for name in ("sample", "full")]
    sample = shipped[0]
    broken = {
        check_of(sample.artifacts[fault.artifact], name)
        for world in WORLDS.values()
        for faults in world.rounds
        for fault in faults
        for name in fault.checks
    }
    assert len(broken) > 50
    assert every_check(*shipped) - broken == set()


def command_of(hint: str) -> str:
    quoted = (found.group(1) or found.group(2) for found in COMMAND.finditer(hint))
    return next(one for one in quoted if one.startswith("wmtp "))  # others are of the catalog


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_what_a_failed_check_prints_makes_it_pass(
    name: str, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = WORLDS[name]
    made = tiny.empty(
        tmp_path / "world",
        # Runs look at all that is required: of rows, only this test does.
        world.catalog(project.catalog, dataset_status="optional"),
        Path(str(project.hub_spec)),
    )
    whole = planted(project, world.catalog(project.catalog), made.storage, world.optional)
    for variable in tiny.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in made.variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    if world.optional and world.datasets:  # rows that were executed once are not again
        shutil.copytree(project.store.root / EXECUTED, whole.store.root / EXECUTED)
    for faults in world.rounds:
        for fault in faults:
            fault.apply(whole)
        settle(whole, faults)


def settle(project: Project, faults: Sequence[Fault]) -> None:
    """Executes what the failed checks print, in the order of the artifacts; the gate is open then.

    A command may end with 1 while another artifact is still wrong.
    """
    order = list(project.artifacts)
    commands: dict[str, None] = {}
    for fault in sorted(faults, key=lambda one: order.index(one.artifact)):
        found = answers(project, fault.artifact)
        passed = [name for name in fault.checks if found[name].passed]
        assert not passed, (fault.artifact, passed)
        commands |= dict.fromkeys(command_of(found[name].hint) for name in fault.checks)
    for command in commands:
        assert main(shlex.split(command)[1:]) in (0, 1), command
    for fault in faults:
        if project.artifacts[fault.artifact].status == "optional":
            found = answers(project, fault.artifact)
            wrong = [name for name, one in found.items() if not one.passed and one.blocking]
            assert wrong + [name for name in fault.checks if not found[name].passed] == []
    verdict = evaluate(project)
    wrong = [str(one) for each in verdict.conditions if each.required for one in each.reasons]
    assert wrong == []
    assert verdict.open
