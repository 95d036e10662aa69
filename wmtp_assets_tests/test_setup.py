"""What `tooling/setup.sh` shows while pip installs, with a pip that only talks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wmtp_assets_tests.hub.test_terminal import on_a_terminal

ROOT = Path(__file__).parents[1]
PYTHON = r"""#!/bin/sh
case "$*" in
*--version*) exit 0 ;;
esac
echo "Collecting torch<2.14,>=2.13 (from wmtp-assets==0.1.0)"
echo "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (865.2 MB)"
echo "Collecting numpy==2.4.6"
[ -z "$FAILS" ] || { echo "ERROR: no such package" >&2; exit 1; }
echo "Installing collected packages: numpy, torch, wmtp-assets"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "tooling").mkdir()
    shutil.copy(ROOT / "tooling/setup.sh", tmp_path / "tooling")
    folder = tmp_path / ".venv/bin"
    folder.mkdir(parents=True)
    for name in ("python", "wmtp"):
        (folder / name).write_text(PYTHON, encoding="utf-8")
        (folder / name).chmod(0o755)
    return tmp_path


def test_a_log_gets_a_line_per_phase(checkout: Path) -> None:
    done = subprocess.run(
        [checkout / "tooling/setup.sh"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "setup: installing into .venv (some minutes and 1.5 GB of packages the first time) ...",
        "setup: looking up and downloading packages ...",
        "setup: installing 3 packages (a minute or two) ...",
    ]


def test_a_terminal_shows_each_package_on_one_line(checkout: Path) -> None:
    drawn = on_a_terminal([str(checkout / "tooling/setup.sh")], 80, lambda _: None)
    frames = drawn.split("\r\x1b[K")
    assert "setup: package 1: torch<2.14,>=2.13" in frames
    assert any(frame.startswith("setup: downloading torch-2.13.0") for frame in frames)
    assert "setup: installing 3 packages (a minute or two) ..." in frames
    assert frames[-1] == "", "the line is given back"
    assert all(len(frame) < 80 for frame in frames[1:])


def test_what_pip_refuses_is_shown_and_the_status_is_kept(checkout: Path) -> None:
    done = subprocess.run(
        [checkout / "tooling/setup.sh"],
        env=os.environ | {"FAILS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ERROR: no such package" in done.stderr
    assert "setup: pip could not install the packages (see above)" in done.stderr
