"""A conversion killed, or failed by its disk, at every operation: the old file, or the new one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from wmtp_assets.checkpoints import convert as conversion
from wmtp_assets.checkpoints.convert import convert, plan_conversion
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.errors import WmtpError
from wmtp_assets.storage import disk
from wmtp_assets_tests.checkpoints.models import MTP_PARAMS, mtp_tensors, save
from wmtp_assets_tests.storage.faults import FaultyDisk, Killed


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(conversion, "BLOCK", 64 << 10)  # so that there are many operations
    source = open_source([save(mtp_tensors(), tmp_path / "a.pth")])
    return plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16")


def operations(plan: Plan, target: Path) -> int:
    with FaultyDisk() as faulty:
        convert(plan, target)
    return faulty.count


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(disk.LEFTOVERS)]


def test_a_kill_at_any_operation_leaves_the_old_file_or_the_new(plan: Plan, tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    count = operations(plan, target)
    new = target.read_bytes()
    assert count > 10
    seen = set()
    for at in range(1, count + 1):
        target.write_bytes(b"old")
        with FaultyDisk(at), pytest.raises(Killed):
            convert(plan, target)
        assert target.read_bytes() in (b"old", new)
        seen.add(target.read_bytes() == new)
        # What a killed process leaves is named so that `wmtp gc` knows it.
        assert {path.name for path in tmp_path.iterdir()} <= {
            "a.pth",
            target.name,
            *leftovers(tmp_path),
        }
    assert seen == {True, False}
    convert(plan, target)
    assert target.read_bytes() == new


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_error_at_any_operation_is_one_clear_error_and_leaves_nothing_half_done(
    plan: Plan, tmp_path: Path, code: int
) -> None:
    target = tmp_path / "model.safetensors"
    count = operations(plan, target)
    new = target.read_bytes()
    for at in range(1, count + 1):
        target.write_bytes(b"old")
        with FaultyDisk(at, code), pytest.raises(WmtpError, match="did not succeed"):
            convert(plan, target)
        assert target.read_bytes() in (b"old", new)
        assert leftovers(tmp_path) == []
