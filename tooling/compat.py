"""Loads what a storage publishes in several versions of transformers, and compares with ours.

usage: .venv/bin/python tooling/compat.py [--storage DIR] [--keep DIR] [VERSION...]

For each version a throw-away virtual environment is made, in which pip installs that version (and
the tokenizers and huggingface_hub that it asks for) above this project's own packages, torch among
them. `compat_probe.py` then loads, there, every `hf/` and `sharded/` folder of the storage and a
tiny converted model of each accepted model_type, and the results are compared with those of the
version that the project itself uses. Prints docs/compatibility.md's table; exit status 1 where a
folder of the storage does not load or gives something else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

from wmtp_assets_tests.checkpoints.lookalikes import save_lookalike
from wmtp_assets_tests.checkpoints.test_families import VARIANTS, converted

VERSIONS = ("4.36.2", "4.40.2", "4.44.2", "4.46.3", "4.48.3", "4.53.3", "4.57.1", "5.0.0")
PROBE = Path(__file__).with_name("compat_probe.py")
CLOSE = 1e-3  # of logits around 10: versions order float32 sums differently


def environment(folder: Path, version: str) -> Path:
    """The python of a virtual environment with that version above the project's packages."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        (packages,) = folder.glob("lib/python3*/site-packages")
        (packages / "project.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        install = [str(python), "-m", "pip", "install", "-q", "--no-warn-conflicts"]
        subprocess.run([*install, f"transformers=={version}"], check=True)  # noqa: S603
    return python


def probed(python: Path | str, out: Path, folders: list[Path]) -> dict[str, Any]:
    """What `compat_probe.py` finds with that python, by folder."""
    command = [str(python), str(PROBE), str(out), *map(str, folders)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    found: dict[str, Any] = json.loads(out.read_bytes())
    return found


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """In which ways one folder's results are not those of the project's own version."""
    if "error" in found:
        return [found["error"].splitlines()[0][:90]]
    wrong = []
    logits, expected = (np.array(one["logits"]) for one in (found, wanted))
    if (worst := float(np.abs(logits - expected).max())) > CLOSE:
        agree = (logits.argmax(-1) == expected.argmax(-1)).mean()
        wrong.append(f"logits differ by {worst:.2g} ({agree:.0%} of the argmax agree)")
    elif found["generated"] != wanted["generated"] and found.get("ids") == wanted.get("ids"):
        wrong.append("generate gives other ids")
    ids = zip(found.get("ids", []), wanted.get("ids", []), strict=True)
    if other := sum(one != two for one, two in ids):
        wrong.append(f"other ids for {other} of {len(wanted['ids'])} texts")
    return wrong


def row(version: str, found: dict[str, Any], wanted: dict[str, Any], published: set[str]) -> str:
    """One line of the table."""
    wrong = {name: differences(found[name], wanted[name]) for name in wanted if name in found}
    ours = sorted({one for name in published for one in wrong[name]})
    tiny = {Path(name).name: wrong[name] for name in wrong if name not in published}
    good = [name for name, faults in tiny.items() if not faults]
    bad = "; ".join(f"{name}: {', '.join(faults)}" for name, faults in tiny.items() if faults)
    result = "; ".join(ours) or f"all {len(published)} equal"
    return f"| {version} | {result} | {len(good)} of {len(tiny)} | {bad or '-'} |"


def main() -> int:
    """Make, probe, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--storage", type=Path, default=Path("storage"))
    parser.add_argument("--keep", type=Path, help="a folder for the environments, to use again")
    given = parser.parse_args()
    models = given.storage.resolve() / "models_v2"
    folders = sorted(
        path.parent for path in models.glob("*/*/config.json") if path.parent.name != "configs"
    )
    folders = [path for path in folders if "LlamaModel" not in (path / "config.json").read_text()]
    if not folders:
        print(f"Nothing is published in {models}: run `make materialize` first.", file=sys.stderr)
        return 2
    published = {str(path) for path in folders}
    status = 0
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        for number, (name, (kind, settings)) in enumerate(VARIANTS.items()):
            saved = save_lookalike(kind, work / f"upstream-{number}", **settings)
            folders.append(converted(saved, saved.config, work / name.replace(",", "")))
        wanted = probed(sys.executable, work / "own.json", folders)
        own = wanted.pop("transformers")
        print(f"| transformers | hf/ and sharded/, against {own} | tiny models | of these, not |")
        print("| --- | --- | --- | --- |")
        for version in given.versions:
            python = environment((given.keep or work) / version, version)
            found = probed(python, work / f"{version}.json", folders)
            print(row(version, found, wanted, published), flush=True)
            known = [differences(found[name], wanted[name]) for name in published]
            status |= any("ids for" not in one for faults in known for one in faults)
    return status


if __name__ == "__main__":
    sys.exit(main())
