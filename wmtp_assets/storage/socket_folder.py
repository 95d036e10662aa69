"""A temporary folder for Unix sockets, wherever TMPDIR is.

The path of a Unix socket has at most 107 bytes (unix(7)), and gRPC takes `%`, `#`, `?` and `,` in
it for something else. Where TMPDIR is too long or has more than plain characters, the folder is
made there all the same, for it may be the only disk with room, and is reached by a link from a
folder whose path is short: the kernel counts the path that it is given, not where links lead.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from wmtp_assets import interrupts
from wmtp_assets.errors import WmtpError
from wmtp_assets.storage.held_folder import HeldFolder

MOST_BYTES: Final = 107 if sys.platform == "linux" else 103
"""Of a socket's path: `sun_path` of unix(7), less the byte that ends it."""
# Not XDG_RUNTIME_DIR: it is removed when its user logs out, and a page may go on.
_SHORT: Final = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))  # noqa: S108 - HeldFolder's
_PLAIN: Final = re.compile(rb"[A-Za-z0-9/._-]*")
_LINK: Final = "t"


class SocketPathError(WmtpError):
    """No folder has a path that is short enough for sockets."""


@contextmanager
def socket_folder(
    prefix: str, names: int, parent: Path | None = None, short: Sequence[Path] = _SHORT
) -> Iterator[Path]:
    """A path of a new `HeldFolder`, removed afterwards, in which sockets can be made.

    `names` is how many bytes a socket's path has below the folder, the first slash included.
    `parent` is by default where the system keeps what is temporary. `short` are folders to link
    from.

    Raises:
        SocketPathError: the path is too long or not plain, and there is no folder to link from.
        OSError: the folder cannot be made.
    """
    with ExitStack() as stack:
        folder = _held(prefix, parent or Path(tempfile.gettempdir()), stack)
        if _takes_sockets(folder.path, names):
            yield folder.path
            return
        for place in short:
            with suppress(OSError):
                link = _held(prefix, place, stack)
                (link.path / _LINK).symlink_to(folder.path.absolute())
                if _takes_sockets(link.path / _LINK, names):
                    break
        else:
            raise _no_path(folder.path, names, short)
        yield link.path / _LINK


def _held(prefix: str, parent: Path, stack: ExitStack) -> HeldFolder:
    """Until `stack` ends it, or a signal this command."""
    folder = HeldFolder(prefix, parent)
    stack.callback(folder.remove)
    stack.enter_context(interrupts.before_ending(folder.remove))
    return folder


def _takes_sockets(folder: Path, names: int) -> bool:
    path = os.fsencode(folder)
    return len(path) + names <= MOST_BYTES and _PLAIN.fullmatch(path) is not None


def _no_path(folder: Path, names: int, short: Sequence[Path]) -> SocketPathError:
    parent, own = folder.parent, len(os.fsencode(folder.name)) + 1
    return SocketPathError(
        "No path of a temporary folder is short enough for Unix sockets",
        expected=f"a path of at most {MOST_BYTES - names - own} bytes, of A-Z a-z 0-9 / . _ -",
        found=f"{len(os.fsencode(parent))} bytes, and no folder for a short link to it: none of "
        f"{', '.join(map(str, short))} can be written",
        where=parent,
        hint="let TMPDIR name a folder with such a path, or have one of those be writable.",
    )
