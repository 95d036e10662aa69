"""The sandbox: after `confine`, a process can compute, read Python's library, and use one folder.

A server is started for this alone, with an empty environment. It calls `isolate` once, forks one
child for each program, and the child calls `confine`, then runs the program. Everything that stops
a program is in force before its first line is read; docs/sandbox.md lists what stops what.

Files need Landlock or namespaces; where the kernel offers neither, `available` refuses. The filter
of system calls is always needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Literal

from ..errors import WmtpError
from . import kernel, landlock, library, namespaces, privileges, seccomp
from .limits import Limits

Layer = Literal["landlock", "namespaces"]

_LANDLOCK: Final = "Landlock (Linux 5.13 or newer, and `landlock` among the kernel's lsm=)"
_NAMESPACES: Final = "namespaces (root with CAP_SYS_ADMIN, or user namespaces for everybody)"


class ConfinementError(WmtpError):
    """This machine cannot confine a program, or did not: nothing is run."""


@dataclass(frozen=True)
class Means:
    """What this machine offers to confine programs, and what was done of it.

    landlock: the version of Landlock (ABI) that is used; 0: none.
    namespaces: "" (none), "plain" (made by root) or "user" (made by anybody).
    enclosed: whether this process is in namespaces of its own; see `isolate`.
    users: whom programs run as: "own" (each a user that nobody else is), "nobody" or "same".
    server: the process that forks the programs, 0 where it is not known.
    """

    landlock: int
    namespaces: namespaces.Kind
    enclosed: bool = False
    users: privileges.Users = "same"
    server: int = 0

    def to_json(self) -> str:
        """As text, for a server's command line or pipe."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Means:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


def available(*, without: Collection[Layer] = ()) -> Means:
    """Finds out what this kernel offers to this user, by trying it, and leaves out `without`.

    Forks: to be called while there is one thread. Raises ConfinementError where that is not enough
    to confine anything.
    """
    here = kernel.machine()
    if not here:
        raise ConfinementError(
            "Programs cannot be confined on this machine",
            expected=f"Linux on {' or '.join(sorted(seccomp.ARCHITECTURES))}, 64 bits",
            found=" ".join((os.uname().sysname, os.uname().machine)),
            hint="run them elsewhere; everything else works without.",
        )
    if why := seccomp.why_not():
        raise ConfinementError(
            "This kernel accepts no system call filter, so no program is run",
            expected="seccomp with filters (CONFIG_SECCOMP_FILTER)",
            found=why,
            hint=_HINT,
        )
    reasons = []
    abi = 0
    if "landlock" in without:
        reasons.append("Landlock: not to be used")
    else:
        try:
            abi = landlock.version()
        except OSError as error:
            reasons.append(f"Landlock: {error.strerror}")
    kind: namespaces.Kind = ""
    if "namespaces" in without:
        reasons.append("namespaces: not to be used")
    else:
        wanted: namespaces.Kind = "plain" if privileges.has(privileges.SYS_ADMIN) else "user"
        with tempfile.TemporaryDirectory(prefix="wmtp-view-") as folder:
            why = namespaces.why_not(wanted, Path(folder), library.folders())
        if why:
            reasons.append(f"namespaces: {why}")
        else:
            kind = wanted
    if not abi and not kind:
        raise ConfinementError(
            "This machine cannot confine a program's access to files, so none is run",
            expected=f"{_LANDLOCK}, or {_NAMESPACES}",
            found="; ".join(reasons),
            hint=_HINT,
        )
    return Means(landlock=abi, namespaces=kind, users=privileges.users())


_ENVIRONMENT: Final = re.compile(
    "PATH|HOME|TMPDIR|TZ|LANG|LC_[A-Z]+|PYTHON[A-Z]+|LD_LIBRARY_PATH|(OMP|OPENBLAS)_NUM_THREADS"
)
_HINT: Final = (
    "`python -m wmtp_assets.execution` tries again and prints what is there; docs/sandbox.md says "
    "what to ask of a container or a cluster's administrator."
)


def isolate(
    means: Means,
    scratch_root: Path,
    *,
    readable: Sequence[Path] = (),
    limits: Limits | None = None,
    at_once: int = 2,
) -> Means:
    """Makes this process the server of confined programs; goes on in namespaces where there are.

    To be called once, by a process that was started for it, has a single thread, and has imported
    what programs import of packages (numpy, say: their folder is not searched later). Afterwards it
    can read only Python's library, `readable`, and `scratch_root`, an existing folder by its path
    without links, which is a small file system in memory from then on, for as much as `limits`
    allows each of the programs that run `at_once`. What descends from this process and loses its
    parent becomes its child. Returns what `confine` needs.

    Raises ConfinementError, also where there is another thread, or where the environment holds
    anything but what Python needs: a program could find it in its memory.
    """
    foreign = [name for name in os.environ if not _ENVIRONMENT.fullmatch(name)]
    if foreign:
        raise ConfinementError(
            "The server of confined programs was started with an environment that is not empty",
            expected="none, or PATH, TZ, LANG, LC_..., and variables of Python's own",
            found=", ".join(sorted(foreign)[:5]),
        )
    if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208  # only how many
        raise ConfinementError(
            "The server of confined programs has more than one thread, which it cannot fork",
            hint="numpy's OpenBLAS starts none with OPENBLAS_NUM_THREADS=1 in the environment.",
        )
    # Programs run as another user, who must be able to reach and read what is made for them here.
    os.umask(0o022)
    # What children would otherwise find out, each of them anew.
    seccomp.prepare()
    landlock.handled(means.landlock)
    library.folders()
    library.preload()
    enclosed = bool(means.namespaces)
    try:
        if means.namespaces:
            seen = (*library.folders(), *readable)
            bounds = limits or Limits()
            size, files = at_once * bounds.scratch_bytes, at_once * bounds.scratch_files
            namespaces.enter(means.namespaces, scratch_root, seen, size, files)
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # its memory is no business of programs
    except OSError as error:
        raise ConfinementError(
            "This process could not be isolated", found=error.strerror, hint=_HINT
        ) from error
    _must_search((*library.folders(), *readable), scratch_root, enclosed)
    # A user namespace of this process's own has no other user than this one.
    users = "same" if means.namespaces == "user" else means.users
    return replace(means, enclosed=enclosed, users=users, server=os.getpid())


