"""Each hint that contains a command is executed as it is printed, and the problem is gone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.tiny import Tiny
from wmtp_assets_tests.remedies.hints import hints

SPLIT = "datasets/humaneval_test"
LINES = "datasets_v2/humaneval/processed/test.jsonl"
COMMAND = re.compile(r"`([^`]+)`|\b(wmtp [a-z]+(?: [\w./+:-]+| --[\w-]+)*)")


def shell(world: Tiny, command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a person would who copies it from the terminal."""
    return subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=world.folder,
        env=world.environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )


def printed_commands(text: str) -> list[str]:
    """What a person would copy from a message: what its hints say after "what to do", in order."""
    commands = []
    for hint in re.findall(r"(?:[Ww]hat to do|hint): (.*)", text):
        commands += [one or other for one, other in COMMAND.findall(hint)]
    return list(dict.fromkeys(commands))


@dataclass(frozen=True)
class Scenario:
    """What is broken, the command that meets it and prints the hint, and a part of the command
    that the hint must contain."""

    place: str
    broken: Callable[[Path], object]
    met_by: str
    hint: str
    status: int = 1


def truncated(pattern: str) -> Callable[[Path], object]:
    def change(storage: Path) -> None:
        (path,) = storage.glob(pattern)
        path.write_bytes(path.read_bytes()[:-1])

    return change


def flipped(pattern: str) -> Callable[[Path], object]:
    def change(storage: Path) -> None:
        (path,) = storage.glob(pattern)
        flip(path)

    return change


def taken(storage: Path) -> None:
    (storage / LINES).unlink()
    (storage / LINES).write_text("mine", encoding="utf-8")


def copied_by_following(storage: Path) -> None:
    link = storage / "versions" / SPLIT / "current"
    target = link.resolve()
    link.unlink()
    shutil.copytree(target, link)


def link_out(storage: Path) -> None:
    outside = storage.parent / "other disk"
    shutil.move(storage / "versions", outside)
    (storage / "versions").symlink_to(outside)


def reworded(storage: Path) -> None:
    """The catalog takes other words for the split than it was made by."""
    path = storage.parent / "catalog.yaml"
    text = path.read_text(encoding="utf-8")
    said = "  humaneval:\n"
    path.write_text(text.replace(said, f"{said}    max_tokens: 1024\n"), encoding="utf-8")


VERSION = "[0-9a-f]" * 12
SCENARIOS = [
    Scenario(
        "artifacts.types.demand",
        truncated(f"versions/{SPLIT}/{VERSION}/test.jsonl"),
        "wmtp gate",
        f"wmtp materialize {SPLIT} --force",
    ),
    Scenario(
        "artifacts.types.demand",
        lambda storage: shutil.rmtree(storage / "versions" / SPLIT),
        "wmtp gate",
        f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "artifacts.checks.publication._not_published",
        lambda storage: (storage / LINES).unlink(),
        "wmtp gate",
        f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "artifacts.checks.common.files_unchanged",
        flipped(f"versions/{SPLIT}/{VERSION}/test_stats.json"),
        "wmtp gate",
        f"wmtp materialize {SPLIT} --force",
    ),
    Scenario(
        "artifacts.checks.fetched.fetched_files",
        flipped("upstream/datasets/openai/**/test-*.parquet"),
        "wmtp gate",
        f"wmtp materialize {SPLIT}_raw --force",
    ),
    Scenario(
        "artifacts.checks.fetched.fetched_files",
        lambda storage: (storage / "assets.lock").unlink(),
        "wmtp gate",
        f"wmtp materialize {SPLIT}_raw --force",
    ),
    Scenario(
        "artifacts.checks.common.inputs_current",
        reworded,
        "wmtp gate",
        f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "storage.receipts.damaged",
        flipped(f"versions/{SPLIT}/{VERSION}/receipt.json"),
        "wmtp gate",
        "wmtp materialize",
    ),
    Scenario("storage.publishing._not_ours", taken, f"wmtp materialize {SPLIT}", "mv "),
    Scenario(
        "storage.versions.current_version",
        copied_by_following,
        f"wmtp materialize {SPLIT}",
        "mv ",
    ),
    Scenario(
        "storage.bounds.in_the_way", link_out, f"wmtp materialize {SPLIT} --force", "rm ", status=2
    ),
]

