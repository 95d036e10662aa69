"""Every attack of this folder: refused by name or read right; never run, never large in memory."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets_tests.attacks.building import EXECUTED, Attack

KINDS = ("pickle_", "zip_", "index_", "header_", "value_")
ATTACKS = sorted(
    path.stem for path in Path(__file__).parent.glob("*.py") if path.stem.startswith(KINDS)
)


def build(name: str, folder: Path) -> Attack:
    module = importlib.import_module(f"wmtp_assets_tests.attacks.{name}")
    attack = module.build(folder)
    assert isinstance(attack, Attack)
    return attack


@pytest.mark.parametrize("name", ATTACKS)
def test_is_refused_by_name_or_read_right_and_never_run(name: str, tmp_path: Path) -> None:
    attack = build(name, tmp_path)
    if attack.refused is None:
        source = open_source(attack.files, attack.index)
        assert source.tensors.keys() == attack.reads.keys()
        for tensor, values in attack.reads.items():
            assert read_tensor(source.tensors[tensor]).tobytes() == values.tobytes()
        assert len(source.warnings) == len(attack.warns)
        for warning, part in zip(source.warnings, attack.warns, strict=True):
            assert part in warning
    else:
        with pytest.raises(CheckpointError) as caught:
            open_source(attack.files, attack.index)
        message = str(caught.value)
        assert attack.refused in message
        # A file is named, with what to do, and the message can be printed anywhere.
        assert caught.value.hint
        assert str(tmp_path) in message
        assert message.isprintable()
        assert len(message) < 1000
    assert not (tmp_path / EXECUTED).exists()


MEASURE = """
import sys
from pathlib import Path
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.source import open_source

def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024

for line in sys.stdin.read().splitlines():
    name, index, *files = line.split("\\t")
    Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
    try:
        open_source([Path(file) for file in files], Path(index) if index else None)
    except CheckpointError:
        pass
    print(name, peak())
assert "torch" not in sys.modules
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_no_attack_takes_200_mb_and_none_makes_us_import_torch(tmp_path: Path) -> None:
    lines = []
    for name in ATTACKS:
        folder = tmp_path / name
        folder.mkdir()
        attack = build(name, folder)
        lines.append("\t".join([name, str(attack.index or ""), *map(str, attack.files)]))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peaks = {name: int(megabytes) for name, megabytes in map(str.split, done.stdout.splitlines())}
    assert peaks.keys() == set(ATTACKS)
    assert {name: peak for name, peak in peaks.items() if peak >= 200} == {}
