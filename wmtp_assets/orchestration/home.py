"""Where Dagster keeps its history: one home for each storage and catalog.

A history says "this asset was made, and is sound". That is true of one storage only, so a home
records which storage and catalog it belongs to, and no other is let in.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.settings import absolute
from wmtp_assets.errors import WmtpError
from wmtp_assets.orchestration.names import STATE, state_of
from wmtp_assets.orchestration.postgres import (
    connections_kept,
    is_package_missing,
    one_warning,
    other_owner,
    problem_of,
)
from wmtp_assets.orchestration.quick_history import quick_history
from wmtp_assets.storage.locks import exclusive

CONFIG = "dagster.yaml"
RECORD = "belongs-to.json"
_OURS = Path(__file__).with_name(CONFIG)
_OPENING = "opening.lock"
_HINT = "set DAGSTER_HOME to a folder of your own, for example `export DAGSTER_HOME=~/.wmtp`."
# SHA-256 of the configurations that this package shipped before: a copy of one is replaced.
_SUPERSEDED = frozenset(
    {
        "02165f1ecd9cecdb4cf5da4a83444416de0582ef8a2fe836f6e6d213f2eebc76",
        "2ea157d14bc53fe2ddd116d5a3cb0abf47c85cbf576e0efa793b768f5a35183d",
        "c8337adaca4f86eda7b811e97afe7272943346ba2b6e676701f8d270ad988742",
        "de49a4e40355a1d28cc660a0ab35106b1befcdeb301a03508c1daf9f2a4d6a5d",
    }
)

# What is said of databases that were made by two processes at once, or damaged.
_BROKEN = ("alembic_version", "already exists", "no such table", "malformed", "not a database")


class HomeError(WmtpError):
    """Dagster has no folder to keep its history in."""


def home(project: Project, environment: Mapping[str, str] | None = None) -> Path:
    """The absolute path of the project's Dagster home, which can be written when this returns.

    DAGSTER_HOME where that is set; else a folder of this storage and catalog alone, below the
    checkout that this package lies in, or (an installed package, a read-only checkout) below
    XDG_STATE_HOME. A home that is absent or empty is made, with the configuration that this package
    ships. Raises HomeError, also where DAGSTER_HOME belongs to another storage or catalog.
    """
    values = os.environ if environment is None else environment
    given = values.get("DAGSTER_HOME")
    if given:
        folder = absolute(given, "DAGSTER_HOME")
        earlier = None
    else:
        earlier = _base(values)
        folder = earlier / STATE / "homes" / _name(project)
    with _locked(folder):
        _refuse_environment_file(folder)
        _make(folder, earlier)
        _claim(folder, project)
    return folder


def enter_home(project: Project) -> Path:
    """Makes Dagster use `home()`: relative folders in dagster.yaml are relative to it."""
    there = home(project)
    os.environ["DAGSTER_HOME"] = str(there)
    os.chdir(there)
    return there


def claim_home(project: Project) -> None:
    """Raises HomeError where the DAGSTER_HOME that Dagster was started in, by whatever command,
    belongs to another storage or catalog."""
    folder = absolute(os.environ["DAGSTER_HOME"], "DAGSTER_HOME")
    with _locked(folder):
        _claim(folder, project)


@contextmanager
def open_instance(*, for_good: bool = False) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance in the home that was entered. Raises HomeError.

    `for_good`: for a server, which opens the database of each run that is looked at and must not
    keep them all open.

    One process at a time opens a home: the first makes its databases, and two that make them at
    once leave ones that no later process can open. HomeError is also raised from the block, for
    a history in Postgres whose server fails.
    """
    where = Path(os.environ.get("DAGSTER_HOME", "."))
    with ExitStack() as stack:
        with _locked(where):
            try:
                with one_warning():
                    instance = stack.enter_context(dg.DagsterInstance.get())
                owner = other_owner(instance, state_of(where))
            except Exception as error:  # YAML's, Dagster's, SQLAlchemy's: a person wrote it
                raise _unusable(where, error) from error
        if owner is not None:
            raise _of_another_home(where, *owner)
        if not for_good:
            stack.enter_context(quick_history())
            stack.enter_context(connections_kept(instance))
        try:
            yield instance
        except Exception as error:
            if isinstance(error, WmtpError) or problem_of(error) is None:
                raise
            raise _unusable(where, error) from error


def _unusable(where: Path, error: Exception) -> HomeError:
    said = problem_of(error)
    if said is not None:
        hint = (
            "PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD (or PGPASSFILE) say where the "
            "server is and who asks; they are right when `psql -c 'select 1'` answers. "
            "What was made is kept: the same command continues."
        )
    elif is_package_missing(error):
        hint = "`pip install 'wmtp-assets[postgres]'`"
    else:
        hint = _remedy(where, str(error))
    return HomeError(
        "Dagster cannot use its home" if said is None else "Dagster's history in Postgres fails",
        found=said or " ".join(str(error).split()) or type(error).__name__,
        where=where,
        hint=hint,
    )