# Places whose hint is not executed here, and why.
ELSEWHERE = {
    "orchestration.home._made": "sets a variable of the person's shell: orchestration/test_home.py",
    "orchestration.home.open_instance": "as above",
    "orchestration.run._selected": "`wmtp list` shows names, and repairs nothing",
    "cli.versions._set_of": "`wmtp list` shows names, and repairs nothing",
    "catalog.pin.check_own": "catalog/test_pin.py executes it",
    "checkpoints.libtorch.load": "a broken installation of torch, which this one is not",
    "artifacts.signing.check_signature": "KEY is the person's: artifacts/test_signing.py",
    "artifacts.signing.sign": "as _not_published: `wmtp materialize`",
    "hub.client_settings._token_problem": "the token is the person's",
    "hub.client_settings._proxy": "a package or a proxy of the person's choice",
    "hub.directory._no_file": "another machine's mirror: hub/test_mirror.py makes one",
    "hub.directory.DirectoryHub._folder": "as above",
    "hub.fetch._agreed": "which of two files is right, a person decides",
    "hub.remote._unreachable": "without a network nothing here can repair it",
    "storage.errors": "a full disk: artifacts/test_real_disks.py",
    "storage.preflight.require_writable": "read-only: artifacts/test_hostile_storage.py",
    "storage.preflight.require_space": "a full disk: artifacts/test_real_disks.py",
    "storage.publishing.Published._rollback_target": "`wmtp history` shows versions",
    "web.processes.check_port": "starts the page: web/test_real_server.py",
    "web.processes.running_link": "starts the page: web/test_real_server.py",
    "web.processes._wait_until": "`wmtp validate` shows what is wrong, and repairs nothing",
    "web.session.read_link": "starts the page: web/test_real_server.py",
    "artifacts.checks.fetched.weights_kept": "a warning about a choice: artifacts/test_released.py",
    # What a proof prints when an artifact itself is wrong: test_checks.py breaks each.
    "artifacts.checks._failed": "test_checks.py",
    "artifacts.checks._found": "test_checks.py",
    "artifacts.checks.datasets.schema_is_ours": "test_checks.py",
    "artifacts.checks.datasets.data_files_declared": "test_checks.py",
    "artifacts.checks.models._as_released": "a race with `wmtp gc --raw`, over when it is printed",
    "artifacts.checks.models.certificate_of_checkpoint": "test_checks.py",
    "artifacts.checks.models.check_converted_again": "test_checks.py",
    "artifacts.checks.against_source.check_against_source": "`wmtp verify --against-source`",
    "artifacts.checks.derived.derived_from_inputs.compute": "test_checks.py",
    # Said to programs that read the storage, never by `wmtp`; `wmtp materialize` is executed above.
    "storage.publishing.Published.reading": "as artifacts.checks.publication._not_published",
    "storage.versions.Versions.path": "as artifacts.types.demand",
    "artifacts.checks.inputs.source": "as artifacts.checks.fetched.fetched_files",
    "artifacts.checks.inputs.locked": "as storage.versions.current_version",
    "artifacts.signing._what_readers_see.Readers.hash": "`wmtp verify --deep` repairs nothing",
}


def test_every_hint_with_a_command_has_a_scenario_or_a_reason() -> None:
    covered = {scenario.place for scenario in SCENARIOS} | ELSEWHERE.keys()
    missing = {place: texts for place, texts in hints().items() if place not in covered}
    assert missing == {}


def test_the_scan_finds_hints_in_every_form() -> None:
    found = hints()
    assert found["artifacts.types.demand"] == [
        "wmtp materialize {name} --force",
        "wmtp materialize {name}",
    ]
    assert len(found) > 20


def test_commands_are_read_from_what_is_printed() -> None:
    assert printed_commands("x. What to do: `mv a b`, then `wmtp materialize`.") == [
        "mv a b",
        "wmtp materialize",
    ]
    assert printed_commands("in f; hint: wmtp materialize datasets/x_test --force") == [
        "wmtp materialize datasets/x_test --force"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.place} {one.hint[:20]}")
def test_the_printed_command_repairs_what_it_was_printed_for(
    scenario: Scenario, project: Project, tmp_path: Path
) -> None:
    world = tiny.rows(project, tmp_path / "world")
    assert world.opens()
    scenario.broken(world.storage)
    met = shell(world, scenario.met_by)
    text = met.stdout + met.stderr
    assert met.returncode == scenario.status, text
    commands = printed_commands(text)
    assert any(scenario.hint in command for command in commands), text
    # One after the other, as printed, until nothing is wrong any more.
    for _ in range(4):
        for command in commands:
            done = shell(world, command)
            if shell(world, "wmtp gate").returncode == 0:
                return
        commands = printed_commands(done.stdout + shell(world, "wmtp gate").stdout)
        assert commands, "what was printed did not repair it, and nothing else is printed"
    pytest.fail(f"still closed after what was printed: {json.dumps(commands)}")
