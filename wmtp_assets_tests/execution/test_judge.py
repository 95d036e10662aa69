"""Programs and functions of every sort, judged by real workers in real children."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.confinement import ConfinementError, Layer, available
from wmtp_assets.execution.judge import (
    PYTHON_2_SETTING,
    InterpreterError,
    Judge,
    needs_one_process,
)
from wmtp_assets.execution.limits import MEBIBYTE, Limits
from wmtp_assets.execution.tasks import (
    PYTHON_2,
    Compare,
    FunctionTask,
    Judged,
    ProgramTask,
    Task,
    Verdict,
)

# A slow or busy machine reaches no bound of time but in what is about these.
LIMITS = Limits(
    cpu_seconds=10, wall_seconds=400, memory_bytes=160 * MEBIBYTE, output_bytes=MEBIBYTE
)
SHORT, HASTY = replace(LIMITS, cpu_seconds=0.4), replace(LIMITS, wall_seconds=1)
TESTS = [("1 2\n", "3\n"), ("2 3\n", "5\n")]
RIGHT = "print(sum(map(int, input().split())))"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(2) as made:
        yield made


def verdict_of(judge: Judge, task: Task) -> Judged:
    ((name, judged),) = judge.judge([("the task", task)])
    assert name == "the task"
    return judged


def program(source: str, tests: list[tuple[str, str]] | None = None) -> ProgramTask:
    return ProgramTask(source, TESTS if tests is None else tests, LIMITS)


def function(solution: str, tests: str, *names: str, together: bool = False) -> FunctionTask:
    return FunctionTask(solution, tests, names or ("f",), LIMITS, together)


def within(limits: Limits, task: Task) -> Task:
    return replace(task, limits=limits)


@pytest.mark.parametrize(
    "source",
    [
        RIGHT,
        "import sys\nprint(sum(map(int, sys.stdin.read().split())), end='')",
        "import os\nos.write(1, b'%d' % sum(map(int, os.read(0, 99).split())))\nos._exit(0)",
        f"{RIGHT}\nexit()",
        "import sys\nprint(eval(input().replace(' ', '+')))\nsys.exit()",
        f"import atexit\natexit.register(lambda: {RIGHT})",
        "import threading\nthreading.stack_size(1 << 27)\n"
        f"t = threading.Thread(target=lambda: {RIGHT})\nt.start()",
        "import sys, io\nout = io.StringIO()\nclass Out:\n    write = out.write\n"
        f"    def flush(self): sys.__stdout__.write(out.getvalue()); out.truncate(0)\n"
        f"sys.stdout = Out()\n{RIGHT}",
        f"class Late:\n    def __del__(self, print=print): {RIGHT}\nlate = Late()",
        f"assert __name__ == '__main__' and open(__file__).read()[:6] == 'assert'\n{RIGHT}",
        f"import __main__\nx = 1\nassert __main__.x == 1\n{RIGHT}",
        f"import sys\nassert len(sys.argv) == 1 and sys.getrecursionlimit() == 1000\n{RIGHT}",
        f"def down(n):\n    return 0 if n == 0 else down(n - 1)\ndown(980)\n{RIGHT}",
        f"import random\nassert random.random() == 0.8444218515250481\n{RIGHT}",
        f"assert hash('a') == 4644417185603328019\n{RIGHT}",
        f"assert len(str(10 ** 5000)) == 5001\n{RIGHT}",
        f"open('file', 'w').write('x')\n{RIGHT}",
        f"import numpy\nassert numpy.random.rand() == 0.5488135039273248\n{RIGHT}",
        f"from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nA(1)\n{RIGHT}",
        f"\ufeff{RIGHT}",
    ],
    ids=[str(number) for number in range(20)],
)
def test_a_program_passes_that_would_pass_anywhere(judge: Judge, source: str) -> None:
    judged = verdict_of(judge, program(source))
    assert judged == replace(judged, verdict=Verdict.PASSED, reason="", tests=2, answer=""), (
        judged.reason
    )
    assert 0 < judged.seconds < 5
    assert 5 * MEBIBYTE < judged.memory_bytes < 160 * MEBIBYTE


@pytest.mark.parametrize(
    ("source", "verdict", "reason"),
    [
        ("print(3)", "failed", "test 2: token 1 is '3', expected '5'"),
        ("", "failed", "test 1: no output"),
        (f"{RIGHT}\nprint(1)", "failed", "test 1: 2 tokens, expected 1"),
        (f"{RIGHT}\nx", "failed", "test 1: NameError: name 'x' is not defined"),
        ("print(", "failed", "test 1: SyntaxError: '(' was never closed"),
        (f"{RIGHT}\nimport sys\nsys.exit(3)", "failed", "test 1: exit status 3"),
        (f"{RIGHT}\nimport sys\nsys.exit('no')", "failed", "test 1: no"),
        (f"{RIGHT}\nimport os\nos.abort()", "failed", "test 1: ended by SIGABRT"),
        ("import ctypes\nctypes.string_at(0)", "failed", "test 1: ended by SIGSEGV"),
        ("import os\nos.close(1)\nprint(3)", "failed", None),
        ("while True: pass", "time", "test 1: more than 0.4 s of the processor"),
        ("import time\ntime.sleep(600)", "time", "test 1: no end after 1 s"),
        ("x = bytearray(10 ** 10)", "memory", "test 1: more than 160 MiB"),
        ("x = b''\nwhile True: x += bytes(10 ** 7)", "memory", "test 1: more than 160 MiB"),
        ("while True: print('x' * 999)", "failed", "test 1: more than 1,048,576 bytes of output"),
        ("import scipy", "not_runnable", "needs the package scipy, which is not here"),
        (
            "from fractions import gcd",
            "not_runnable",
            "needs an older Python: fractions.gcd",
        ),
        ("import no_such_module", "failed", None),
        ("import pytest", "failed", None),
    ],
)
def test_why_a_program_does_not_pass(
    judge: Judge, source: str, verdict: str, reason: str | None
) -> None:
    limits = (HASTY if "sleep" in source else SHORT) if verdict == "time" else LIMITS
    judged = verdict_of(judge, within(limits, program(source)))
    assert (judged.verdict, judged.reason) == (
        verdict,
        judged.reason if reason is None else reason,
    )


def test_nothing_is_left_for_the_next_test(judge: Judge) -> None:
    source = "import os, builtins\nassert os.listdir() == ['program.py'], os.listdir()\n"
    source += "open('left', 'w')\nos.mkdir('folder')\nbuiltins.seen = 1\n" + RIGHT
    assert verdict_of(judge, program(source, TESTS * 2)).verdict == "passed"


def test_what_programs_write_takes_no_place_after_them(judge: Judge) -> None:
    # More, all together, than the folders of programs may hold.
    source = f"open('file', 'wb').write(bytes({7 * MEBIBYTE}))\n{RIGHT}"
    assert verdict_of(judge, program(source, TESTS * 12)).verdict == "passed"


def test_the_expected_output_and_the_environment_are_nowhere_in_the_child(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "import gc, os, re\nseen = open('/proc/self/maps').read()\n"
        "data = open('/proc/self/mem', 'rb', 0)\n"
    )
    monkeypatch.setenv("WMTP_SECRET", "xyzzy")
    environment = "import os\nprint(sorted(os.environ))"
    shown = verdict_of(judge, program(environment, [("", "?")]))
    assert "WMTP" not in shown.reason
    judged = verdict_of(judge, program(source, [("", "the expected output")]))
    assert judged.verdict == "failed"
    objects = (
        "import gc\nword = ''.join(['plo', 'ver'])\n"
        "print(sum(word in repr(one) for one in gc.get_objects() if one is not globals()))"
    )
    assert verdict_of(judge, program(objects, [("", "0 plover")])).reason == (
        "test 1: 1 tokens, expected 2"  # not one object holds the second token
    )


def test_only_the_output_of_a_program_that_ended_well_is_an_answer(judge: Judge) -> None:
    one, other, crashed = (
        verdict_of(judge, program(text)).answer
        for text in ("print(4)", "print(' 4 ')", "print(4)\nx")
    )
    assert one == other != crashed == ""
    caseless = replace(program("print('Yes')", [("", "YES")]), compare=Compare.CASELESS)
    assert verdict_of(judge, caseless).verdict == "passed"


@pytest.mark.parametrize(
    ("solution", "tests"),
    [
        ("def f(a, b=0): return a + b", "assert f(1, b=2) == 3\nassert f([1], [2]) == [1, 2]"),
        ("def f(a): a.sort()", "x = [2, 1]\nf(x)\nassert x == [1, 2]"),
        ("def f(a): a['x'] = {1}", "x = {}\nf(a=x)\nassert x == {'x': {1}}"),
        (
            "def f(a): raise ValueError('no')",
            "try:\n    f(1)\n    assert False\nexcept ValueError as error:\n"
            "    assert str(error) == 'no'",
        ),
        ("def f(a): return g(a)\ndef g(a): return a", "assert f(1) == g(1)"),
        ("def f(a): return a", "import math\nassert math.isnan(f(math.nan))"),
        ("def f(a): return a", "def check(c):\n    assert c((1, 'é')) == (1, 'é')\ncheck(f)"),
        ("def f(n): return 7 ** n", "assert f(9000) == 7 ** 9000"),
        ("print('noise')\ndef f(): print('more')", "assert f() is None"),
        ("def sum(a, b): return a + b\nf = sum", "assert f(1, 2) == 3 and sum([1]) == 1"),
    ],
)
def test_a_function_passes(judge: Judge, solution: str, tests: str) -> None:
    judged = verdict_of(judge, function(solution, tests))
    assert (judged.verdict, judged.reason, judged.tests) == ("passed", "", 1)


@pytest.mark.parametrize(
    ("solution", "verdict", "reason"),
    [
        ("def f(a, b): return a - b", "failed", "AssertionError at: assert f(1, 2) == 3"),
        ("def f(a, b): return x", "failed", "NameError: name 'x' is not defined at: "),
        ("def g(a, b): return a", "failed", "NameError: name 'f' is not defined at: "),
        ("def f(", "failed", "the solution: SyntaxError: '(' was never closed"),
        ("while True: pass", "time", "more than 0.4 s of the processor"),
        ("def f(a, b):\n    while True: pass", "time", "more than 0.4 s of the processor"),
        ("def f(a, b): return bytearray(10 ** 9)", "memory", "more than 160 MiB"),
        ("import scipy\ndef f(a, b): return 3", "not_runnable", "needs the package scipy"),
        # What would pass where solution and tests are in one process.
        (
            "class E:\n    __eq__ = lambda a, b: True\ndef f(a, b): return E()",
            "failed",
            "NotPlainErr",
        ),
        ("import os\nos._exit(0)", "failed", "RuntimeError: the solution's process has ended"),
        ("import sys\nsys.exit(0)", "failed", "RuntimeError: the solution's process has ended"),
        ("import os\ndef f(a, b): os._exit(0)", "failed", "RuntimeError: the solution's process"),
        ("def f(a, b): raise SystemExit(0)", "failed", "RuntimeError: SystemExit: 0"),
        (
            "import builtins\nbuiltins.AssertionError = 1\ndef f(a, b): 0",
            "failed",
            "AssertionError",
        ),
        (
            "import sys\nsys.modules['builtins'].int.__eq__ = lambda a, b: True",
            "failed",
            "the solution: TypeError: cannot set '__eq__' attribute of immutable type 'int'",
        ),
        ("def abs(a): return 0\ndef f(a, b): return 4", "failed", "AssertionError"),
        ("import os\nos.write(3, b'x' * 999)\ndef f(a, b): return 3", "failed", ""),
        (
            "class int(int):\n    __eq__ = lambda a, b: True\ndef f(a, b): return int(4)",
            "failed",
            "Not",
        ),
        ("def f(a, b):\n    import os\n    os.kill(os.getppid(), 9)\n    return 4", "failed", ""),
        ("f = 3", "failed", "TypeError: 'int' object is not callable at: "),
    ],
)
def test_why_a_function_does_not_pass(
    judge: Judge, solution: str, verdict: str, reason: str
) -> None:
    task = function(solution, "assert f(1, 2) == 3\nassert abs(-1) == 1")
    judged = verdict_of(judge, within(SHORT if verdict == "time" else LIMITS, task))
    assert judged.verdict == verdict, judged
    assert judged.reason.startswith(reason)


ENDS_IT = "the solution's process has ended at: f(1)"
RAW = "import os, time\ndef f(a):\n    os.write(3, {0!r})\n    time.sleep(600)"


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("size", [LIMITS.memory_bytes + (2 << 30), LIMITS.memory_bytes])
def test_tests_that_need_too_much_memory_are_over_the_limit(
    judge: Judge, size: int, together: bool
) -> None:
    """Whether the system refuses it to them at once, or they are ended when they hold it."""
    tests = f"data = bytearray({size})\nassert f(1) == 2"
    if size == LIMITS.memory_bytes:
        tests = f"data = b'x' * {size}\nwhile True: pass"
    judged = verdict_of(judge, function("def f(x): return x + 1", tests, together=together))
    assert judged.verdict is Verdict.MEMORY
    assert judged.reason == f"more than {LIMITS.memory_bytes >> 20:,} MiB"


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("import os\ndef f(a): os._exit(0)", f"RuntimeError: {ENDS_IT}"),
        ("def f(a): return object()", "NotPlainError: f(...) gave what cannot be compared here"),
        (RAW.format(b"\0\0\0\2[]"), "NotPlainError: no plain data"),
        (RAW.format(b"\0\0\0\1" + b"3"), "TypeError: cannot unpack"),
        (RAW.format(b"\xff\xff\xff\xff[]"), "NotPlainError: a message of 4,294,967,295 bytes"),
        (RAW.format(b'\0\0\0\x17["l",["no",1,["l",[]]]]'), "NotPlainError: f(...) gave no answer"),
    ],
)
def test_what_is_no_answer_is_no_exception_that_tests_could_expect(
    judge: Judge, solution: str, reason: str
) -> None:
    tests = "try:\n    f(1)\nexcept BaseException:\n    pass\nelse:\n    assert 0"
    judged = verdict_of(judge, function(solution, tests))
    assert judged.verdict == "failed"
    assert judged.reason.startswith(reason)


def test_a_solution_does_not_end_the_iteration_of_its_tests(judge: Judge) -> None:
    task = function("def f(a): raise StopIteration", "assert all(map(lambda a: f(a) == a, [1]))")
    judged = verdict_of(judge, task)
    assert judged.reason.startswith("RuntimeError: StopIteration:")


@pytest.mark.parametrize(
    ("task", "verdict"),
    [
        (program("print('\ud800')"), "failed"),
        (program("input(); print(1)", [("\ud800", "1")]), "passed"),
        (program("print(1)", [("", "\ud800")]), "failed"),
        (function("def f(): return '\ud800'", "assert 0"), "failed"),
        (function("def f(): return '\\ud800'", "assert f() == '\\ud800'"), "passed"),
        (function("def f(): 0", "assert f() == '\ud800'"), "failed"),
    ],
)
def test_half_a_surrogate_pair_ends_neither_worker_nor_run(
    judge: Judge, task: Task, verdict: str
) -> None:
    assert verdict_of(judge, task).verdict == verdict


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.kill(os.getpid(), 9)",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (0, 0))\nwhile True: pass",
    ],
)
def test_whoever_kills_itself_is_judged(judge: Judge, source: str) -> None:
    assert verdict_of(judge, program(source)).verdict == "failed"


# Reads all memory around what it has, by a call that says where there is none.
SCANS = """
import ctypes, gc, os
libc = ctypes.CDLL(None)
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
reading, writing = os.pipe()
starts = {libc.sbrk(0) - 4096, *map(id, gc.get_objects())}
starts |= {libc.malloc(ctypes.c_size_t(10 ** size)) for size in range(2, 7)}
mark, seen, found = b"".join([b"of-an", b"-earlier-task"]), set(), 0
for start in starts:
    for step in (4096, -4096):
        at = start & -4096
        while at not in seen:
            seen.add(at)
            if libc.write(writing, at, 4096) != 4096:
                break
            found += os.read(reading, 4096).count(mark) - (at <= id(mark) < at + 4096)
            at += step
