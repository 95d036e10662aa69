"""What the commands share: exit statuses, the project that the environment names, output."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wmtp_assets.artifacts import Project
    from wmtp_assets.artifacts.settings import Settings

DONE, WRONG, REFUSED = 0, 1, 2


def open_project(settings: Settings | None = None) -> Project:
    """The project of `settings`, else the one that WMTP_CATALOG, WMTP_STORAGE and WMTP_HUB name.

    Raises CatalogError, SettingsError.
    """
    from wmtp_assets.artifacts import Project
    from wmtp_assets.artifacts.settings import Settings

    return Project.from_settings(settings or Settings.from_environment())


def add_json(parser: argparse.ArgumentParser) -> None:
    """The flag of every command that a program would read."""
    parser.add_argument("--json", action="store_true", help="one JSON value on standard output")


def show(given: argparse.Namespace, value: object, text: str) -> None:
    """Prints the value as JSON where that was asked for, else the text."""
    print(json.dumps(value, indent=2) if given.json else plain(text))


def plain(text: str) -> str:
    """The text, with what a terminal would obey or cannot show (in a file's name) spelled out."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )
