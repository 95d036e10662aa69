"""What says more of this machine than of a solution, and what does not: by real programs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wmtp_assets.execution.judge import Judge
from wmtp_assets.execution.judging import error_in
from wmtp_assets.execution.limits import MEBIBYTE, Limits
from wmtp_assets.execution.tasks import FunctionTask, Judged, ProgramTask, Verdict

LIMITS = Limits(
    cpu_seconds=10, wall_seconds=400, memory_bytes=256 * MEBIBYTE, output_bytes=MEBIBYTE
)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(1) as made:
        yield made


def verdict_on(judge: Judge, source: str, given: str = "", expected: str = "3") -> Judged:
    task = ProgramTask(source, [(given, expected)], LIMITS)
    ((_, judged),) = judge.judge([(0, task)])
    return judged


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import multiprocessing as m\nm.Process(target=int).start()\n", "multiprocessing"),
        ("import sys; import multiprocessing as m\nm.Pool(2)", "multiprocessing"),
        ("from multiprocessing import Lock, Value\nLock()", "multiprocessing"),
        ("from multiprocessing import Value\nValue('i', 3)", "multiprocessing"),
        ("import sys, multiprocessing.pool\nmultiprocessing.pool.ThreadPool(2)", "multiprocessing"),
        (
            "from multiprocessing.shared_memory import SharedMemory\n"
            "SharedMemory(create=True, size=9)",
            "multiprocessing",
        ),
        (
            "from concurrent import futures\nfutures.ProcessPoolExecutor(2).submit(int)",
            "concurrent.futures",
        ),
        ("import subprocess\nsubprocess.run(['echo', '3'])", "subprocess"),
        ("try:\n    1 / 0\nexcept Exception:\n    import subprocess\n    subprocess.call('ls')",
         "subprocess"),
        ("import os\nprint(os.popen('echo 3').read())", "os.popen"),
        ("import os\nos.system('echo 3')", "os.system"),
        ("import os\nos.system('cythonize -i fast.pyx')\nimport fast", "os.system"),
        # The loop that could not be made complains when it is removed, after the error.
        ("import asyncio\nasync def f(): print(3)\nasyncio.run(f())", "asyncio"),
        ("import asyncio\nasync def f(): print(3)\nasyncio.new_event_loop()", "asyncio"),
    ],
)  # fmt: skip
def test_what_the_sandbox_keeps_from_a_program_is_no_failure_of_it(
    judge: Judge, source: str, what: str
) -> None:
    judged = verdict_on(judge, source)
    assert judged.verdict is Verdict.NOT_RUNNABLE
    assert judged.reason == f"needs {what}, which the sandbox does not allow"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import numpy as np\nnp.zeros(3, dtype=np.int)", "numpy.int"),
        ("import numpy as np\nnp.float_(3)", "numpy.float_"),
        ("import numpy as np\nprint(np.product([3]))", "numpy.product"),
        ("import numpy as np\nnp.array([[1], [2, 3]])", "arrays of rows of different lengths"),
        ("import numpy as np\nprint([np.int64(3)])", "prints its numbers as such"),
    ],
)
def test_what_numpy_2_took_away_is_no_failure_of_a_program(
    judge: Judge, source: str, what: str
) -> None:
    judged = verdict_on(judge, source, expected="[3]")
    assert judged.verdict is Verdict.NOT_RUNNABLE
    assert judged.reason == f"needs an older numpy: {what}"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import subprocess\nprint(4)", "token 1 is '4', expected '3'"),
        ("import subprocess\n1 / 0", "ZeroDivisionError"),
        ("import multiprocessing\nopen('/etc/shadow', 'w')", "Error: [Errno"),
        ("import multiprocessing\nopen('nothing.txt')", "FileNotFoundError: [Errno 2]"),
        ("# import subprocess\nimport os\nos.fork()", "PermissionError"),
        ("# os.system('cls')\nprint(4)", "token 1 is '4', expected '3'"),
        ("import numpy as np\nnp.never_was", "AttributeError: module 'numpy'"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
    ],
)
def test_a_failure_of_its_own_stays_one(judge: Judge, source: str, reason: str) -> None:
    judged = verdict_on(judge, source)
    assert judged.verdict is Verdict.FAILED
    assert reason in judged.reason


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\ntry:\n    subprocess.run('x')\nexcept OSError:\n    print(3)",
        "import os\nos.system('cls')\nprint(3)",
        "import multiprocessing\nmultiprocessing.cpu_count()\nprint(3)",
        "from concurrent.futures import ThreadPoolExecutor as E\n"
        "with E(2) as e:\n    print(*e.map(int, '3'))",
    ],
)
def test_what_does_without_passes(judge: Judge, source: str) -> None:
    assert verdict_on(judge, source).verdict is Verdict.PASSED


@pytest.mark.parametrize("together", [False, True])
def test_functions_that_the_sandbox_keeps_from_their_work_are_not_runnable(
    judge: Judge, together: bool
) -> None:
    solution = (
        "def f():\n    import asyncio\n    async def g(): return 3\n    return asyncio.run(g())"
    )
    task = FunctionTask(solution, "assert f() == 3", ("f",), LIMITS, together)
    ((_, judged),) = judge.judge([(0, task)])
    assert judged.verdict is Verdict.NOT_RUNNABLE
    assert judged.reason == "needs asyncio, which the sandbox does not allow"


def test_of_a_message_of_several_lines_functions_are_told_the_first(judge: Judge) -> None:
    task = FunctionTask("def f(): raise ValueError('one\\ntwo')", "assert f() == 3", ("f",), LIMITS)
    ((_, judged),) = judge.judge([(0, task)])
    assert judged.reason == "ValueError: one at: assert f() == 3"


def test_an_array_without_memory_is_a_matter_of_memory(judge: Judge) -> None:
    source = "import numpy as np\nnp.ones(10**11)"
    assert verdict_on(judge, source).verdict is Verdict.MEMORY


def test_who_prints_what_is_expected_may_print_as_much(judge: Judge) -> None:
    expected = "x " * MEBIBYTE
    printed = verdict_on(judge, "print('x\\n' * int(input()))", f"{MEBIBYTE}", expected)
    assert printed.verdict is Verdict.PASSED
    more = verdict_on(judge, "while True: print('x' * 99999)", "", expected)
    assert more.reason == f"test 1: more than {2 * len(expected):,} bytes of output"


@pytest.mark.parametrize(
    ("errors", "error"),
    [
        ("", ""),
        ("a\nb \n", "b"),
        ("Traceback (most recent call last):\n  File\n    x\nE: 1\nmore\n", "E: 1"),
        (
            "Traceback (most recent call last):\n  File\nE: 1\nException ignored in: <f>\n"
            "Traceback (most recent call last):\n  File\nF: 2\n",
            "E: 1",
        ),
        (
            "Traceback (most recent call last):\n  File\nE: 1\n\nDuring it:\n\n"
            "Traceback (most recent call last):\n  File\nF: 2\n",
            "F: 2",
        ),
        ("Exception ignored in: <f>\nTraceback (most recent call last):\n  File\nF: 2\nbye", "bye"),
        ("Traceback (most recent call last):\n", "Traceback (most recent call last):"),
        ("  File x\n    print 3\n    ^\nSyntaxError: bad", "SyntaxError: bad"),
    ],
)
def test_the_error_of_a_traceback_is_found(errors: str, error: str) -> None:
    assert error_in(errors.encode()) == error
