"""Verdicts that are kept: by content, by several processes, whatever was cut off."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.tasks import (
    Compare,
    FunctionTask,
    Judged,
    ProgramTask,
    Verdict,
    digest_of,
    key_of,
)

PROGRAM = ProgramTask("print(1)", [("", "1"), ("2", "3")])
FUNCTION = FunctionTask("def f(): pass", "f()", ("f",))
JUDGED = Judged(Verdict.FAILED, "test 1: é", 0.25, 1 << 40, 3, "0123456789abcdef")


@pytest.mark.parametrize(
    "other",
    [
        replace(PROGRAM, source="print(2)"),
        replace(PROGRAM, tests=[("", "1"), ("23", "")]),
        replace(PROGRAM, tests=[("", "1")]),
        replace(PROGRAM, limits=Limits(cpu_seconds=9)),
        replace(PROGRAM, compare=Compare.TEXT),
        replace(PROGRAM, language=1),
        FUNCTION,
        replace(FUNCTION, together=True),
        replace(FUNCTION, tests="f();"),
        replace(FUNCTION, solution="def f(): 0"),
        replace(FUNCTION, entry_points=("f", "g")),
    ],
    ids=str,
)
def test_all_that_decides_a_verdict_is_in_its_key(other: ProgramTask | FunctionTask) -> None:
    assert key_of(other) not in {key_of(task) for task in (PROGRAM, FUNCTION) if task != other}
    assert key_of(other) == key_of(replace(other))


def test_tests_may_bring_their_digest() -> None:
    class Tests(list[tuple[str, str]]):
        digest = digest_of(PROGRAM.tests)

    assert key_of(replace(PROGRAM, tests=Tests())) == key_of(PROGRAM)


def test_a_verdict_is_found_again(tmp_path: Path) -> None:
    with VerdictCache(tmp_path / "cache") as cache:
        assert cache.get(key_of(PROGRAM)) is None
        cache.put(key_of(PROGRAM), JUDGED)
        assert cache.get(key_of(PROGRAM)) == JUDGED
    with VerdictCache(tmp_path / "cache") as cache:
        assert cache.get(key_of(PROGRAM)) == JUDGED
        assert cache.get(key_of(FUNCTION)) is None


def test_a_line_that_was_cut_or_damaged_is_not_read_and_spoils_no_other(tmp_path: Path) -> None:
    keys = [f"{number:064x}" for number in range(4)]
    for key in keys[:3]:
        with VerdictCache(tmp_path) as cache:
            cache.put(key, JUDGED)
        (segment,) = tmp_path.iterdir()
    data = segment.read_bytes()
    # The second line damaged, the third cut.
    at = data.index(keys[1].encode())
    segment.write_bytes(data[:at] + b"f" + data[at + 1 : -9])
    with VerdictCache(tmp_path) as cache:
        assert [cache.get(key) is not None for key in keys] == [True, False, False, False]
        cache.put(keys[3], JUDGED)
    with VerdictCache(tmp_path) as cache:
        assert [cache.get(key) is not None for key in keys] == [True, False, False, True]


def test_two_processes_write_two_segments_and_a_third_takes_one_of_them(tmp_path: Path) -> None:
    keys = [f"{number:064x}" for number in range(3)]
    with VerdictCache(tmp_path) as one, VerdictCache(tmp_path) as other:
        one.put(keys[0], JUDGED)
        other.put(keys[1], JUDGED)
        assert len(list(tmp_path.iterdir())) == 2
    with VerdictCache(tmp_path) as third:
        third.put(keys[2], JUDGED)
        assert len(third) == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_put_survives_the_death_of_its_process(tmp_path: Path) -> None:
    text = (
        "import os, sys\nfrom pathlib import Path\n"
        "from wmtp_assets.execution.cache import VerdictCache\n"
        "from wmtp_assets.execution.tasks import Judged, Verdict\n"
        "cache = VerdictCache(Path(sys.argv[1])).__enter__()\n"
        "cache.put('ab' * 32, Judged(Verdict.PASSED))\nos.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", text, str(tmp_path)], env=dict(os.environ))
    assert ended.returncode == -9
    with VerdictCache(tmp_path) as cache:
        assert cache.get("ab" * 32) == Judged(Verdict.PASSED)