def _of_another_home(where: Path, owner: str, command: str) -> HomeError:
    return HomeError(
        "The history in this Postgres database belongs to another Dagster home",
        expected="a database for each home: the page of one would end the runs of the other",
        found=f"the history of {owner}",
        where=where,
        hint="`createdb wmtp_2 && export PGDATABASE=wmtp_2` (with a name of your choice). Where "
        f"that home is gone, or this is a copy of it: `{command}`",
    )


def _base(values: Mapping[str, str]) -> Path:
    """The folder that held the one home of all storages before each had its own."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / CONFIG).is_file() and os.access(checkout, os.W_OK | os.X_OK):
        return checkout
    state = values.get("XDG_STATE_HOME") or "~/.local/state"
    return absolute(state, "XDG_STATE_HOME") / "wmtp"


def _name(project: Project) -> str:
    """A folder's name for the project's storage and catalog."""
    storage = os.path.realpath(project.storage)
    digest = hashlib.sha256(f"{project.catalog.name}\0{storage}".encode(errors="surrogateescape"))
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", project.catalog.name)
    return f"{plain}-{digest.hexdigest()[:12]}"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the home's lock for the block; makes the folder. Raises HomeError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no permission to write")
        with exclusive(state_of(folder) / _OPENING, machines=False):
            yield
    except HomeError:
        raise
    except (OSError, WmtpError) as error:
        found: object = error
        if isinstance(error, OSError):
            code = errno.errorcode.get(error.errno or 0, "no code")
            found = f"{error.strerror or error} ({code})"
        raise HomeError(
            "Dagster's home cannot be made or written",
            expected="a folder that this user can write",
            found=found,
            where=folder,
            hint=_HINT,
        ) from error


def _make(folder: Path, earlier: Path | None) -> None:
    """Sets up a home that is empty, and brings the configuration up to date.

    The history that all storages had in common, in `earlier`, becomes that of the first home.
    """
    config = folder / CONFIG
    if {path.name for path in folder.iterdir()} == {STATE}:
        there = {path.name for path in (folder / STATE).iterdir()}
        if there == {_OPENING}:
            common = earlier / CONFIG if earlier is not None else None
            if earlier is not None:
                _move_history(earlier, folder)
            if common is not None and common.is_file() and not _is_superseded(common):
                config.symlink_to(os.path.relpath(common, folder))
            else:
                shutil.copyfile(_OURS, config)
    if config.is_file() and _is_superseded(config):
        replacement = folder / STATE / CONFIG
        shutil.copyfile(_OURS, replacement)
        replacement.replace(config)


def _is_superseded(config: Path) -> bool:
    return hashlib.sha256(config.read_bytes()).hexdigest() in _SUPERSEDED


def _move_history(earlier: Path, folder: Path) -> None:
    for part in ("history", "logs", "artifacts"):
        if (earlier / STATE / part).is_dir():
            (earlier / STATE / part).rename(folder / STATE / part)


def _refuse_environment_file(folder: Path) -> None:
    """Raises HomeError where the page would get other settings than `wmtp` in the same shell.

    Dagster reads a `.env` of its working folder in the code server, over what is exported.
    """
    path = folder / ".env"
    if path.exists():
        old = shlex.quote(str(path))
        raise HomeError(
            "This Dagster home contains a .env, which would apply to the page but not to wmtp",
            expected="settings in the environment alone",
            where=path,
            hint=f"`mv {old} {old}.unused`, and export what it sets before you call wmtp: "
            f"`set -a; . {old}.unused; set +a`",
        )


def _claim(folder: Path, project: Project) -> None:
    """Records that the home belongs to the project. Raises HomeError where another's record is."""
    path = folder / STATE / RECORD
    storage = os.path.realpath(project.storage)
    # Relative too: a home and its storage may be moved together.
    ours = {
        "catalog": project.catalog.name,
        "storage": storage,
        "storage_from_home": os.path.relpath(storage, folder),
    }
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        found = None
    except ValueError:
        found = {}
    if found == ours:
        return
    if found is not None:
        known = found if isinstance(found, dict) else {}
        same_place = any(known.get(k) == ours[k] for k in ("storage", "storage_from_home"))
        if known.get("catalog") != ours["catalog"] or not same_place:
            raise HomeError(
                "This Dagster home belongs to another storage or catalog, whose history it shows",
                expected=f"the catalog {ours['catalog']} in {storage}",
                found=f"the catalog {known.get('catalog')} in {known.get('storage')}",
                where=folder,
                hint="`unset DAGSTER_HOME` (each storage and catalog then has a home of its own), "
                "or name another folder in it. Where the storage was moved, or its catalog "
                f"renamed: `rm {shlex.quote(str(path))}`",
            )
    written = path.with_suffix(".new")
    written.write_text(json.dumps(ours, indent=2) + "\n", encoding="utf-8")
    written.replace(path)


def _remedy(folder: Path, problem: str) -> str:
    """What to do about a home that Dagster cannot open."""
    broken = any(words in problem for words in _BROKEN)
    for history in (folder / STATE / "history", folder / "history"):
        if broken and history.is_dir():
            old = shlex.quote(str(history))
            return (
                f"move the history aside, and a new one begins: `mv {old} {old}.broken` "
                "(no artifact is touched)"
            )
    return f"correct {CONFIG} there, or {_HINT}"
