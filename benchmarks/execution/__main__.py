"""The judge beside a bare fork and exec of `python program.py < input`, of the same programs.

    python -m benchmarks.execution          # from the repository's root

Environment: TESTS, per program and round (default 60); ROUNDS (default 5). Each round judges every
program and executes it barely, in turn, on the same tests; figures are of all rounds together. The
judge has one worker, and its processor time is that of all of its processes: judge, worker, fork
server and children, their start included. The bare way spawns, waits, and reads nothing: once as
anybody would, and once with `-I -S`, without whatever this Python's site-packages make it import.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Report
from wmtp_assets.execution.judge import Judge
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.tasks import ProgramTask, Task, Verdict

BAR = 1.5
"""Times the processor time of the bare way that the judge may take, per test."""

PROGRAMS = {
    "add": "a, b = map(int, input().split())\nprint(a + b)\n",
    "sort": "import sys\nwords = sys.stdin.read().split()\n"
    "print(*sorted(map(int, words)), sep='\\n')\n",
    "sieve": "n = int(input().split()[0]) + 20000\nsieve = bytearray([1]) * n\n"
    "for i in range(2, n):\n    if sieve[i]:\n"
    "        sieve[i * i :: i] = bytes(len(range(i * i, n, i)))\nprint(sum(sieve) - 2)\n",
    "heap": "import heapq, collections, math, random, re\nheap = list(map(int, input().split()))\n"
    "heapq.heapify(heap)\nwhile len(heap) > 1:\n"
    "    heapq.heappush(heap, heapq.heappop(heap) + heapq.heappop(heap))\nprint(heap[0])\n",
}


@dataclass
class Spent:
    """Seconds of the processor, of this process and of those that it waited for, and of the clock;
    and tests."""

    cpu: float = 0.0
    wall: float = 0.0
    tests: int = 0


def judged(programs: list[Path], inputs: list[Path], wanted: dict[Path, list[str]]) -> None:
    """Every program on every input, by the judge."""
    given = [path.read_text() for path in inputs]

    def task(program: Path) -> Task:
        tests = list(zip(given, wanted[program], strict=True))
        return ProgramTask(program.read_text(), tests, Limits())

    with Judge(1) as judge:
        for name, found in judge.judge((one, task(one)) for one in programs):
            assert found.verdict is Verdict.PASSED, (name, found)


def barely(programs: list[Path], inputs: list[Path], python: str, flags: list[str]) -> None:
    """The same, spawned one after the other."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for program in programs:
        for path in inputs:
            given = os.open(path, os.O_RDONLY)
            actions = [(os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_DUP2, nowhere, 1)]
            arguments = [python, *flags, str(program)]
            child = os.posix_spawn(python, arguments, os.environ, file_actions=actions)
            _, status = os.waitpid(child, 0)
            os.close(given)
            assert status == 0
    os.close(nowhere)


def main() -> int:
    """Prints the figures; 1 when the judge takes more than it may."""
    count, rounds = int(os.environ.get("TESTS", "60")), int(os.environ.get("ROUNDS", "5"))
    # Not the environment's own interpreter, which looks for its packages first.
    python: str = getattr(sys, "_base_executable", sys.executable)
    spent = {name: Spent() for name in ("judge", "bare", "bare_isolated")}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as made:
        folder = Path(made)
        programs = []
        for name, text in PROGRAMS.items():
            programs.append(folder / f"{name}.py")
            programs[-1].write_text(text)
        inputs = [folder / f"{number}.txt" for number in range(count)]
        for number, path in enumerate(inputs):
            path.write_text(f"{number} {number * 7919 % 104729}\n")
        wanted = {one: [_answer(one.stem, path.read_text()) for path in inputs] for one in programs}
        ways = {
            "judge": lambda: judged(programs, inputs, wanted),
            "bare": lambda: barely(programs, inputs, python, []),
            "bare_isolated": lambda: barely(programs, inputs, python, ["-I", "-S"]),
        }
        for _ in range(rounds):
            for name, way in ways.items():
                cpu, wall = _cpu(), time.perf_counter()
                way()
                one = spent[name]
                one.cpu += _cpu() - cpu
                one.wall += time.perf_counter() - wall
                one.tests += len(programs) * count
    report = Report()
    for name, one in spent.items():
        report.figure(f"{name}.cpu_ms_per_test", 1000 * one.cpu / one.tests)
        report.figure(f"{name}.wall_ms_per_test", 1000 * one.wall / one.tests)
    report.figure("judge.cpu_over_bare", spent["judge"].cpu / spent["bare"].cpu, BAR)
    report.figure("judge.wall_over_bare", spent["judge"].wall / spent["bare"].wall)
    isolated = spent["bare_isolated"].cpu
    report.figure("judge.cpu_over_bare_isolated", spent["judge"].cpu / isolated, BAR)
    return 0 if report.ok else 1


def _answer(program: str, given: str) -> str:
    one, other = map(int, given.split())
    if program == "sort":
        return f"{min(one, other)}\n{max(one, other)}"
    if program == "sieve":
        limit = one + 20000
        return str(sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, limit)))
    return str(one + other)


def _cpu() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


if __name__ == "__main__":
    sys.exit(main())
