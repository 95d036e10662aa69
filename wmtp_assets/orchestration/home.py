"""Where Dagster keeps its history: DAGSTER_HOME, the checkout, or a folder of the user's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts.settings import absolute
from wmtp_assets.errors import WmtpError
from wmtp_assets.orchestration.quick_history import quick_history

CONFIG = "dagster.yaml"
_OURS = Path(__file__).with_name(CONFIG)
_HINT = "set DAGSTER_HOME to a folder of your own, for example `export DAGSTER_HOME=~/.wmtp`."


class HomeError(WmtpError):
    """Dagster has no folder to keep its history in."""


def home(environment: Mapping[str, str] | None = None) -> Path:
    """The absolute path of Dagster's home, which exists and can be written when this returns.

    DAGSTER_HOME where that is set; else the checkout that this package lies in; else, for an
    installed package or a read-only checkout, `wmtp` below XDG_STATE_HOME. A home that is absent or
    empty is made, with the configuration that this package ships. Raises HomeError.
    """
    values = os.environ if environment is None else environment
    given = values.get("DAGSTER_HOME")
    if given:
        return _made(absolute(given, "DAGSTER_HOME"))
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / CONFIG).is_file() and os.access(checkout, os.W_OK | os.X_OK):
        return checkout
    state = values.get("XDG_STATE_HOME") or "~/.local/state"
    return _made(absolute(state, "XDG_STATE_HOME") / "wmtp")


def enter_home() -> Path:
    """Makes Dagster use `home()`: relative folders in dagster.yaml are relative to it."""
    there = home()
    os.environ["DAGSTER_HOME"] = str(there)
    os.chdir(there)
    return there


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's instance in the home that was entered. Raises HomeError."""
    try:
        instance = dg.DagsterInstance.get()
    except Exception as error:  # YAML's, Dagster's, SQLAlchemy's: the configuration is a person's
        raise HomeError(
            "Dagster cannot use its home",
            found=" ".join(str(error).split()) or type(error).__name__,
            where=os.environ.get("DAGSTER_HOME"),
            hint=f"correct {CONFIG} there, or {_HINT}",
        ) from error
    with instance, quick_history():
        yield instance


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            shutil.copyfile(_OURS, folder / CONFIG)
    except OSError as error:
        raise HomeError(
            "Dagster's home cannot be made",
            expected="a folder that this user can write",
            found=error.strerror or error,
            where=folder,
            hint=_HINT,
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HomeError(
            "Dagster's home cannot be written",
            expected="a folder that this user can write",
            where=folder,
            hint=_HINT,
        )
    return folder
