"""Links to others' files at every place that a command writes to: none is written through."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import judge, write_report
from wmtp_assets.artifacts.released_weights import release
from wmtp_assets.artifacts.requirements import wanted_repos
from wmtp_assets.artifacts.unneeded_files import orphans
from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.mirror import mirror
from wmtp_assets_tests.artifacts.editions import SPLIT, newer, planted, small
from wmtp_assets_tests.artifacts.sweeping import ROWS, share
from wmtp_assets_tests.artifacts.workbench import Workbench
from wmtp_assets_tests.storage import planting
from wmtp_assets_tests.storage.faults import FaultyDisk

Act = Callable[[Project], object]


def signed(project: Project) -> None:
    pytest.importorskip("model_signing", reason="the extra `sign` is not installed")
    from wmtp_assets.artifacts.signing import sign, signature_path
    from wmtp_assets_tests.artifacts.test_signing import new_key

    keys = project.storage.with_name("keys")
    keys.mkdir(exist_ok=True)
    private, _ = new_key(keys, "ours")
    sign(project, private, signature_path(project))


def reported(project: Project) -> None:
    required = [name for name, one in project.artifacts.items() if one.status == "required"]
    write_report(project, judge(project, {name: [] for name in required}, []))


def collected(project: Project) -> None:
    project.store.gc(keep=1, also=orphans(project))


COMMANDS: dict[str, Act] = {
    "fetch, make and publish": lambda project: Workbench(project).make(ROWS),
    "gc": collected,
    "rollback": lambda project: project.store.rollback(SPLIT),
    "the gate's report": reported,
    "mirror": lambda project: mirror(
        project.hub(), wanted_repos(project), project.store.root / "mirror"
    ),
    "sample": lambda project: Project(project.catalog, project.storage).hub(),
    "letting weights go": lambda project: release(project, f"{SPLIT}_raw", [], "0" * 64),
    "sign": signed,
}
ALWAYS = (
    *(
        ".locks/published.lock",
        ".locks/assets.lock",
        "assets.lock",
        "upstream",
        "upstream/.partial",
    ),
    *("phase2_readiness.json", "model.sig", "sample", "upstream/.released", ".locks"),
    *("sample/assets.lock", "mirror/assets.lock", "mirror/SHA256SUMS", "published", "versions"),
)
"""Places that are tried in `make quick`; and each partial, each journal. The others are slow."""


ALWAYS_ALL = ("the gate's report", "sign")
"""Commands that write to no other place."""


@pytest.mark.parametrize(
    ("command", "often"),
    [
        *((command, True) for command in COMMANDS),
        *(
            pytest.param(command, False, marks=pytest.mark.slow)
            for command in COMMANDS
            if command not in ALWAYS_ALL
        ),
    ],
)
def test_no_command_writes_through_a_link(
    command: str, often: bool, project: Project, new_hub: Path, memory: Path
) -> None:
    old = planted(project, small(project.catalog, "optional"), memory / "old" / "storage")
    template = old.storage
    now = Project(newer(old.catalog), memory / "world" / "storage", str(new_hub))
    if command in ("gc", "rollback"):
        with FaultyDisk():
            Workbench(Project(now.catalog, template, now.hub_spec)).make(ROWS)
    world = now.storage

    def begin() -> None:
        shutil.rmtree(world.parent, ignore_errors=True)
        world.parent.mkdir()
        share(template, world)
        # So that a partial is there to be resumed, or to be removed.
        for suffix in (".bytes", ".journal") if command == "gc" else ():
            place = world / f"upstream/.partial/datasets/openai/openai_humaneval/x{suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"1")

    begin()
    places: dict[bool, list[Path]] = {True: [], False: []}
    for place in planting.places_of(world, lambda: COMMANDS[command](now)):
        if str(place) != "mirror":  # a mirror's root is for a person to choose
            places[str(place) in ALWAYS or place.suffix in (".bytes", ".journal")].append(place)
    assert places[True]
    assert bool(places[False]) == (command not in ALWAYS_ALL)
    followed = []
    refused = 0
    for place, kind in planting.kinds(places[often]):
        begin()
        theirs = planting.planted(world, place, kind)
        was = planting.as_it_is(theirs)
        try:
            with FaultyDisk():
                COMMANDS[command](Project(now.catalog, world, now.hub_spec))
        except (WmtpError, dg.Failure):
            refused += 1
        if planting.as_it_is(theirs) != was:
            followed.append((str(place), kind))
    print(f"{command}: {len(places[often])} places, {refused} of {4 * len(places[often])} refused")
    assert followed == []
