"""Tests and the solution that they call, each in a confined process of its own.

The functions that tests call send their arguments to the solution's process as plain data, and take
what comes back as an answer, or as the exception that the solution raised. Where nothing does, or
something else, the tests end: that is no behaviour of the solution that they could expect.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import os
import struct
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from wmtp_assets.execution import plain_data
from wmtp_assets.execution.plain_data import NotPlainError

TESTS_FILE: Final = "<tests>"
CALLS, REPORT = 3, 4
"""The descriptors of what connects tests with the solution, and of what the tests report to."""
_HEADER: Final = struct.Struct("!I")
_ENDS_ITERATION: Final = frozenset({"StopIteration", "StopAsyncIteration"})


def names_used(source: str) -> set[str]:
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


class Calls:
    """The tests' side of the connection to the solution."""

    def __init__(self) -> None:
        self._stream = io.FileIO(CALLS, "r+", closefd=False)

    def function(self, name: str) -> Callable[..., Any]:
        """What stands for the solution's function `name`."""

        def call(*arguments: Any, **named: Any) -> Any:
            try:
                message = plain_data.encoded([name, list(arguments), named])
                how, result = self._asked(message, arguments, named)
                if how == "not plain":
                    raise NotPlainError(f"{name}(...) gave what cannot be compared here: {result}")
                if how not in ("value", "raised"):
                    raise NotPlainError(f"{name}(...) gave no answer")
                raised = None if how == "value" else _error(*result)
            except Exception as error:
                _end_tests(error)
            if raised is not None:
                raise raised
            return result

        call.__name__ = call.__qualname__ = name
        return call

    def _asked(
        self, message: bytes, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Any, Any]:
        """How the solution answered, and with what; its changes of arguments are made. Raises what
        an answer of another form leads to, which may come from anybody."""
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
        return how, result


def _error(kind: str, text: str) -> Exception:
    """The exception that the solution raised, or one that says which it was. What ends an iteration
    is not passed on, as it is not from a generator: tests in `all(map(...))` would be skipped."""
    found = getattr(builtins, kind, None)
    if isinstance(found, type) and issubclass(found, Exception) and kind not in _ENDS_ITERATION:
        with contextlib.suppress(TypeError):  # UnicodeDecodeError and its like take more
            return found(text)
    return RuntimeError(f"{kind}: {text}")


def _end_tests(error: Exception) -> NoReturn:
    """Reports that the solution gave no answer, and ends the process of the tests.

    As an exception it would be one to tests that expect the solution to raise, and they would go
    on, and pass.
    """
    report_failure(error, traceback.extract_stack())
    os._exit(1)


def answer(namespace: dict[str, Any]) -> None:
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
            outcome = ["value", namespace[name](*arguments, **named)]
        except BaseException as error:
            outcome = ["raised", [type(error).__name__, _text_of(error)]]
        try:
            changed = [
                [place, one]
                for place, one in mutable.items()
                if plain_data.encoded(one) != before[place]
            ]
            data = plain_data.encoded([*outcome, changed])
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


def report_failure(
    error: BaseException, frames: Iterable[traceback.FrameSummary] | None = None
) -> None:
    """Writes which test failed, and how, to `REPORT`: the error and, where the tests' source has
    one, the line that it was raised at. `frames` instead of those that the error has."""
    if frames is None:
        frames = traceback.extract_tb(error.__traceback__)
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()
    if not isinstance(error, SyntaxError):  # whose message is the last line
        # A message may have several lines, and the first of numpy's is empty.
        text = [" ".join(text)] if text[:1] and text[0].rstrip().endswith(":") else text[:1]
    last = text[-1].removeprefix(f"{NotPlainError.__module__}.") if text else ""
    lines = [frame.line for frame in frames if frame.filename == TESTS_FILE and frame.line]
    report = f"{last} at: {lines[-1]}" if lines else last
    io.FileIO(REPORT, "w", closefd=False).write(report.encode("utf-8", "replace"))
