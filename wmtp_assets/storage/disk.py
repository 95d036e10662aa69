"""Every operation by which this package changes the disk, and nothing else.

The first part is one operation per function; a test of what a crash or a failing disk does
replaces these (`wmtp_assets_tests/storage/faults.py`). The second part is what the rest of the
package builds on, made of the first. Nobody else in the package calls `os.replace` and its like: a
test of the sources verifies that.

An object store (S3) would begin here, below `store.py`. It has no rename, links or locks, which
`versions.py`, `publishing.py` and `locks.py` build on, and readers open files by their paths.

No symbolic link is ever followed here, neither the last component of a path nor a folder on the
way to it: each path is walked from `/` by folder descriptors (`openat`, `O_NOFOLLOW`), so a link
that is put in place of a folder halfway through changes nothing outside. Who lets a person choose a
folder resolves that choice first (`Store` does so with its root). A link in the way raises
`OSError` with `ELOOP` and the link's path; a path with `..` in it raises `EINVAL`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wmtp_assets.storage.errors import LACKING, StorageError, lacking, mounted_alone

STAGING = ".staging-"
_TRASH = ".trash-"
TEMPORARY = ".tmp-"
LEFTOVERS = (STAGING, _TRASH, TEMPORARY)
"""Name prefixes of what may be lying about after a crash, and what `gc` may take away."""

_TEMPORARY_NAME = re.compile(re.escape(TEMPORARY) + r"[0-9a-f]{12}")
_SEARCH: int = getattr(os, "O_PATH", os.O_RDONLY)  # Linux: a folder may be passed, not listed
_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409  # linux/fs.h: of Btrfs, XFS, bcachefs, overlays of them, NFS 4.2
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe in place of a file is not waited for


# One operation each.


def create(path: Path) -> int:
    """A new file, open for writing, its mode by the umask; `FileExistsError` if there is one."""
    with _at(path) as (folder, name):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o666, dir_fd=folder)


def open_or_create(path: Path, flags: int = 0) -> int:
    """An existing or new file, open for reading and writing; `flags` are further ones (O_APPEND).

    Its contents are as they were. Raises `OSError`: `ELOOP` where it is a link, `EEXIST` where it
    is something else than a file.
    """
    with _at(path) as (folder, name):
        return _plain(os.open(name, os.O_RDWR | os.O_CREAT | _FILE | flags, 0o666, dir_fd=folder))


def write(descriptor: int, data: bytes | memoryview) -> int:
    """Writes some of `data`; how many bytes it was."""
    return os.write(descriptor, data)


def clone(source: int, descriptor: int) -> None:
    """Makes an open file the clone of another: its bytes, stored once for both until one of them is
    written (a reflink). Raises `OSError` where the file system has no such thing."""
    fcntl.ioctl(descriptor, _FICLONE, source)


def truncate(descriptor: int) -> None:
    """Empties an open file."""
    os.ftruncate(descriptor, 0)


def fsync(descriptor: int) -> None:
    """Waits until the file, or the folder's list of names, is on the device."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no fsync for folders, and return EINVAL.
        if error.errno != errno.EINVAL:
            raise


def rename(source: Path, target: Path) -> None:
    """Puts `source` under the name `target`, in place of what was there, in one step."""
    with _at(source) as (here, name), _at(target) as (there, new):
        try:
            os.replace(name, new, src_dir_fd=here, dst_dir_fd=there)
        except OSError as error:
            _require_one_mount(error, source, target)
            at_target = error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST)
            place = target if at_target else source
            raise OSError(error.errno, error.strerror, str(place)) from None


def symlink(target: str, path: Path) -> None:
    """A new link at `path` to `target`."""
    with _at(path) as (folder, name):
        try:
            os.symlink(target, name, dir_fd=folder)
        except OSError as error:
            if error.errno in LACKING | {errno.EPERM}:
                raise lacking("symbolic links", path, error) from error
            raise


def hardlink(source: Path, path: Path) -> None:
    """A second name for a file, or for a link itself; `FileExistsError` if the name exists."""
    with _at(source) as (here, name), _at(path) as (there, new):
        try:
            os.link(name, new, src_dir_fd=here, dst_dir_fd=there, follow_symlinks=False)
        except OSError as error:
            _require_one_mount(error, source, path)
            raise


def unlink(path: Path) -> None:
    """Removes a file or a link."""
    with _at(path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def mkdir(path: Path) -> None:
    """A new folder, its mode by the umask."""
    with _at(path) as (folder, name):
        os.mkdir(name, 0o777, dir_fd=folder)


def rmdir(path: Path) -> None:
    """Removes an empty folder."""
    with _at(path) as (folder, name):
        try:
            os.rmdir(name, dir_fd=folder)
        except OSError as error:
            _require_one_mount(error, path, path.parent)
            raise


def chmod(path: Path, mode: int) -> None:
    """Sets the mode of a file or folder; of neither a link nor what it leads to."""
    descriptor = open_existing(path)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def touch(path: Path) -> None:
    """Sets the times of a file to now, by the clock of whoever keeps the file system."""
    with _at(path) as (folder, name):
        os.utime(name, dir_fd=folder, follow_symlinks=False)


# Looking, by the same walk.


def open_existing(path: Path) -> int:
    """A file or folder that is there, open for reading; neither a link nor a pipe."""
    with _at(path) as (folder, name):
        return _plain(os.open(name, os.O_RDONLY | _FILE, dir_fd=folder), folders_too=True)


def status(path: Path) -> os.stat_result:
    """The status of what is at `path`, a link by itself; `FileNotFoundError` for nothing."""
    with _at(path) as (folder, name):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)


