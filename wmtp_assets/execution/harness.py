"""What a child of the fork server does: it becomes a program, a solution, or its tests.

The child is confined before it reads a line of foreign code. Then a program finds what it would
find after `python program.py < input`: a module `__main__` of its own, `sys.argv`, fresh standard
streams in UTF-8, an empty working folder that holds the program. The differences are these: more
modules are imported already, `random` (and numpy's) begin from the seed 0, hash values are those of
PYTHONHASHSEED=0, and integers of any length can be read and printed, as before Python 3.11.
"""

from __future__ import annotations

import ast
import atexit
import builtins
import fcntl
import gc
import io
import json
import linecache
import os
import random
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, NoReturn

from wmtp_assets.execution import plain_data
from wmtp_assets.execution.confinement import Means, confine
from wmtp_assets.execution.library import Interpreter
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.plain_data import NotPlainError

PROGRAM, PYTHON_2 = "program", "python2"
SOLUTION, TESTS, TOGETHER = "solution", "tests", "together"
PROGRAM_FILE: Final = "program.py"
TESTS_FILE: Final = "<tests>"
CALLS, REPORT = 3, 4
"""The descriptors of what connects tests with the solution, and of what the tests report to."""
_READY: Final = 9  # where the child says that it is confined; closed before foreign code runs
_ADDRESSES: Final = 1 << 30
_HEADER: Final = struct.Struct("!I")


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


def become(
    request: Request,
    folder: str,
    means: Means,
    readable: list[Path],
    interpreter: Interpreter | None,
    descriptors: list[int],
    ready: int,
) -> None:
    """Gives this process, just forked, the descriptors of its role and no other, and confines it.

    Writes "+" to `ready` when that is done, and closes it; what it raises is the caller's to write
    there.
    """
    high = [fcntl.fcntl(one, fcntl.F_DUPFD, 64) for one in (*descriptors, ready)]
    for number, one in enumerate(high[:-1]):
        os.dup2(one, number)
    os.dup2(high[-1], _READY)
    if request.role in (PROGRAM, PYTHON_2):  # the former may open its own file
        with io.FileIO(f"{folder}/{PROGRAM_FILE}", "w") as file:
            file.write(request.source.encode("utf-8", "surrogateescape"))
    # Resident memory is what is bounded, by the server; threads' stacks need addresses.
    limits = replace(request.limits, memory_bytes=request.limits.memory_bytes + _ADDRESSES)
    kept = (*range(3, len(descriptors)), _READY)
    confine(Path(folder), limits, means, readable=readable, keep=kept, interpreter=interpreter)
    with io.FileIO(_READY, "w") as stream:
        stream.write(b"+")


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
        names = {*request.names, *_names_used(request.tests)}
        calls = _Calls()
        main.__dict__.update((name, calls.function(name)) for name in names)
        return compile(request.tests, TESTS_FILE, "exec", dont_inherit=True), main.__dict__
    source = request.source.removeprefix("\ufeff")
    return compile(source, path, "exec", dont_inherit=True), main.__dict__


def after(request: Request, namespace: dict[str, Any]) -> None:
    """What follows when the code of a role has ended well."""
    if request.role == SOLUTION:
        _answer(namespace)
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


def report_failure(error: BaseException) -> None:
    """Writes which test failed, and how, to `REPORT`."""
    io.FileIO(REPORT, "w", closefd=False).write(_described(error).encode("utf-8", "replace"))


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


# Tests and the solution that they call.


def _names_used(source: str) -> set[str]:
    """The names that a source uses, and neither binds anywhere nor has from Python."""
    used, bound = set(), set(dir(builtins))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
    return used - bound


class _Calls:
    """The tests' side of the connection to the solution."""

    def __init__(self) -> None:
        self._stream = io.FileIO(CALLS, "r+", closefd=False)

    def function(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            message = plain_data.encoded([name, list(arguments), named])
            try:
                _send(self._stream, message)
                received = _receive(self._stream)
            except ConnectionError:
                received = None
            if received is None:
                raise RuntimeError("the solution's process has ended")
            how, result, changed = plain_data.decoded(received)
            for place, value in changed:
                which = arguments[place] if isinstance(place, int) else named[place]
                plain_data.update(which, value)
            if how == "value":
                return result
            if how == "not plain":
                raise NotPlainError(f"{name}(...) gave what cannot be compared here: {result}")
            kind, text = result
            found = getattr(builtins, str(kind), None)
            if isinstance(found, type) and issubclass(found, Exception):
                try:
                    error = found(text)
                except TypeError:  # UnicodeDecodeError and its like take more
                    error = RuntimeError(f"{kind}: {text}")
            else:
                error = RuntimeError(f"{kind}: {text}")
            raise error

        call.__name__ = call.__qualname__ = name
        return call


def _answer(namespace: dict[str, Any]) -> None:
    """Answers the tests' calls until they have ended."""
    stream = io.FileIO(CALLS, "r+", closefd=False)
    while (received := _receive(stream)) is not None:
        name, arguments, named = plain_data.decoded(received)
        places = [*enumerate(arguments), *named.items()]
        mutable = {place: one for place, one in places if type(one) in plain_data.MUTABLE}
        before = {place: plain_data.encoded(one) for place, one in mutable.items()}
        try:
            if name not in namespace:
                raise NameError(f"name {name!r} is not defined")
            answer = ["value", namespace[name](*arguments, **named)]
        except BaseException as error:
            answer = ["raised", [type(error).__name__, _text_of(error)]]
        try:
            changed = [
                [place, one]
                for place, one in mutable.items()
                if plain_data.encoded(one) != before[place]
            ]
            data = plain_data.encoded([*answer, changed])
        except NotPlainError as error:
            data = plain_data.encoded(["not plain", str(error), []])
        _send(stream, data)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:1000]
    except BaseException:
        return ""


def _send(stream: io.FileIO, data: bytes) -> None:
    rest = memoryview(_HEADER.pack(len(data)) + data)
    while rest:
        rest = rest[stream.write(rest) :]


def _receive(stream: io.FileIO) -> bytes | None:
    """The next message; None where the other side has ended. Raises NotPlainError."""
    header = _exactly(stream, _HEADER.size)
    if header is None:
        return None
    (size,) = _HEADER.unpack(header)
    if size > plain_data.MOST_BYTES:
        raise NotPlainError(f"a message of {size:,} bytes")
    return _exactly(stream, size)


def _exactly(stream: io.FileIO, size: int) -> bytes | None:
    parts = []
    while size:
        try:
            part = stream.read(min(size, 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _remember(name: str, source: str) -> None:
    """Lets tracebacks quote the source."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)


def _described(error: BaseException) -> str:
    """The error and, where the tests' source has one, the line that it was raised at."""
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()
    last = text[-1].removeprefix(f"{NotPlainError.__module__}.") if text else ""
    lines = [
        frame.line
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == TESTS_FILE and frame.line
    ]
    return f"{last} at: {lines[-1]}" if lines else last


def request_of(data: bytes) -> Request:
    """The request of its text, the JSON of its fields."""
    values = json.loads(data)
    values.update(names=tuple(values["names"]), limits=Limits(**values["limits"]))
    return Request(**values)
