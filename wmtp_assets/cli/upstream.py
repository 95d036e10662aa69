"""The commands about sources: doctor, mirror, pin."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wmtp_assets.cli.common import DONE, WRONG, add_json, open_project, show


def register(commands: Any) -> None:
    """Adds these commands to the parser."""
    doctor = commands.add_parser(
        "doctor", help="check whether everything that a run needs is there; fetches nothing"
    )
    doctor.add_argument(
        "directory",
        type=Path,
        nargs="?",
        help="a copied folder, to check instead for missing files and broken links",
    )
    add_json(doctor)
    doctor.set_defaults(run=_doctor, starts_over=True)

    mirror = commands.add_parser("mirror", help="fetch the catalog's files into a directory mirror")
    mirror.add_argument("directory", type=Path, help="the folder to make or complete")
    mirror.set_defaults(run=_mirror)

    pin = commands.add_parser("pin", help="pin a repository in a catalog of your own to a commit")
    pin.add_argument("repository", help="org/name, as in the catalog")
    pin.add_argument(
        "revision", help="a commit (40 hex digits); a branch or tag is resolved now, once"
    )
    pin.set_defaults(run=_pin)


def _doctor(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.requirements import examine, page

    if given.directory is not None:
        from wmtp_assets.cli.moving import doctor_of_a_copy

        return doctor_of_a_copy(given)
    facts = examine(open_project())
    sound = not any(fact.state == "problem" for fact in facts)
    value = {"sound": sound, "facts": [asdict(fact) for fact in facts]}
    show(given.json, value, page(facts), sound=sound)
    return DONE if sound else WRONG


def _mirror(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.upstream_files import require_pins, wanted_of
    from wmtp_assets.hub.mirror import mirror

    project = open_project()
    require_pins(project.catalog, project.upstream_files())
    hub = project.hub()
    wanted = [wanted_of(hub, files) for files in project.upstream_files()]
    fetched = mirror(hub, wanted, given.directory)
    count = sum(len(files) for files in fetched.values())
    print(f"{count} files are in {given.directory}, verified.")
    print("`sha256sum -c SHA256SUMS`, in that folder, verifies them again.")
    print(f"Use it with WMTP_HUB={given.directory.absolute()}")
    return DONE


def _pin(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.settings import Settings
    from wmtp_assets.artifacts.upstream_files import listing_at
    from wmtp_assets.catalog.pin import check_own, pin

    catalog = Settings.from_environment().catalog
    check_own(catalog, given.repository, given.revision)
    project = open_project()
    (wanted,) = [one for one in project.upstream_files() if one.repo.name == given.repository]
    commit, listing, trouble = listing_at(project.hub(), wanted.repo, given.revision)
    for line in pin(catalog, given.repository, commit, listing):
        print(line)
    if trouble is not None:
        print(f"wmtp: upstream was not asked for digests. {trouble}", file=sys.stderr)
    return DONE
