"""One task, judged: its children run one after the other, and the verdict follows.

A pass is decided here and not in a child. A program's output is compared with one that the child
never had; a source of tests passes where its process has written the nonce, which the solution's
process never had, after its last test.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from wmtp_assets.execution import harness
from wmtp_assets.execution.comparison import answer_of, same_answer, token_lists
from wmtp_assets.execution.harness import Request
from wmtp_assets.execution.limits import MEBIBYTE, Limits
from wmtp_assets.execution.missing import (
    prints_as_numpy_2,
    what_is_missing,
    what_was_not_started,
)
from wmtp_assets.execution.server_client import Ended, ForkServer, Sink, in_memory
from wmtp_assets.execution.tasks import (
    PYTHON_2,
    FunctionTask,
    Judged,
    ProgramTask,
    Verdict,
    shortened,
)

CERTAIN: Final = 2.0
"""Times the CPU seconds allowed: what took as many is too slow, however busy the machine was."""
_TRACEBACK: Final = "Traceback (most recent call last):"
_IGNORED: Final = "Exception ignored in"
_OUT_OF_MEMORY: Final = re.compile(r"\+?MemoryError(?![\w.])")  # of what tests report
_REPORT_BYTES: Final = 4096
_ONE_PROCESS: Final = "solution and tests in one process"
_FROM_OUTSIDE: Final = "killed from outside; the machine's memory may have run out"


def judge_program(
    server: ForkServer, task: ProgramTask, tests: Iterable[tuple[str, str]]
) -> tuple[Judged, bool]:
    """Runs a program on each test until one fails; `tests` instead of the task's own.

    Returns the verdict, and whether it is certain: False where a busy machine may have made it.
    """
    limits = task.limits
    role = harness.PYTHON_2 if task.language == PYTHON_2 else harness.PROGRAM
    request = _request(role, task.source, limits)
    seconds, memory, count = 0.0, 0, 0
    for count, (given, expected) in enumerate(tests, 1):
        wanted = harness.as_bytes(expected)
        # Who prints what is expected may print as much, and some more for other white space.
        room = max(limits.output_bytes, 2 * len(wanted))
        ended, output, errors = _run(server, request, given, room)
        seconds, memory = max(seconds, ended.cpu), max(memory, ended.memory)
        verdict, reason, certain = _of_process(ended, errors, limits, task.source)
        if output.total + errors.total > room:
            verdict, reason = Verdict.FAILED, f"more than {room:,} bytes of output"
        answer, missing = "", None
        if verdict is Verdict.PASSED:
            if same_answer(output.data, wanted, task.compare):
                continue
            answer = answer_of(output.data, task.compare)
            verdict, reason = Verdict.FAILED, _difference(output.data, wanted)
            missing = prints_as_numpy_2(output.data, wanted)
        if verdict is Verdict.FAILED:
            missing = missing or what_was_not_started(task.source)
        if missing is not None:
            answer, verdict, reason = "", Verdict.NOT_RUNNABLE, missing
        if verdict is not Verdict.NOT_RUNNABLE:
            reason = f"test {count}: {reason}"
        return Judged(verdict, shortened(reason), seconds, memory, count, answer), certain
    return Judged(Verdict.PASSED, "", seconds, memory, count), True


def _run(
    server: ForkServer, request: Request, given: str, output_bytes: int
) -> tuple[Ended, Sink, Sink]:
    stdin = in_memory(harness.as_bytes(given))
    (output, its_output), (errors, its_errors) = os.pipe(), os.pipe()
    sinks = {output: Sink(output_bytes), errors: Sink(0, tail=True)}
    ended = server.run([(request, (stdin, its_output, its_errors))], sinks, output_bytes)
    return ended[request.role], sinks[output], sinks[errors]


def judge_function(server: ForkServer, task: FunctionTask) -> tuple[Judged, bool]:
    """Runs a source of tests, in one process or two; as `judge_program`."""
    nonce = secrets.token_hex(16)
    nowhere = os.open(os.devnull, os.O_RDWR)
    report, its_report = os.pipe()
    errors, its_errors = os.pipe()
    sinks = {report: Sink(_REPORT_BYTES), errors: Sink(0, tail=True)}
    if task.together:
        request = _request(
            harness.TOGETHER, task.solution, task.limits, tests=task.tests, nonce=nonce
        )
        descriptors = (nowhere, os.dup(nowhere), its_errors, os.dup(nowhere), its_report)
        ended = server.run([(request, descriptors)], sinks, task.limits.output_bytes)
        tests = solution = ended[harness.TOGETHER]
    else:
        ours, theirs = (one.detach() for one in socket.socketpair())
        to_solve = _request(harness.SOLUTION, task.solution, task.limits)
        to_test = _request(
            harness.TESTS,
            "",
            task.limits,
            tests=task.tests,
            names=task.entry_points,
            nonce=nonce,
        )
        children = [
            (to_solve, (nowhere, os.dup(nowhere), its_errors, theirs)),
            (to_test, (*(os.dup(nowhere) for _ in range(3)), ours, its_report)),
        ]
        ended = server.run(children, sinks, task.limits.output_bytes, until=harness.TESTS)
        tests, solution = ended[harness.TESTS], ended[harness.SOLUTION]
    told = sinks[report].data.decode("utf-8", "replace")
    seconds = tests.cpu + (0 if solution is tests else solution.cpu)
    memory = max(tests.memory, solution.memory)

    def judged(verdict: Verdict, reason: str) -> Judged:
        return Judged(verdict, shortened(reason), seconds, memory, 1)

    source = f"{task.solution}\n{task.tests}"
    passed = tests.status == 0 and told == f"+{nonce}"
    for process in (solution, tests):
        verdict, reason, certain = _of_process(process, sinks[errors], task.limits, source)
        if verdict in (Verdict.TIME, Verdict.MEMORY):
            return judged(verdict, reason), certain
        if verdict is Verdict.NOT_RUNNABLE and not passed:
            return judged(verdict, reason), certain
    if passed:
        return judged(Verdict.PASSED, _ONE_PROCESS if task.together else ""), True
    if _OUT_OF_MEMORY.match(told):  # before it held as much as ends it: of very long tests, say
        return judged(Verdict.MEMORY, _more_than(task.limits)), True
    if (missing := what_is_missing(told, source)) is not None:
        return judged(Verdict.NOT_RUNNABLE, missing), True
    if solution.how == "exit" and solution.status and solution is not tests:
        reason = f"the solution: {_of_process(solution, sinks[errors], task.limits)[1]}"
    else:
        reason = told.removeprefix("+") or _of_process(tests, sinks[errors], task.limits)[1]
        reason = reason or "the process of the tests ended before the last of them"
    return judged(Verdict.FAILED, reason), True


def _request(
    role: str,
    source: str,
    limits: Limits,
    *,
    tests: str = "",
    names: tuple[str, ...] = (),
    nonce: str = "",
) -> Request:
    ending = replace(
        limits,
        cpu_seconds=CERTAIN * limits.cpu_seconds,
        wall_seconds=limits.wall,
    )
    return Request(
        role=role,
        source=source,
        limits=ending,
        tests=tests,
        names=names,
        nonce=nonce,
    )


def _of_process(
    ended: Ended, errors: Sink, limits: Limits, source: str = ""
) -> tuple[Verdict, str, bool]:
    """What the end of a process alone says: PASSED where it ended well."""
    last = error_in(errors.data)
    if ended.how == "wall" or ended.cpu > limits.cpu_seconds or ended.status == -signal.SIGXCPU:
        certain = ended.cpu >= CERTAIN * limits.cpu_seconds
        if ended.how == "wall" and ended.cpu <= limits.cpu_seconds:
            return Verdict.TIME, f"no end after {limits.wall:g} s", certain
        return Verdict.TIME, f"more than {limits.cpu_seconds:g} s of the processor", certain
    out_of_memory = last.partition(":")[0].endswith("MemoryError") and ended.status > 0
    if ended.how == "memory" or ended.memory > limits.memory_bytes or out_of_memory:
        return Verdict.MEMORY, _more_than(limits), True
    if ended.how not in ("exit", "stopped"):
        return Verdict.FAILED, ended.how, True
    if ended.how == "exit" and ended.status == -signal.SIGKILL:
        return Verdict.NOT_RUNNABLE, _FROM_OUTSIDE, False
    if ended.how == "exit" and ended.status < 0:
        return Verdict.FAILED, _by_signal(-ended.status), True
    if ended.how == "exit" and ended.status > 0:
        missing = what_is_missing(last, source)
        if missing is not None:
            return Verdict.NOT_RUNNABLE, missing, True
        return Verdict.FAILED, last or f"exit status {ended.status}", True
    return Verdict.PASSED, "", True


def _more_than(limits: Limits) -> str:
    return f"more than {limits.memory_bytes / MEBIBYTE:,.0f} MiB"


def error_in(errors: bytes) -> str:
    """The line of a traceback with the error's type and message, of what a process wrote to
    standard error; without a traceback the last line.

    More lines may follow: of the message, and about objects that could not be removed.
    """
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    for at in reversed(range(len(lines))):
        if lines[at] == _TRACEBACK and not (at and lines[at - 1].startswith(_IGNORED)):
            said = (one for one in lines[at + 1 :] if one.strip() and not one[0].isspace())
            if (error := next(said, "")) and not error.startswith(_IGNORED):
                return error.strip()
            break
    return lines[-1].strip() if lines else ""


def _by_signal(number: int) -> str:
    if number == signal.SIGSYS:
        return "ended by a system call that programs may not make"
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"


def _difference(output: bytes, expected: bytes) -> str:
    """Where two outputs differ first, by tokens."""
    wanted = expected.split()
    found = output.split(None, len(wanted))
    if not found:
        return "no output"
    for at, (one, other) in enumerate(zip(found, wanted, strict=False), 1):
        if one != other:
            return f"token {at} is {_quoted(one)}, expected {_quoted(other)}"
    count = sum(map(len, token_lists(output)))
    return f"{count:,} tokens, expected {len(wanted):,}"


def _quoted(token: bytes) -> str:
    text = token[:61].decode("utf-8", "replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")
