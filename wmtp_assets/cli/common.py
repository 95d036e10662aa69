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


def show(as_json: bool, value: object, text: str, *, sound: bool = True) -> None:
    """Prints the value `as_json`, or the text: where something is not `sound`, first how to run the
    commands in it."""
    if as_json:
        print(json.dumps(value, indent=2))
        return
    if not sound:
        _tell_where_wmtp_is()
    print(plain(text))


def _tell_where_wmtp_is() -> None:
    """Commands are printed to be copied: says how, where the shell would not find `wmtp` (as after
    `make run`, which calls it by its path). The verdict stays the last line."""
    import shlex
    import shutil
    import sys
    from pathlib import Path

    folder = Path(sys.executable).parent
    if shutil.which("wmtp") is None and (folder / "wmtp").is_file():
        line = f"`export PATH={shlex.quote(str(folder))}:$PATH`"
        print(f"To run the commands below as they are printed: {line}\n")


def plain(text: str) -> str:
    """The text, with what a terminal would obey or cannot show (in a file's name) spelled out."""
    return "".join(
        char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text
    )


def counted(number: int, word: str) -> str:
    """As in "1 set", "2 sets"."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
