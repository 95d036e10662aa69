"""Nothing but our own words on the terminal: libraries' progress bars stay off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project


@pytest.mark.slow
def test_the_gate_says_nothing_on_standard_error_while_models_load(
    copied: Project, tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if "TQDM" not in name}
    done = subprocess.run(
        [Path(sys.executable).with_name("wmtp"), "gate"],
        cwd=tmp_path,
        env=environment | {"WMTP_STORAGE": str(copied.storage), "WMTP_HUB": str(copied.hub_spec)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "The gate is OPEN" in done.stdout
    assert done.stderr == ""
