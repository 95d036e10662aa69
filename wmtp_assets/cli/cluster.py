"""The command `slurm`: an array job of what an asset is made in."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import Any

from wmtp_assets.cli.common import DONE, add_json, open_project, show


def register(commands: Any) -> None:
    """Adds this command to the parser."""
    slurm = commands.add_parser(
        "slurm", help="write an array job for Slurm, to be read and submitted; makes nothing"
    )
    slurm.add_argument(
        "asset", nargs="+", help="keys of assets that are made in parts, such as executed rows"
    )
    slurm.add_argument(
        "--parts",
        type=_parts,
        metavar="N",
        help="maximum number of parts for each asset, 1 to 1000 (default: as before, else 100)",
    )
    add_json(slurm)
    slurm.set_defaults(run=_slurm)


def _parts(text: str) -> int:
    from wmtp_assets.artifacts.slurm import MOST_PARTS

    if not text.isdecimal() or not 1 <= int(text) <= MOST_PARTS:
        raise argparse.ArgumentTypeError(f"expected 1 to {MOST_PARTS}, found {text!r}")
    return int(text)


def _slurm(given: argparse.Namespace) -> int:
    import logging

    from wmtp_assets.artifacts.settings import Settings
    from wmtp_assets.artifacts.slurm import write_submission

    settings, log = Settings.from_environment(), logging.getLogger(__name__)
    project = open_project(settings)
    lines, values = [], []
    for name in dict.fromkeys(given.asset):
        done = write_submission(project, settings, name, log, given.parts)
        values.append({**asdict(done), "folder": str(done.folder)})
        lines.append(f"{name}: {done.missing} of {done.parts} parts are to be done")
        if done.made:
            lines.append(
                f"    it is up to date: only `wmtp materialize {name} --force` makes it again, "
                "from these parts"
            )
        if done.missing:
            lines.append(f"    read:   {shlex.quote(str(done.folder / 'array.sbatch'))}")
            lines.append(f"    submit: sh {shlex.quote(str(done.folder / 'submit.sh'))}")
        else:
            lines.append(f"    join:   wmtp materialize {name}")
    show(given.json, values, "\n".join(lines))
    return DONE
