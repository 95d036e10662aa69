"""docs/offline-server.md, executed: its server has no network at all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifacts.editions import small
from wmtp_assets_tests.orchestration.tiny import catalog_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "offline-server.md"
NO_NETWORK = ("unshare", "--map-root-user", "--net")


def steps() -> dict[int, str]:
    """The shell of each numbered section."""
    sections = re.split(r"^## (\d)\. .*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {
        int(number): "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        for number, text in zip(sections[1::2], sections[2::2], strict=True)
    }
    assert sorted(found) == [1, 2, 3, 4]
    assert all(found.values())
    return found


def shell(
    text: str, folder: Path, environment: dict[str, str], *before: str
) -> subprocess.CompletedProcess[str]:
    """Executes a block to its end, or to the first command that fails."""
    return subprocess.run(
        [*before, "bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def without_network() -> None:
    for command in ("unshare", "rsync", "sha256sum"):
        if shutil.which(command) is None:
            pytest.skip(f"no {command} on this machine")
    if subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine grants no network namespace")


@pytest.mark.slow
def test_a_server_without_a_network_verifies_converts_and_opens_the_gate(
    project: Project, tmp_path: Path
) -> None:
    without_network()
    # The folders of the page lie below the test's own, and every server is this machine.
    data, opt = tmp_path / "data", tmp_path / "opt" / "wmtp"
    data.mkdir()
    blocks = {
        number: re.sub(r"\b(?:server|gpu\d):", "", text)
        .replace("/data/", f"{data}/")
        .replace("/opt/wmtp", str(opt))
        for number, text in steps().items()
    }
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WMTP_", "DAGSTER_", "PYTEST_"))
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PIP_NO_DEPS": "1",  # the packages that this one needs are 1.5 GB
    }
    here = tmp_path / "here"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "wmtp_assets", "pyproject.toml", "constraints.txt", "README.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")[:-1]
    for name in tracked:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, here / name)
    (here / "my.yaml").write_text(catalog_text(small(project.catalog)), encoding="utf-8")

    hub = {"WMTP_HUB": str(project.hub_spec)}  # stands in for the Hub, on this machine alone
    done = shell(blocks[1] + blocks[2], here, environment | hub)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.name.partition("-")[0] for one in (data / "carry/wheels").iterdir()] == [
        "wmtp_assets"
    ]

    # What the wheel needs is taken from this environment; of a package in both, the wheel's comes.
    installs = re.search(r"^.* -m pip install .*\n", blocks[3], re.MULTILINE)
    assert installs
    site = opt / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    others = f"echo {sysconfig.get_path('purelib')} > {site}/others.pth\n"
    server = blocks[3].replace(installs[0], installs[0] + others)
    asked = (
        "\ncd /\npython -c 'import wmtp_assets; print(wmtp_assets.__file__)'\ncommand -v wmtp\n"
        "cat /proc/net/dev\n"
    )
    done = shell(server + asked + blocks[4], here, environment, *NO_NETWORK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{site}/wmtp_assets/__init__.py\n{opt}/bin/wmtp\n" in done.stdout, "what was carried"
    assert re.findall(r"^ *(\w+):(?: +\d+){16}$", done.stdout, re.MULTILINE) in ([], ["lo"])
    assert done.stdout.count("The gate is OPEN") == 3
    assert (data / "train" / "models_v2").is_dir()

    # The carried files are the evidence: one that changed on the way is found before it is used.
    broken = next(one for one in (data / "carry/hub").rglob("*.parquet"))
    broken.write_bytes(b"\0" + broken.read_bytes()[1:])
    done = shell(server.partition("python")[0], here, environment, *NO_NETWORK)
    assert done.returncode == 1
    assert broken.name in done.stdout
