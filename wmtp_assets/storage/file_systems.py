"""Which file system a path is on, and what follows for locks and mapped reads.

The list names file systems that only one machine can mount: its kernel then knows every lock, and
mapped files are read ahead like read calls. Any other file system may be a network file system.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

# By the names that Linux gives them in /proc/self/mountinfo.
LOCAL = frozenset(
    {
        "bcachefs",
        "btrfs",
        "erofs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "jfs",
        "overlay",
        "ramfs",
        "squashfs",
        "tmpfs",
        "xfs",
        "zfs",
    }
)
_MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system: the kernel's name of its type, where it is mounted, what of, and the
    options of the mount and of the file system. `kind` is "unknown" where the system does not say.
    """

    kind: str
    mount: Path
    source: str = ""
    options: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether this machine alone has it mounted, by its type."""
        return self.kind in LOCAL

    def locks(self) -> str:
        """A description of who keeps a lock (flock) here."""
        if self.is_local:
            return "locks are kept by this machine's kernel, which alone has it mounted"
        given = set(self.options)
        if self.kind in ("nfs", "nfs4"):
            if {"local_lock=all", "local_lock=flock", "nolock"} & given:
                return "flock is granted by each machine for itself"
            return "flock is kept by the server, apart from processes on the server itself"
        if self.kind == "lustre":
            if "flock" in given:
                return "flock is kept by the servers"
            return "flock is granted by each machine for itself, or refused (mount with -o flock)"
        return "flock may be granted by each machine for itself"


def file_system_of(path: Path) -> FileSystem:
    """The file system of a path, or of what is there of the path to it. Raises nothing."""
    place = Path(os.path.realpath(path))
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        lines = []
    found = FileSystem("unknown", Path("/"))
    for line in lines:  # of two mounts at one place, the later lies above
        one = _mounted(line)
        if (
            one is not None
            and place.is_relative_to(one.mount)
            and len(one.mount.parts) >= len(found.mount.parts)
        ):
            found = one
    return found


def _mounted(line: str) -> FileSystem | None:
    """A line of mountinfo (man 5 proc_pid_mountinfo); None where it is none."""
    before, separator, after = line.partition(" - ")
    fields, more = before.split(" "), after.split(" ")
    if not separator or len(fields) < 6 or len(more) < 3:
        return None
    options = tuple(fields[5].split(",")) + tuple(more[2].split(","))
    return FileSystem(more[0], Path(_unescaped(fields[4])), _unescaped(more[1]), options)


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
