"""`wmtp`: everything that the pages do, for machines without a browser.

Here: arguments, output and exit statuses. What a command does is in `artifacts/`, `orchestration/`
and `web/`. Exit status: 0 done and sound, 1 something is wrong with the artifacts (a blocking check
failed, the gate is closed), 2 it could not be tried (a mistake in the call or the catalog, no
network, a full disk).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from wmtp_assets import interrupts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


# Variables in which libraries find paths. huggingface_hub reads its own when it is imported.
_PATHS = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "HF_HOME",
    "HF_TOKEN_PATH",
    "HF_XET_CACHE",
    "XDG_CACHE_HOME",
)


_EPILOG = """\
the environment:
  WMTP_CATALOG   sample (the default), full, or the path of a catalog
  WMTP_STORAGE   the folder that everything is written to; default: storage
  WMTP_HUB       a directory mirror to fetch from; default: the Hub, or the generated sample
                 where the catalog says so (hub: sample)
  WMTP_ENGINE    where what is heavy and divisible is done: local (the default), or ray
  HF_TOKEN       the token for gated repositories; default: the one that hf auth login saved
  PORT           the port of the page; default: 3000
  DAGSTER_HOME   the folder of Dagster's history; default: one for each storage and catalog
  WMTP_WEBHOOK_URL   where the sensor `notify` sends failures: a webhook of Slack or Microsoft
                 Teams, a secret; WMTP_WEBHOOK_KIND says which (slack, teams) for another host
  WMTP_PAGE_URL  the address under which people reach the page, for links in messages
  WMTP_DEBUG     1 shows where an unexpected error comes from

exit statuses:
  0              done, and sound
  1              something is wrong with the artifacts: a blocking check failed, the gate is closed
  2              it could not be tried: a mistake in the call or the catalog, no network, no space
  129, 130, 143  ended by a hangup, by Ctrl-C, by SIGTERM
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; an error that a person must act on is one message on standard error.

    Without `arguments` it is the process's own command line: the process then ends here, and on
    SIGINT, SIGTERM and SIGHUP with 130, 143 and 129.
    """
    if arguments is not None:
        return _attempt(arguments)
    _open_streams()
    if sys.flags.optimize:
        _start_unoptimized()
    interrupts.install()  # before anything slow is imported
    if sys.stderr.isatty():
        from wmtp_assets.progress import use_terminal

        use_terminal()
    return interrupts.leave(_attempt(None))


def _open_streams() -> None:
    """Leads standard streams that are closed (`>&-`) nowhere.

    Else the next file that is opened would get their number, and what a library or a child process
    prints would be written into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def _start_unoptimized() -> NoReturn:
    """Becomes the same command of a Python that keeps docstrings and asserts.

    Libraries that load checkpoints build classes from docstrings, and fail without them.
    """
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environment = {n: value for n, value in os.environ.items() if n != "PYTHONOPTIMIZE"}
    # -P and the path that is in force: what is imported stays what it is, wherever this is run.
    command = [sys.executable, "-P", "-m", "wmtp_assets.cli", *sys.argv[1:]]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment | {"PYTHONPATH": path})  # noqa: S606 - ourselves


def _attempt(arguments: Sequence[str] | None) -> int:
    for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")  # bars of libraries hide what a person reads
    for name in _PATHS:  # Dagster's processes work in another folder than the user does
        if (path := os.environ.get(name)) and not path.startswith("~"):
            os.environ[name] = str(Path(path).absolute())
    given = _parser().parse_args(arguments)
    from wmtp_assets.cli.common import DONE, REFUSED

    interrupts.command_starts_over(getattr(given, "starts_over", False))
    try:
        if arguments is None and not getattr(given, "serves", False):
            status = interrupts.in_a_thread(lambda: int(given.run(given)))
        else:
            status = int(given.run(given))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        print(_one_line(error), file=sys.stderr)
        if os.environ.get("WMTP_DEBUG"):
            import traceback

            traceback.print_exception(error)
        return REFUSED
    return status


def _one_line(error: Exception) -> str:
    from wmtp_assets.cli.common import plain
    from wmtp_assets.errors import WmtpError

    if isinstance(error, OSError) and error.filename is not None:
        from wmtp_assets.storage.errors import refused

        error = refused(error)
    if isinstance(error, WmtpError):
        return plain(f"wmtp: {error}")
    text = " ".join(str(error).split())
    if isinstance(error, OSError):  # of a stream, such as a standard output that is full
        return plain(f"wmtp: {text}")
    return plain(
        f"wmtp: {type(error).__name__}: {text} (unexpected; with WMTP_DEBUG=1 the same command "
        "shows where)"
    )


def _parser() -> argparse.ArgumentParser:
    import argparse

    from wmtp_assets.cli import (
        buckets,
        cluster,
        licences,
        models,
        moving,
        notify,
        pages,
        runs,
        signing,
        upstream,
        versions,
    )

    parser = argparse.ArgumentParser(
        prog="wmtp",
        description="Fetches, converts and verifies the checkpoints and datasets of WMTP research.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    groups = (
        runs,
        pages,
        upstream,
        licences,
        versions,
        moving,
        buckets,
        models,
        signing,
        notify,
        cluster,
    )
    for group in groups:
        group.register(commands)
    return parser
