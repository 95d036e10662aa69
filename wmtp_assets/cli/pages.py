"""The command that writes a page: report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wmtp_assets.cli.common import DONE, WRONG, open_project, show


def register(commands: Any) -> None:
    """Adds this command to the parser."""
    report = commands.add_parser(
        "report", help="write a report on the storage as one HTML file that can be shared"
    )
    form = report.add_mutually_exclusive_group()
    form.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="default: report.html in the storage"
    )
    form.add_argument(
        "--json",
        action="store_true",
        help="instead of a report, print the quality figures of every split as one JSON value",
    )
    report.add_argument("--lang", choices=("en", "ko"), default="en", help="default en")
    report.set_defaults(run=_report)


def _report(given: argparse.Namespace) -> int:
    from wmtp_assets.pages.quality_facts import quality_document
    from wmtp_assets.pages.report import write_report
    from wmtp_assets.pages.text import size
    from wmtp_assets.storage.preflight import require_storage

    project = open_project()
    if given.json:
        document = quality_document(project)
        show(True, document, "")
        return DONE if all("trouble" not in one for one in document["splits"]) else WRONG
    if given.out is None:
        require_storage(project.storage, "The report")
    written = write_report(project, given.lang, given.out)
    print(f"The report is in {written} ({size(written.stat().st_size)}). It states the gate's last")
    print("verdict; `wmtp gate` asks the gate anew.")
    return DONE
