"""How far, how fast and how much longer: bars, lines, and nothing where that is right."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tqdm import TMonitor, tqdm

from wmtp_assets.progress import BarProgress, LinesProgress, progress_for
from wmtp_assets.storage.digests import sha256_file, sha256_files, watched


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_at_most_every_ten_seconds() -> None:
    clock, lines = Clock(), list[str]()
    progress = LinesProgress(lines.append, clock)
    progress.begin("weights.bin", 1_000_000_000)
    for second in range(1, 36):
        clock.now = 100.0 + second
        progress.at(second * 10_000_000)
    progress.end()
    assert len(lines) == 3
    assert lines[0] == "weights.bin: 10%  100.00 MB of 1.00 GB  10.0 MB/s  1:30 left"


def test_what_an_earlier_call_left_is_not_taken_for_speed() -> None:
    clock, lines = Clock(), list[str]()
    progress = LinesProgress(lines.append, clock)
    progress.begin("weights.bin", 1_000_000_000)
    progress.at(900_000_000)
    clock.now += 20
    progress.at(920_000_000)
    assert "1.0 MB/s  1:20 left" in lines[0]


def test_notes_are_always_reported() -> None:
    lines: list[str] = []
    progress = LinesProgress(lines.append, Clock())
    progress.begin("a", 1)
    progress.note("continues from 5 of 9 bytes")
    assert lines == ["a: continues from 5 of 9 bytes"]


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_bar_stays_on_its_line_and_is_gone_at_the_end(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    screen = io.StringIO()
    clock = Clock()
    progress = BarProgress(screen, clock=clock)
    path = "a/long/path/in/a/repository/" + "x" * 60 + ".bin"
    progress.begin(path, 2_000_000_000)
    clock.now += 3
    for step in range(1, 11):
        progress.at(step * 200_000_000)
    progress.note("another process is fetching this file")
    progress.end()
    assert f"{path}: another process is fetching this file\n" in screen.getvalue()
    drawn = screen.getvalue().replace(f"{path}: another process is fetching this file\n", "")
    lines = drawn.split("\r")
    assert all(len(line) < int(columns) for line in lines)
    assert lines[-1] == ""
    assert lines[-2].strip() == ""
    if columns == "200":
        assert any("10%" in line and "200M/2.00G" in line for line in lines)
        assert any("100%" in line and "2.00G/2.00G" in line for line in lines)


def test_a_bar_begins_where_an_earlier_call_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    screen = io.StringIO()
    clock = Clock()
    progress = BarProgress(screen, clock=clock)
    progress.begin("weights.bin", 1_000_000_000)
    clock.now += 3
    progress.at(900_000_000)
    first = screen.getvalue().split("\r")[-1]
    assert "90%" in first
    assert "?B/s" in first, "what was there already is not taken for speed"
    progress.end()
    progress.begin("small.json", 0)
    progress.at(0)
    progress.end()


def test_what_ends_soon_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    screen, clock = io.StringIO(), Clock()
    progress = BarProgress(screen, clock=clock)
    progress.begin("small.json", 100)
    for count in (10, 50, 100):
        clock.now += 0.6
        progress.at(count)
    progress.end()
    assert screen.getvalue() == ""


def test_a_bar_that_is_drawn_late_counts_the_time_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    screen, clock = io.StringIO(), Clock()
    progress = BarProgress(screen, clock=clock)
    progress.begin("weights.bin", 1_000)
    progress.at(200)
    clock.now += 100
    progress.at(300)
    drawn = screen.getvalue().split("\r")[-1]
    assert "30%" in drawn
    assert "[01:40<11:" in drawn, "100 in 100 seconds, 700 to go"
    progress.end()


def test_nobody_draws_a_bar_but_who_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """tqdm's thread would draw one that stood still, though a signal may have cleared its line."""
    monkeypatch.setenv("COLUMNS", "120")
    screen, clock = io.StringIO(), Clock()
    progress = BarProgress(screen, clock=clock)
    progress.begin("weights.bin", 1_000_000)
    clock.now += 3
    for count in range(0, 900_000, 100_000):
        progress.at(count)
        assert progress._bar is not None
        progress._bar.last_print_t -= 60  # tqdm's own clock
    drawn = screen.getvalue()

    class After(threading.Event):
        looks = 3

        def wait(self, timeout: float | None = None) -> bool:
            self.looks -= 1
            return not self.looks

        def is_set(self) -> bool:
            return not self.looks

    class Watch(TMonitor):  # type: ignore[misc]
        def start(self) -> None:
            self.was_killed = After()

    Watch(tqdm, 10).run()
    assert screen.getvalue() == drawn
    progress.end()


def test_no_share_is_above_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    screen, clock, lines = io.StringIO(), Clock(), list[str]()
    for progress in (BarProgress(screen, clock=clock), LinesProgress(lines.append, clock)):
        progress.begin("weights.bin", 1_000)
        clock.now += 11
        progress.at(1_500)
        progress.end()
    assert "100%" in screen.getvalue()
    assert "1.50k" not in screen.getvalue()
    assert lines == ["weights.bin: 100%  1.00 kB of 1.00 kB  0.0 MB/s  time left unknown"]