assert len(seen) > 1000
print("found" if found > 0 else "nothing")
"""


def test_earlier_tests_and_solutions_are_not_in_the_memory_of_later_programs() -> None:
    tests = "\n".join(f"assert f({a}) == {a * 7919}  # test-of-an-earlier-task" for a in range(30))
    solution = "def f(a): return a * 7919\n" + "# source-of-an-earlier-task\n" * 30
    with Judge(1) as one_worker:
        for _ in range(2):
            assert verdict_of(one_worker, function(solution, tests)).verdict == "passed"
        judged = verdict_of(one_worker, program(SCANS, [("", "nothing")]))
    assert (judged.verdict, judged.reason) == ("passed", "")


OBJECTS = "class P:\n    def __init__(self, a): self.a = a\ndef f(p): return p.a"


def test_tests_with_the_solutions_own_objects_run_in_one_process_and_say_so(judge: Judge) -> None:
    task = function(OBJECTS, "assert f(P(1)) == 1")
    assert verdict_of(judge, task).reason.startswith("NotPlainError: P(...) gave what cannot")
    judged = verdict_of(judge, replace(task, together=True))
    assert (judged.verdict, judged.reason) == ("passed", "solution and tests in one process")
    assert needs_one_process(task, judge)
    assert not needs_one_process(function("def f(): 0", "assert not f()"), judge)
    assert not needs_one_process(function("def f(): 0", "assert f()"), judge)


@pytest.mark.parametrize("early", ["import os\nos._exit(0)", "import sys\nsys.exit(0)", "exit()"])
def test_leaving_before_the_tests_is_no_pass_in_one_process_either(
    judge: Judge, early: str
) -> None:
    task = function(f"{OBJECTS}\n{early}", "assert f(P(1)) == 1", together=True)
    judged = verdict_of(judge, task)
    assert judged.verdict == "failed"
    assert judged.reason == "the process of the tests ended before the last of them"


def test_python_2_is_not_run_by_python_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON_2_SETTING, raising=False)
    with Judge(1) as judge:
        judged = verdict_of(judge, replace(program("print 3"), language=PYTHON_2))
    assert (judged.verdict, judged.reason) == ("not_runnable", "Python 2: no interpreter")


def _python_2() -> Path | None:
    """A Python 2.7, where there is one: in the path, or beside this Python where versions are."""
    named = shutil.which("python2.7")
    beside = Path(sys.base_prefix).parent.glob("2.7.*/bin/python2.7")
    return next(
        (one for one in [*beside, *([Path(named)] if named else [])] if _is_python_2(one)), None
    )


def _is_python_2(path: Path) -> bool:
    asked = subprocess.run([path, "-V"], capture_output=True, text=True)
    return "Python 2.7" in asked.stdout + asked.stderr


@pytest.mark.skipif(_python_2() is None, reason="there is no Python 2.7")
def test_python_2_runs_where_an_interpreter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_2_SETTING, str(_python_2()))
    programs = {
        "import sys\nprint sum(map(int, raw_input().split()))\nexit()": ("passed", ""),
        "print x": ("failed", "test 1: NameError: name 'x' is not defined"),
        "print open('/etc/passwd').read()": ("failed", "test 1: IOError: [Errno "),
        "import os\nprint os.environ['WMTP_PYTHON2']": ("failed", "test 1: KeyError"),
        "import numpy": ("not_runnable", "needs the package numpy"),
    }
    with Judge(1) as judge:
        assert judge.python2.startswith("2.7.")
        tasks = ((text, replace(program(text), language=PYTHON_2)) for text in programs)
        for text, judged in judge.judge(tasks):
            verdict, reason = programs[text]
            assert judged.verdict == verdict, judged
            assert judged.reason.startswith(reason), judged


def test_what_is_named_python_2_and_is_none_is_refused_at_once(tmp_path: Path) -> None:
    shim = tmp_path / "python2"
    shim.write_text("#!/bin/sh\necho 'python2: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    for path in (shim, Path(sys.executable), tmp_path / "nowhere"):
        with pytest.raises(InterpreterError, match="WMTP_PYTHON2"), Judge(1, python2=path):
            pass


def test_a_strict_umask_takes_nothing_from_programs() -> None:
    before = os.umask(0o077)
    try:
        with Judge(1) as judge:
            source = f"import numpy\nassert open(__file__).read()[:12] == 'import numpy'\n{RIGHT}"
            judged = verdict_of(judge, program(source))
    finally:
        os.umask(before)
    assert (judged.verdict, judged.reason) == ("passed", "")


@pytest.mark.parametrize("without", [(), ("landlock",), ("namespaces",)])
def test_a_temporary_folder_may_be_a_link(
    without: tuple[Layer, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        available(without=without)
    except ConfinementError as error:
        pytest.skip(str(error))
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "link"))
    with Judge(1, without=without) as judge:
        assert verdict_of(judge, program(RIGHT)).verdict == Verdict.PASSED
    assert list((tmp_path / "disk").iterdir()) == []


@pytest.mark.parametrize("without", [("landlock",), ("namespaces",)])
def test_verdicts_are_the_same_whatever_confines(without: tuple[Layer, ...]) -> None:
    tasks: dict[str, Task] = {
        "passed": program(RIGHT),
        "failed": program("x"),
        "function": function("def f(): return 1", "assert f() == 1"),
    }
    try:
        with Judge(1, without=without) as judge:
            found = {name: str(one.verdict) for name, one in judge.judge(tasks.items())}
    except ConfinementError as error:
        pytest.skip(f"this machine has nothing else: {error.found}")
    assert found == {"passed": "passed", "failed": "failed", "function": "passed"}


def test_a_second_run_executes_nothing(tmp_path: Path) -> None:
    tasks = [("right", program(RIGHT)), ("wrong", program("print(3)"))]
    with VerdictCache(tmp_path) as cache, Judge(1, cache) as judge:
        first = dict(judge.judge(tasks))
        assert judge.executed == 2
    with VerdictCache(tmp_path) as cache, Judge(1, cache) as judge:
        assert dict(judge.judge(tasks)) == {
            name: replace(one, seconds=round(one.seconds, 4)) for name, one in first.items()
        }
        assert judge.executed == 0


def test_tests_are_read_as_they_are_run_and_no_further_than_the_first_that_fails() -> None:
    read = []

    class Many:
        digest = "many"

        def __iter__(self) -> Iterator[tuple[str, str]]:
            for number in range(100):
                read.append(number)
                yield "x" * (1 << 20), str(1 << 20) if number < 3 else "0"

    with Judge(1) as judge:
        judged = verdict_of(judge, ProgramTask("print(len(input()))", Many(), LIMITS))
    assert (judged.verdict, judged.tests) == ("failed", 4)
    assert len(read) <= 4 + 4 + 1  # four megabytes ahead


def test_where_a_child_is_not_confined_nothing_is_executed_and_it_is_said() -> None:
    with Judge(1) as judge:
        judge._means = replace(judge._means, landlock=0, namespaces="")
        with pytest.raises(
            ConfinementError, match="Nothing restricts this program's access to files"
        ):
            verdict_of(judge, program(RIGHT))
