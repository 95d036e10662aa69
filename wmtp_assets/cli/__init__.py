"""`wmtp`: the same things as the pages do, for machines without a browser.

Exit status: 0 done and sound, 1 something is wrong with what is secured (a blocking check failed,
the gate is closed), 2 it could not be tried (a mistake in the call or the catalog, no network, a
full disk).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from wmtp_assets.cli import keeping, making, signing, upstream
from wmtp_assets.cli.common import DONE, REFUSED, plain
from wmtp_assets.errors import WmtpError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; what a person must mend is one message on standard error."""
    for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")  # bars of libraries drown what a person reads
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        status: int = given.run(given)
    except WmtpError as error:
        print(plain(f"wmtp: {error}"), file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wmtp",
        description="Secures the checkpoints, datasets and metadata of WMTP research.",
        epilog="The environment: WMTP_CATALOG (sample, full, or a path), WMTP_STORAGE (default "
        "storage), WMTP_HUB (a directory mirror; default the Hub, or the sample).",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in (making, upstream, keeping, signing):
        group.register(commands)
    return parser