def test_other_things_than_bytes_are_counted_by_their_name() -> None:
    clock, lines = Clock(), list[str]()
    progress = LinesProgress(lines.append, clock)
    progress.begin("codecontests train", 13_000, "problems")
    progress.at(0)
    clock.now += 20
    progress.at(2_600)
    assert lines == ["codecontests train: 20%  2,600 of 13,000 problems  130 per second  1:20 left"]


def test_a_log_is_told_where_there_is_no_terminal() -> None:
    lines: list[str] = []
    assert isinstance(progress_for(lines.append), LinesProgress)


def test_a_watched_digest_says_what_it_has_read(tmp_path: Path) -> None:
    sizes = (0, 1, 9 << 20, 20 << 20)
    paths = [tmp_path / str(size) for size in sizes]
    for path, size in zip(paths, sizes, strict=True):
        with path.open("wb") as handle:
            handle.truncate(size)
    read: list[int] = []
    with watched(read.append):
        alone = [sha256_file(path) for path in paths]
        assert sum(read) == sum(sizes)
        assert max(read) < 9 << 20
        read.clear()
        assert list(sha256_files(paths, 2).values()) == alone
        assert sum(read) == sum(sizes)
    read.clear()
    sha256_file(paths[-1])
    assert read == []


CHILD = """
import sys, time
from wmtp_assets import interrupts, progress
interrupts.install()
progress.use_terminal()
progress._QUIET = 0.0
progress._PATIENCE = 240.0  # for a thread that a busy machine lets wait
def work():
    with progress.following("x" * 200, 1000, None) as at:
        for count in range(1000):
            at(count)
            time.sleep(0.02)
        time.sleep(600)
interrupts.in_a_thread(work)
"""


# The signal arrives after the bar was begun and before it is on the terminal.
MEANWHILE = """
import os, signal
class Slow:
    struck = False
    def __init__(self, screen):
        self.screen = screen
    def __getattr__(self, name):
        return getattr(self.screen, name)
    def write(self, text):
        if "%" in text and not self.struck:
            self.struck = True
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
        return self.screen.write(text)
progress._terminal[0] = Slow(progress._terminal[0])
"""


def on_a_terminal(columns: int, end: str, program: str = CHILD) -> tuple[int, str]:
    """Status and output of `program` on a terminal whose standard output is a pipe, after it has
    drawn something and Ctrl-C was pressed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment | {"TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    until = time.monotonic() + 240
    while end.encode() not in said and time.monotonic() < until:
        said += os.read(ours, 65536)
    with suppress(ProcessLookupError):  # of MEANWHILE
        child.send_signal(signal.SIGINT)
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    child.communicate(timeout=240)
    os.close(ours)
    return child.returncode, said.decode()


def screen_of(said: str, columns: int) -> list[str]:
    """The lines that a terminal shows after `said`, without spaces at their ends."""
    lines, row, column = [""], 0, 0
    for piece in said.replace("\r\n", "\n\r"):
        if piece == "\r":
            column = 0
            continue
        if piece == "\n" or column == columns:
            row, column = row + 1, 0 if piece != "\n" else column
            lines += [""] * (row + 1 - len(lines))
        if piece != "\n":
            lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_ctrl_c_leaves_nothing_of_a_bar_on_the_terminal(columns: int) -> None:
    status, said = on_a_terminal(columns, "%")
    assert status == 130
    drawn = said.partition("wmtp: ")[0].split("\r")
    assert max(map(len, drawn)) < columns, "a standard output that is a pipe says no width"
    assert "".join(screen_of(said, columns)).startswith("wmtp: interrupted by SIGINT")


def test_a_bar_that_is_being_drawn_is_removed_too() -> None:
    before_work = CHILD.replace("def work():", MEANWHILE + "def work():")
    status, said = on_a_terminal(80, "wmtp: ", before_work)
    assert status == 130
    assert "%" in said.partition("wmtp: ")[0], "the bar was drawn"
    assert screen_of(said, 80) == ["wmtp: interrupted by SIGINT; nothing was done yet."]


@pytest.mark.parametrize("what", ["a\x1b[31mb\nc", "\udcff.bin", "\u202ename"])
def test_a_name_is_printable_and_on_one_line(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    screen, clock, lines = io.TextIOWrapper(io.BytesIO(), "utf-8", newline=""), Clock(), list[str]()
    for progress in (BarProgress(screen, clock=clock), LinesProgress(lines.append, clock)):
        progress.begin(what, 1_000)
        clock.now += 11
        progress.at(500)
        progress.note("a note")
        progress.end()
    screen.seek(0)
    drawn = screen.read()
    assert drawn.count("\n") == 1, "of the note"
    for text in (drawn, *lines):
        assert not {"\x1b", "\u202e", "\udcff"} & set(text)


def test_a_dumb_terminal_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_for(None), LinesProgress)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_for(None), BarProgress)


def test_a_terminal_that_is_gone_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    clock = Clock()
    progress = BarProgress(Gone(), clock=clock)
    progress.begin("weights.bin", 1_000)
    for count in (100, 200, 1_000):
        clock.now += 5
        progress.at(count)
    progress.note("a note")
    progress.end()
