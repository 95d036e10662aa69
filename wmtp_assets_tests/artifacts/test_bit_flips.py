"""200 random single-bit flips over all published files: each found, named, and closing the gate."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.common import files_unchanged
from wmtp_assets.artifacts.gate import judge
from wmtp_assets.artifacts.signing import published_files
from wmtp_assets.cli import main
from wmtp_assets.findings import Finding

FLIPS, THROUGH_THE_COMMAND = 200, 12


def flip(path: Path, bit: int) -> None:
    """Turns over one bit of a file in place; twice is never."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ (1 << bit % 8)]))


def places(project: Project) -> dict[Path, str]:
    """Every published file by where it really lies, with the artifact that it belongs to."""
    found = {}
    for path in published_files(project):
        file = (project.storage / path).resolve()
        folder = file.relative_to(project.store.root / "versions")
        (name,) = [name for name in project.artifacts if folder.is_relative_to(name)]
        found[file] = name
    return found


def test_each_of_200_flipped_bits_is_found_and_its_file_named(at_hand: Project) -> None:
    chance = random.Random(200)
    owners = places(at_hand)
    files = sorted(owners)
    assert len(files) > 70
    named = closed = 0
    for _ in range(FLIPS):
        path = chance.choice(files)
        bit = chance.randrange(path.stat().st_size * 8)
        name = owners[path]
        artifact = at_hand.artifacts[name]
        flip(path, bit)
        wrong = at_hand.store.mismatches(name, deep=True)
        flip(path, bit)
        assert [mismatch.file for mismatch in wrong] == [path]
        named += 1
        if artifact.status == "required":
            finding = Finding(
                files_unchanged.name, False, wrong[0].expected, wrong[0].found, str(wrong[0].file)
            )
            said: dict[str, list[Finding]] = {
                one.name: [] for one in at_hand.artifacts.values() if one.status == "required"
            }
            assert judge(at_hand, said, []).open
            verdict = judge(at_hand, {**said, name: [finding]}, [])
            assert not verdict.open
            reasons = [
                r for c in verdict.conditions if c.name == "sha256_verified" for r in c.reasons
            ]
            assert [reason.where for reason in reasons] == [str(path)]
            closed += 1
    print(
        f"{named} of {FLIPS} flips found and named over {len(files)} files; "
        f"{closed} in required artifacts, each of which closed the gate"
    )
    assert named == FLIPS
    assert all(at_hand.store.mismatches(name, deep=True) == [] for name in set(owners.values()))


def test_the_commands_name_every_flipped_file_and_the_gate_is_closed(
    at_hand: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.setenv("WMTP_STORAGE", str(at_hand.storage))
    monkeypatch.setenv("WMTP_HUB", str(at_hand.hub_spec))
    chance = random.Random(12)
    by_artifact: dict[str, list[Path]] = defaultdict(list)
    for path, name in sorted(places(at_hand).items()):
        by_artifact[name].append(path)
    broken = {
        name: chance.choice(by_artifact[name])
        for name in chance.sample(sorted(by_artifact), THROUGH_THE_COMMAND)
    }
    for path in broken.values():
        flip(path, chance.randrange(path.stat().st_size * 8))
    assert main(["verify", "--deep"]) == 1
    said = capsys.readouterr().out
    for name, path in broken.items():
        lines = [
            line
            for line in said.splitlines()
            if f"WRONG: {name} files_unchanged" in line
            or f"warning: {name} files_unchanged" in line
        ]
        assert len(lines) == 1, name
        assert str(path) in lines[0]
    assert main(["gate", "--json"]) == 1
    conditions = json.loads(capsys.readouterr().out)["conditions"]
    (verified,) = [one for one in conditions if one["name"] == "sha256_verified"]
    reasons = {reason["file"] for reason in verified["reasons"]}
    for name, path in broken.items():
        assert (str(path) in reasons) == (at_hand.artifacts[name].status == "required")
