"""What a confined program may read: Python's own library, and what is named in addition.

Modules written in C need shared libraries of the system (OpenSSL, libffi, zlib). These are mapped
beforehand, by `preload`, so that no folder of the system has to be readable.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import subprocess
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

NULL: Final = Path("/dev/null")
"""May be read and written, for programs that print into it."""

_OF_TESTS: Final = ("_test", "_xx", "xx")


@cache
def folders() -> tuple[Path, ...]:
    """The folders of this Python's standard library, resolved, none below another."""
    names = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), _extensions()]
    found = {Path(name).resolve() for name in names if name}
    # The platform's own folder of a virtual environment holds other packages than Python's.
    library = {one for one in found if (one / "os.py").exists() or one.name == "lib-dynload"}
    return tuple(sorted(one for one in library if not library & set(one.parents)))


def _extensions() -> str:
    return str(sysconfig.get_config_var("DESTSHARED") or "")


def preload() -> int:
    """Maps the shared libraries that the standard library's modules need; how many.

    Which these are is found out in a child, where all of the modules are mapped. Forks: to be
    called while there is one thread.
    """
    count = 0
    for name in _needed():
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            count += 1
    return count


def _needed() -> list[str]:
    """The shared libraries beyond this process's own that modules written in C need."""
    before = _mapped()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            for module in sorted(Path(_extensions()).glob("*.so")):
                if not module.name.startswith(_OF_TESTS):
                    with contextlib.suppress(OSError):
                        ctypes.CDLL(str(module))
            found = sorted(one for one in _mapped() - before if _extensions() not in one)
            os.write(writing, "\n".join(found).encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        names = lines.read().splitlines()
    os.waitpid(child, 0)
    return names


def _mapped() -> set[str]:
    """The shared libraries that are mapped in this process."""
    try:
        lines = Path("/proc/self/maps").read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    paths = {line.split(maxsplit=5)[-1] for line in lines if line.count("/")}
    return {path for path in paths if ".so" in path}


_TELLS: Final = """
import os, sys
folder = os.path.dirname(os.__file__)
print(os.path.realpath(sys.executable)); print(folder)
try:
    import ctypes
    dynamic = os.path.join(folder, "lib-dynload")
    for name in sorted(os.listdir(dynamic)) if os.path.isdir(dynamic) else []:
        if name.endswith(".so") and not name.startswith(("_test", "_tk", "_xx", "xx")):
            try:
                ctypes.CDLL(os.path.join(dynamic, name))
            except OSError:
                pass
except ImportError:
    pass
for line in open("/proc/self/maps"):
    print(line.split(None, 5)[-1].strip())
"""


@dataclass(frozen=True)
class Interpreter:
    """Another Python, which is started, and what it needs: of Python 2, which cannot be forked."""

    executable: Path
    loaders: tuple[Path, ...]  # the system's programs that map libraries before it starts
    files: tuple[
        Path, ...
    ]  # all that it reads: these two, its library, and libraries of the system

    @classmethod
    def at(cls, path: Path) -> Interpreter:
        """Asks the interpreter, which is trusted, what it is made of. Raises OSError."""
        command = [str(path), "-E", "-S", "-c", _TELLS]
        try:
            asked = subprocess.run(command, capture_output=True, timeout=60, check=True, env={})  # noqa: S603
        except subprocess.SubprocessError as error:
            raise OSError(errno.ENOEXEC, f"{path} is no Python that can be started") from error
        executable, folder, *mapped = asked.stdout.decode().splitlines()
        libraries = {Path(one) for one in mapped if ".so" in one and not one.startswith(folder)}
        aliases = {
            name
            for parent in {one.parent for one in libraries}
            for name in parent.iterdir()
            if ".so." in name.name and name.is_symlink() and name.resolve() in libraries
        }
        loaders = [one for above in ("/lib64", "/lib") for one in Path(above).glob("ld-linux-*")]
        files = {Path(executable), Path(folder).resolve(), *libraries, *aliases, *loaders}
        return cls(Path(executable), tuple(loaders), tuple(sorted(files)))


def existing(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Those of the paths that exist."""
    return tuple(path for path in paths if path.exists())
