"""What a child of the fork server does: it becomes a program, a solution, or its tests.

The child is confined before it reads a line of foreign code. Then a program finds what it would
find after `python program.py < input`: a module `__main__` of its own, `sys.argv`, fresh standard
streams in UTF-8, an empty working folder that holds the program. The differences are these: more
modules are imported already, `random` (and numpy's) begin from the seed 0, hash values are those of
PYTHONHASHSEED=0, and integers of any length can be read and printed, as before Python 3.11.
"""

from __future__ import annotations

import atexit
import builtins
import fcntl
import gc
import io
import json
import linecache
import os
import random
import sys
import threading
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, NoReturn

from wmtp_assets.execution.calls import (
    REPORT,
    TESTS_FILE,
    Calls,
    answer,
    names_used,
    report_failure,
)
from wmtp_assets.execution.confinement import Means, confine
from wmtp_assets.execution.library import Interpreter
from wmtp_assets.execution.limits import Limits

PROGRAM, PYTHON_2 = "program", "python2"
SOLUTION, TESTS, TOGETHER = "solution", "tests", "together"
PROGRAM_FILE: Final = "program.py"
_READY: Final = 9  # where the child says that it is confined; closed before foreign code runs
_ADDRESSES: Final = 1 << 30


@dataclass(frozen=True)
class Request:
    """What a child is to become. `names` are what tests may call; `nonce` is written to `REPORT`
    after the last test. `limits` are the ones that end it, not those that it is judged by."""

    role: str
    source: str
    limits: Limits
    tests: str = ""
    names: tuple[str, ...] = ()
    nonce: str = ""

    def head(self) -> bytes:
        """What the server has to know; of it, `request_of` makes a request without texts."""
        return json.dumps({"role": self.role, "limits": asdict(self.limits)}).encode()

    def texts(self) -> bytes:
        """What only the child may know."""
        return json.dumps([self.source, self.tests, self.names, self.nonce]).encode()

    def with_texts(self, data: bytes) -> Request:
        """This request, with what another one's `texts` gave."""
        source, tests, names, nonce = json.loads(data)
        return replace(self, source=source, tests=tests, names=tuple(names), nonce=nonce)


def become(
    request: Request,
    folder: str,
    means: Means,
    readable: list[Path],
    interpreter: Interpreter | None,
    descriptors: list[int],
    ready: int,
) -> Request:
    """Gives this process, just forked, the descriptors of its role and no other, and confines it.

    The last descriptor is of a file with the request's texts; returns the request with them.
    Writes "+" to `ready` when that is done, and closes it; what it raises is the caller's to write
    there.
    """
    *descriptors, texts = descriptors
    with io.FileIO(texts) as file:
        request = request.with_texts(file.readall())
    high = [fcntl.fcntl(one, fcntl.F_DUPFD, 64) for one in (*descriptors, ready)]
    for number, one in enumerate(high[:-1]):
        os.dup2(one, number)
    os.dup2(high[-1], _READY)
    if request.role in (PROGRAM, PYTHON_2):  # the former may open its own file
        with io.FileIO(f"{folder}/{PROGRAM_FILE}", "w") as file:
            file.write(as_bytes(request.source))
    # Resident memory is what is bounded, by the server; threads' stacks need addresses.
    limits = replace(request.limits, memory_bytes=request.limits.memory_bytes + _ADDRESSES)
    kept = (*range(3, len(descriptors)), _READY)
    confine(Path(folder), limits, means, readable=readable, keep=kept, interpreter=interpreter)
    with io.FileIO(_READY, "w") as stream:
        stream.write(b"+")
    return request


def as_bytes(text: str) -> bytes:
    """`text` in UTF-8, whatever it is. Halves of surrogate pairs, which JSON can hold and UTF-8 has
    no place for, become the bytes that they stand for, or else three bytes each."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def start(interpreter: Interpreter) -> NoReturn:
    """Becomes Python 2, which executes the program."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG")}
    arguments = ["python2", "-E", "-s", PROGRAM_FILE]
    os.execve(interpreter.executable, arguments, environment)  # noqa: S606


