"""A view of its own: processes, network, files and names that are not the machine's.

One server lives in it, together with every program that it forks. The kernel ends all of them when
the server does. Its root is a small file system in memory that holds Python's library, read-only,
and one folder to write to, of bounded size; there is no network, not even a loopback that is up.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from . import kernel, library

Kind = Literal["", "plain", "user"]
"""None; those that root makes; those that a user makes, who is root in them only."""

_NEWNS: Final = 0x00020000
_NEWCGROUP: Final = 0x02000000
_NEWUTS: Final = 0x04000000
_NEWIPC: Final = 0x08000000
_NEWUSER: Final = 0x10000000
_NEWPID: Final = 0x20000000
_NEWNET: Final = 0x40000000
_ALL: Final = _NEWNS | _NEWCGROUP | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET

_RDONLY: Final = 1
_NOSUID: Final = 2
_NODEV: Final = 4
_NOEXEC: Final = 8
_REMOUNT: Final = 32
_BIND: Final = 4096
_REC: Final = 16384
_PRIVATE: Final = 1 << 18
_DETACH: Final = 2
_KEPT: Final = _RDONLY | _NOSUID | _NODEV | _NOEXEC  # statvfs and mount write these alike


def enter(
    kind: Kind, scratch_root: Path, readable: Iterable[Path], scratch_bytes: int, scratch_files: int
) -> None:
    """Goes on in a process of its own, in new namespaces, with nothing but the view.

    The process that called stays, waits, closes everything that it has open, and passes on how the
    new one ended; its death is the new one's. `scratch_root` must exist; in the view it is an
    empty folder of that path, which takes `scratch_bytes` in `scratch_files` files. Needs a single
    thread. Raises OSError, in whichever process.
    """
    user, group = os.getuid(), os.getgid()
    kernel.unshare(_ALL | (_NEWUSER if kind == "user" else 0))
    if kind == "user":
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    alive, held = os.pipe()
    child = os.fork()
    if child:
        _wait_for(child, held)
    os.close(held)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:  # the other end is closed: it had died before
        os._exit(1)
    os.close(alive)
    size = f"mode=755,size={scratch_bytes},nr_inodes={scratch_files + 64}"
    _see_only(scratch_root.resolve(), readable, size)


def _wait_for(child: int, held: int) -> None:
    """Ends as the child does. Holds nothing open meanwhile, but the pipe that says it lives."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.closerange(0, held)
    os.closerange(held + 1, 1 << 16)
    while True:
        try:
            _, status = os.waitpid(child, 0)
        except InterruptedError:
            continue
        except BaseException:
            os._exit(1)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _see_only(scratch_root: Path, readable: Iterable[Path], size: str) -> None:
    kernel.mount("", "/", "", _REC | _PRIVATE)
    root = scratch_root
    kernel.mount("tmpfs", str(root), "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
    for path in library.existing(readable):
        _show(path, root)
    if library.NULL.exists():
        _show(library.NULL, root, device=True)
    inside = root / scratch_root.relative_to("/")
    inside.mkdir(parents=True, exist_ok=True)
    kernel.mount("tmpfs", str(inside), "tmpfs", _NOSUID | _NODEV | _NOEXEC, size)
    _show_processes(root)
    os.chdir(root)
    kernel.syscall("pivot_root", kernel.text("."), kernel.text("."))
    kernel.unmount(".", _DETACH)
    os.chdir("/")
    kernel.mount("", "/", "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _show(path: Path, root: Path, *, device: bool = False) -> None:
    """Makes a folder or file seen below `root`, at the path that it has, and not changeable.

    Where that path is a link, what it leads to is seen there.
    """
    target = root / path.relative_to("/")
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    kernel.mount(str(path), str(target), "", _BIND | _REC)
    kept = os.statvfs(target).f_flag & _KEPT
    wanted = _NOSUID | _NOEXEC if device else _NOSUID | _NODEV | _RDONLY
    kernel.mount("", str(target), "", _REMOUNT | _BIND | kept | wanted)


def _show_processes(root: Path) -> None:
    """/proc with this view's processes alone, for /dev/stdin; where it is forbidden, without."""
    (root / "proc").mkdir()
    try:
        kernel.mount("proc", str(root / "proc"), "proc", _NOSUID | _NODEV | _NOEXEC, "subset=pid")
    except OSError:
        return
    (root / "dev").mkdir(exist_ok=True)
    for name, target in {"stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "fd": "fd"}.items():
        (root / "dev" / name).symlink_to(f"/proc/self/{target}")


def see_only_own(scratch: Path) -> None:
    """Hides from this process what lies beside `scratch`, and of /proc all but its descriptors.

    So programs of one server are out of each other's reach, and out of its, also without Landlock
    and as the same user. To be called by a child of the server, which still has the right to
    mount. Leaves it in `scratch`. Raises OSError.
    """
    kernel.unshare(_NEWNS)
    kernel.mount("", "/", "", _REC | _PRIVATE)
    if Path("/proc/self/fd").exists():
        _show_below("/proc", "/proc/self/fd", _NOSUID | _NODEV | _NOEXEC)
    _show_below(str(scratch.parent), str(scratch), _NOSUID | _NODEV | _NOEXEC)


def _show_below(above: str, folder: str, flags: int) -> None:
    """Covers `above` with an empty file system that holds nothing but `folder`, and enters that."""
    os.chdir(folder)
    kernel.mount("tmpfs", above, "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=755,size=16k")
    Path(folder).mkdir(parents=True)
    kernel.mount(".", folder, "", _BIND)
    kernel.mount("", folder, "", _REMOUNT | _BIND | flags)
    kernel.mount("", above, "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    os.chdir(folder)


def why_not(kind: Kind, scratch_root: Path, readable: Iterable[Path]) -> str:
    """Why namespaces of a kind cannot be entered here, or "" if they can; tried in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        said = b"?"
        try:
            os.close(reading)
            enter(kind, scratch_root, readable, 1 << 20, 64)
            said = b""
        except OSError as error:
            said = str(error.strerror or error).encode()[:1000] or b"?"
        except BaseException as error:
            said = repr(error).encode()[:1000]
        finally:
            os.write(writing, b"said " + said)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    found, _, why = said.partition(b" ")
    return why.decode() if found else "the process that tried ended without a word"