def confine(
    scratch: Path,
    limits: Limits,
    means: Means,
    *,
    readable: Sequence[Path] = (),
    keep: Iterable[int] = (),
    interpreter: library.Interpreter | None = None,
) -> None:
    """Leaves this process, a child of the server, nothing but computing and the folder `scratch`.

    Of files it may read Python's library and `readable`; of descriptors it keeps 0, 1, 2 and
    `keep`. `scratch` must exist and becomes the working folder; root gives it to the user that
    programs run as. The process leads a session of its own and dies with the server. None of this
    can be undone. With an `interpreter`, whose files isolate() was given as `readable`, it may
    start that one, and nothing else. Raises ConfinementError; the child must then end.
    """
    if not means.landlock and not means.enclosed:
        raise ConfinementError(
            "Nothing restricts this program's access to files: no Landlock, and "
            "isolate() was not called",
            where="confine()",
        )
    try:
        _confine(scratch, limits, means, readable, frozenset(keep), interpreter)
    except (OSError, ValueError) as error:
        raise ConfinementError(
            "A program could not be confined, and was not run",
            found=getattr(error, "strerror", None) or error,
            hint=_HINT,
        ) from error


def _confine(
    scratch: Path,
    limits: Limits,
    means: Means,
    readable: Sequence[Path],
    keep: frozenset[int],
    interpreter: library.Interpreter | None,
) -> None:
    with contextlib.suppress(PermissionError):  # it leads one already
        os.setsid()
    _close_all_but(keep | {0, 1, 2})
    may_run = (interpreter.executable, *interpreter.loaders) if interpreter else ()
    also = (*readable, *(interpreter.files if interpreter else ()))
    may_read = (*library.folders(), *library.existing(also))
    user = privileges.user_for(means.users)
    searches = user is not None and _must_search(may_read, scratch.parent, means.enclosed)
    if searches and not privileges.has(privileges.DAC_READ_SEARCH):
        user = None  # another user could not import anything; of this one, no capability is left
    rules = _rules(means, may_read, may_run, scratch) if means.landlock else -1
    if user is not None:
        os.chown(scratch, user, user)
        scratch.chmod(0o700)
        _give_pipes(user)
    os.chdir(scratch)
    os.environ["HOME"] = os.environ["TMPDIR"] = str(scratch)
    tempfile.tempdir = str(scratch)  # it would try others, and remove what it tried with
    os.umask(0o077)
    limits.impose(counts_threads=user is not None and means.users == "own")
    if not means.landlock:
        namespaces.see_only_own(scratch)
    privileges.drop(
        user, keep=[privileges.DAC_READ_SEARCH] if searches else [], starts=bool(interpreter)
    )
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user would have undone it
    if means.server and os.getppid() != means.server:
        os._exit(1)  # the server died before that
    if means.landlock:
        landlock.restrict(rules, means.landlock)
        os.close(rules)
    seccomp.install(os.getpid(), starts=bool(interpreter))


def _give_pipes(user: int) -> None:
    """Lets a user open /dev/stdin and the others again, which looks at whose the pipe is."""
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                os.fchown(number, user, user)


def _rules(means: Means, may_read: Iterable[Path], may_run: Iterable[Path], scratch: Path) -> int:
    exceptions = [(path, landlock.READ) for path in may_read]
    exceptions += [(path, landlock.RUN) for path in may_run]
    # A file without a name that is open or mapped takes space that whoever looks into the folder
    # does not find. Only a view bounds that.
    own = landlock.SCRATCH if means.enclosed else landlock.KEEPS
    exceptions += [(library.NULL, landlock.DEVICE), (scratch, own)]
    return landlock.ruleset(means.landlock, exceptions)


def _must_search(may_read: Iterable[Path], above: Path, enclosed: bool) -> bool:
    """Whether another user could not read, without a capability, what it is meant to read.

    In a view, everybody may pass the folders above, and the one above programs' own.
    """
    unreadable = (
        not privileges.can_be_read_by_others(path, parents=not enclosed) for path in may_read
    )
    return any(unreadable) or not (
        enclosed or privileges.can_be_read_by_others(above, parents=True)
    )


def _close_all_but(kept: Iterable[int]) -> None:
    last = -1
    for number in sorted(kept):
        if number > last + 1:  # of an empty range starting at 0, Python 3.11 closes everything
            os.closerange(last + 1, number)
        last = number
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