def refuse(error: BaseException) -> None:
    """Tells the server why this child could not be made."""
    with io.FileIO(_READY, "w") as stream:
        stream.write(f"{type(error).__name__}: {error}".encode()[:2000])


def prepare(request: Request, folder: str) -> tuple[CodeType, dict[str, Any]]:
    """The code to execute and the namespace of `__main__`, with the streams, `sys.argv`, and the
    rest in place. Raises SyntaxError, and what else compiling raises."""
    random.seed(0)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(0)
    sys.stdin = _stream(0, "<stdin>", "r", "surrogateescape")
    sys.stdout = _stream(1, "<stdout>", "w", "surrogateescape")
    sys.stderr = _stream(2, "<stderr>", "w", "backslashreplace")
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{name}__", getattr(sys, name))
    path = f"{folder}/{PROGRAM_FILE}"
    sys.argv[:] = [path]
    if request.role != TESTS:
        sys.path.insert(0, folder)
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __file__=path, __cached__=None)
    sys.modules["__main__"] = main
    if request.role == TESTS:
        _remember(TESTS_FILE, request.tests)
        names = {*request.names, *names_used(request.tests)}
        calls = Calls()
        main.__dict__.update((name, calls.function(name)) for name in names)
        return compile(request.tests, TESTS_FILE, "exec", dont_inherit=True), main.__dict__
    source = request.source.removeprefix("\ufeff")
    return compile(source, path, "exec", dont_inherit=True), main.__dict__


def after(request: Request, namespace: dict[str, Any]) -> None:
    """What follows when the code of a role has ended well."""
    if request.role == SOLUTION:
        answer(namespace)
    elif request.role == TOGETHER:
        _remember(TESTS_FILE, request.tests)
        code = compile(request.tests, TESTS_FILE, "exec", dont_inherit=True)
        try:
            exec(code, namespace)  # noqa: S102  (in a confined child)
        except BaseException as error:
            report_failure(error)
            raise
    if request.role in (TESTS, TOGETHER):
        io.FileIO(REPORT, "w", closefd=False).write(b"+" + request.nonce.encode())


def leave(error: BaseException | None) -> None:
    """Ends the process as the interpreter would: threads are waited for, what `atexit` knows is
    called, streams are flushed, the program's objects are dropped. `error` is what it raised."""
    status = _status(error)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        if not _flushed():
            status = 120
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # before a program's own go
        namespace = sys.modules["__main__"].__dict__ if "__main__" in sys.modules else {}
        for name in [*namespace]:
            if name != "__builtins__":
                namespace[name] = None
        gc.collect(0)  # objects that refer to themselves and flush what they hold when they go
        if not _flushed():
            status = 120
    finally:
        os._exit(status)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    # Of the frames, the first is the server's, and for tests in one process two are.
    trace = error.__traceback__
    while trace is not None and not trace.tb_frame.f_code.co_filename.endswith(
        (PROGRAM_FILE, TESTS_FILE)
    ):
        trace = trace.tb_next
    try:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
    except BaseException:
        traceback.print_exc()
    return 1


def _flushed() -> bool:
    """Flushes the standard streams; whether standard output could be."""
    well = True
    for stream in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__):
        try:
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        except BaseException:
            well = False
    return well


def _stream(descriptor: int, name: str, mode: str, errors: str) -> io.TextIOWrapper:
    """A standard stream, as the interpreter makes it under the locale C.UTF-8."""
    raw = io.FileIO(descriptor, mode, closefd=False)
    raw.name = name
    binary: io.BufferedReader | io.BufferedWriter
    binary = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    text = io.TextIOWrapper(
        binary,
        encoding="utf-8",
        errors=errors,
        newline="\n",
        line_buffering=descriptor == 2,
    )
    text.mode = mode  # type: ignore[misc]
    return text


def _remember(name: str, source: str) -> None:
    """Lets tracebacks quote the source."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)


def request_of(head: bytes) -> Request:
    """The request, without texts, that `Request.head` describes."""
    values = json.loads(head)
    return Request(role=values["role"], source="", limits=Limits(**values["limits"]))