def is_folder(path: Path) -> bool:
    """Whether a folder is there, and no link to one. Raises `OSError` for a link on the way."""
    try:
        return stat.S_ISDIR(status(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def listing(path: Path) -> list[str]:
    """The names in a folder, sorted."""
    descriptor = _open_folder(path, os.O_RDONLY)
    try:
        return sorted(os.listdir(descriptor))  # noqa: PTH208  (of a descriptor, not of a path)
    finally:
        os.close(descriptor)


def _open_folder(path: Path, access: int = _SEARCH) -> int:
    """A descriptor of a folder that is reached through folders only."""
    root, *parts = _whole(path).parts
    last = len(parts) - 1
    descriptor = os.open(root, (access if last < 0 else _SEARCH) | _FOLDER)
    for number, part in enumerate(parts):
        flags = (access if number == last else _SEARCH) | _FOLDER
        try:
            inner = os.open(part, flags, dir_fd=descriptor)
        except OSError as error:
            place = Path(root, *parts[: number + 1])
            raise _explained(error, place, part, descriptor) from None
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


@contextmanager
def _at(path: Path) -> Iterator[tuple[int, str]]:
    """The descriptor of the folder that `path` is in, and its name there; errors name `path`."""
    path = _whole(path)
    folder = _open_folder(path.parent)
    try:
        yield folder, path.name or "."
    except OSError as error:
        raise _explained(error, path, path.name, folder) from None
    finally:
        os.close(folder)


def _whole(path: Path) -> Path:
    whole = path if path.is_absolute() else Path.cwd() / path
    if ".." in whole.parts:
        raise OSError(errno.EINVAL, "a path with '..' in it is not written to", str(path))
    return whole


def _explained(error: OSError, place: Path, name: str, folder: int) -> OSError:
    """The same error with the whole path in it, and `ELOOP` where a link is the reason."""
    if error.filename is not None and os.fspath(error.filename) != name:
        return error  # explained already, by a call within
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        try:
            target = os.readlink(name, dir_fd=folder)
        except OSError:
            pass
        else:
            text = f"a link to {target}, which is not followed"
            return OSError(errno.ELOOP, text, str(place))
    return OSError(error.errno, error.strerror, str(place))


def _require_one_mount(error: OSError, one: Path, other: Path) -> None:
    """Raises `StorageError` where `error` comes of a mount between two paths, and names it.

    A mount from the same disk (`mount --bind`) counts: the kernel moves nothing across it.
    """
    if error.errno not in (errno.EXDEV, errno.EBUSY):
        return
    common = Path(os.path.commonpath([one, other]))
    for path in (other, one):
        above = _mount(common)
        for part in range(len(common.parts) + 1, len(path.parts) + 1):
            place = Path(*path.parts[:part])
            if _mount(place) not in (above, None):
                raise mounted_alone(place, error) from error


def _mount(path: Path) -> object:
    """What tells the mount that a path is in from others; None for nothing and for a link."""
    try:
        descriptor = os.open(path, _SEARCH | _FILE)
    except OSError:
        return None
    try:
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            return None
        with suppress(OSError):  # Linux: the device alone does not tell a bind mount
            for line in Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines():
                if line.startswith("mnt_id:"):
                    return line
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


def _plain(descriptor: int, *, folders_too: bool = False) -> int:
    """The descriptor itself, if it is a file's."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or (folders_too and stat.S_ISDIR(mode)):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EEXIST, "something else than a file is there")


# What is built of them.


def fresh(folder: Path, prefix: str) -> Path:
    """A name in `folder` that nobody has, for something that is not ready yet."""
    return folder / f"{prefix}{secrets.token_hex(6)}"


def is_temporary(name: str) -> bool:
    """Whether `fresh` gives such names to temporaries."""
    return _TEMPORARY_NAME.fullmatch(name) is not None


def sync(path: Path) -> None:
    """`fsync` for a closed file or a folder."""
    descriptor = open_existing(path)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: Path) -> None:
    """`path` and what it needs above it, each safe from a power cut before the next is made."""
    if path == path.parent or is_folder(path):
        return
    make_folders(path.parent)
    try:
        mkdir(path)
    except FileExistsError:
        if not is_folder(path):  # else another process was quicker, which is as good
            os.close(_open_folder(path))  # raises, and says where a link leads
            raise
    sync(path.parent)


def open_unshared(path: Path, flags: int = 0) -> int:
    """As `open_or_create`, but of a file that has no other name anywhere.

    A file with a second name (a hard link) is not written: `path` becomes a new one.
    """
    while True:
        descriptor = open_or_create(path, flags)
        if os.fstat(descriptor).st_nlink <= 1:
            return descriptor
        os.close(descriptor)
        unlink(path)


def point(link: Path, target: str, scratch: Path) -> None:
    """Points `link` to `target` in one step, whatever its target was, and makes that durable.

    `scratch` is the folder for the temporary link: one that `gc` looks into, under a lock that the
    caller holds.
    """
    temporary = fresh(scratch, TEMPORARY)
    symlink(target, temporary)
    try:
        rename(temporary, link)
    except (OSError, StorageError):
        unlink(temporary)
        raise
    sync(link.parent)


def remove_tree(path: Path) -> None:
    """Removes a folder and what is in it, or a file or a link; follows no link.

    What is gone already is no error: another process may be removing the same.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISDIR(status(path).st_mode):
            unlink(path)
            return
        for name in listing(path):
            remove_tree(path / name)
        rmdir(path)


def discard(path: Path) -> None:
    """Takes a whole folder out of sight in one step, then removes it.

    A crash in between leaves a `.trash-` folder, never half a version under a version's name.
    """
    trash = fresh(path.parent, _TRASH)
    rename(path, trash)
    sync(path.parent)
    remove_tree(trash)
