"""Verdicts that are kept: by content, by several processes, whatever was cut off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
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
from wmtp_assets.storage.errors import StorageError

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


def test_of_several_verdicts_on_a_key_the_last_counts_and_keys_that_end_alike_are_apart(
    tmp_path: Path,
) -> None:
    keys = [f"{number:048x}{7:016x}" for number in range(3)]
    later = replace(JUDGED, verdict=Verdict.PASSED)
    with VerdictCache(tmp_path) as cache:
        for key, judged in ((keys[0], JUDGED), (keys[1], JUDGED), (keys[0], later)):
            cache.put(key, judged)
    with VerdictCache(tmp_path) as cache:
        assert [cache.get(key) for key in keys] == [later, JUDGED, None]
        cache.put(keys[1], later)
        assert cache.get(keys[1]) == later


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


def line_of(values: object) -> bytes:
    text = values if isinstance(values, bytes) else json.dumps(values).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


KEY = "ab" * 32


@pytest.mark.parametrize(
    "values",
    [
        [KEY, "passed", "", 0.1, 5, 2, "", "a later version's"],
        [KEY, "passed"],
        [KEY, "perhaps", "", 0.1, 5, 2, ""],
        [KEY, "not_runnable", "elsewhere", 0.1, 5, 2, ""],
        ["zz" * 32, "passed", "", 0.1, 5, 2, ""],
        [3, "passed", "", 0.1, 5, 2, ""],
        [KEY, "passed", None, 0.1, 5, 2, ""],
        [KEY, "passed", "a\x1b[31m\nb\ud800", 0.1, 5, 2, ""],
        [KEY, "passed", "", float("nan"), 5, 2, ""],
        [KEY, "passed", "", 0.1, 1 << 63, 2, ""],
        [KEY, "passed", "", 0.1, 5, -1, ""],
        [KEY, "passed", "", 0.1, 5, 2, "no digest"],
        {"key": KEY},
        None,
        b"{",
        b'["\xff"]',
        b"[" * 50_000,
        b"1" * 5000,
        b'"' + b" " * (1 << 20) + b'"',
    ],
    ids=lambda values: repr(values)[:60],
)
def test_a_line_of_another_form_is_not_read_and_spoils_no_other(
    values: object, tmp_path: Path
) -> None:
    good = [KEY.replace("a", "c"), "failed", "test 1: é", 0.25, 1 << 40, 3, "0123456789abcdef"]
    (tmp_path / "0000.verdicts").write_bytes(line_of(values) + line_of(good))
    with VerdictCache(tmp_path) as cache:
        assert len(cache) == 1
        assert cache.get(str(good[0])) == JUDGED


@pytest.mark.parametrize("what", ["pipe", "folder", "link"])
def test_what_is_no_file_of_its_own_is_refused_by_name(what: str, tmp_path: Path) -> None:
    path = tmp_path / "executed" / "0000.verdicts"
    path.parent.mkdir()
    match what:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to("/dev/zero")
    with pytest.raises(StorageError) as refused, VerdictCache(path.parent):
        pass
    assert str(path) in str(refused.value)
    path.rename(tmp_path / "moved out")  # what the hint says, or removes a link
    with VerdictCache(path.parent) as cache:
        cache.put(KEY, JUDGED)
