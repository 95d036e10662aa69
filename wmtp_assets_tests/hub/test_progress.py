"""What a person sees while bytes arrive."""

from __future__ import annotations

import io

import pytest

from wmtp_assets.hub.progress import BarProgress, LinesProgress


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
    progress = BarProgress(screen)
    path = "a/long/path/in/a/repository/" + "x" * 60 + ".bin"
    progress.begin(path, 2_000_000_000)
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
    progress = BarProgress(screen)
    progress.begin("weights.bin", 1_000_000_000)
    progress.at(900_000_000)
    first = screen.getvalue().split("\r")[-1]
    assert "90%" in first
    assert "?B/s" in first, "what was there already is not taken for speed"
    progress.end()
    progress.begin("small.json", 0)
    progress.at(0)
    progress.end()
