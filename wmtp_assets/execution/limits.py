"""How much of anything a confined program may use, and who sees to it.

The kernel bounds processor time, address space, the size of a file, open files, and (for a user
of its own) threads. For threads otherwise, and for what a folder holds, it has no bound that a
process without rights could set, so whoever waits for the program asks `overstepped` now and then.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MEBIBYTE: Final = 1 << 20
_STACK_BYTES: Final = 128 * MEBIBYTE  # of the main thread: the gap that the kernel always leaves it
_PAGE: Final = resource.getpagesize()


@dataclass(frozen=True)
class Limits:
    """Bounds of one process. Seconds are of processor time, except `wall_seconds`; sizes in bytes.

    cpu_seconds: SIGXCPU at the next whole second, SIGKILL one later.
    wall_seconds: for whoever waits; None stands for twice the processor time and one second.
    memory_bytes: address space, beyond what is mapped when the process is confined.
    output_bytes: what it may print; for whoever reads it.
    file_bytes: the largest file; a longer one is refused (EFBIG).
    threads: at once, the first included.
    open_files: at once, those that it is given included.
    scratch_bytes, scratch_files: in all of its folder.

    Raises ValueError for a bound that is not above 0.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float | None = None
    memory_bytes: int = 1024 * MEBIBYTE
    output_bytes: int = 16 * MEBIBYTE
    file_bytes: int = 8 * MEBIBYTE
    threads: int = 64
    open_files: int = 32
    scratch_bytes: int = 64 * MEBIBYTE
    scratch_files: int = 1024

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, and is {value!r}")

    @property
    def wall(self) -> float:
        """Seconds on the clock after which the program is ended."""
        return 2 * self.cpu_seconds + 1 if self.wall_seconds is None else self.wall_seconds

    def impose(self, *, counts_threads: bool) -> None:
        """Sets the kernel's bounds on this process, none of which it can raise again.

        `counts_threads` says that no other process is of this user, so that the bound on a user's
        threads is one on this process. The stack may take what the kernel leaves for it, and a
        program may ask for more, as it may elsewhere: all of it counts as address space.
        """
        seconds = math.ceil(self.cpu_seconds)
        _bound(resource.RLIMIT_CPU, seconds, seconds + 1)
        _bound(resource.RLIMIT_FSIZE, self.file_bytes)
        _bound(resource.RLIMIT_NOFILE, self.open_files)
        _bound(resource.RLIMIT_CORE, 0)
        _bound(resource.RLIMIT_MEMLOCK, 0)
        _bound(resource.RLIMIT_MSGQUEUE, 0)
        if counts_threads:
            _bound(resource.RLIMIT_NPROC, self.threads)
        most = resource.getrlimit(resource.RLIMIT_STACK)[1]
        soft = _STACK_BYTES if most == resource.RLIM_INFINITY else min(_STACK_BYTES, most)
        resource.setrlimit(resource.RLIMIT_STACK, (soft, most))
        _bound(resource.RLIMIT_AS, self.memory_bytes + mapped_bytes())


def _bound(what: int, soft: int, hard: int | None = None) -> None:
    """Lowers a bound; one that is lower already stays."""
    most = resource.getrlimit(what)[1]
    wanted = soft if hard is None else hard
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(what, (min(soft, allowed), allowed))


def mapped_bytes() -> int:
    """The address space that this process takes; 256 MiB where /proc does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[0]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 256 * MEBIBYTE


def resident_bytes(pid: int) -> int:
    """The memory that a process holds; 0 where it has ended, or /proc does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def overstepped(pid: int, scratch: Path | None, limits: Limits) -> str:
    """Which bound a running process exceeds that the kernel does not watch, as a phrase; or "".

    Costs two or three system calls while the folder holds nothing. To be asked every 10 to 50 ms;
    whoever asks ends the process.
    """
    try:
        threads = Path(f"/proc/{pid}/task").stat().st_nlink - 2
    except OSError:
        threads = 0
    if threads > limits.threads:
        return f"more than {limits.threads} threads"
    if scratch is not None:
        try:
            held, files = held_in(scratch, most=limits.scratch_files)
        except OSError as error:
            return f"a folder that cannot be counted ({error.strerror})"
        if files > limits.scratch_files:
            return f"more than {limits.scratch_files} files"
        if held > limits.scratch_bytes:
            return f"more than {limits.scratch_bytes} bytes in its folder"
    return ""


def held_in(folder: Path, most: int) -> tuple[int, int]:
    """(bytes on the disk, files and folders) below a folder; stops counting above `most` files.

    Follows no link; what vanishes meanwhile does not count, and what is beside it does. Raises
    OSError for a folder that cannot be looked into, by its permissions or because its path is too
    long: more could hide there.
    """
    held = files = 0
    waiting = [str(folder)]
    while waiting and files <= most:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    files += 1
                    if files > most:
                        break
                    with contextlib.suppress(FileNotFoundError):
                        held += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue
    return held, files


def clear(folder: Path) -> None:
    """Removes a folder with all that it holds, however deep, once the program has ended.

    Folders within folders are moved up before they are emptied, so that this needs neither
    recursion nor long paths nor many descriptors. Follows no link. What this user may not remove
    stays.
    """
    waiting = [folder]
    new = f"{os.urandom(8).hex()}-"
    moved = 0
    while waiting:
        here = waiting.pop()
        with contextlib.suppress(OSError):
            here.chmod(0o700)
            for entry in list(os.scandir(here)):
                path = Path(entry.path)
                if not entry.is_dir(follow_symlinks=False):
                    path.unlink()
                    continue
                if here != folder:
                    moved += 1
                    path.chmod(0o700)  # to move a folder is to write to it
                    path = path.rename(folder / f"{new}{moved}")
                waiting.append(path)
            if here != folder:
                here.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
