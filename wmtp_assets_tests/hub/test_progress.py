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


def test_notes_are_always_told() -> None:
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
    clock, screen = Clock(), io.StringIO()
    progress = BarProgress(screen, clock)
    progress.begin("a/long/path/in/a/repository/" + "x" * 60 + ".bin", 2_000_000_000)
    for step in range(1, 11):
        clock.now += 0.5
        progress.at(step * 200_000_000)
    progress.end()
    drawn = screen.getvalue().split("\r\x1b[2K")
    assert len(drawn) == 12
    assert all(len(line) < int(columns) for line in drawn)
    assert drawn[-1] == ""
    if columns == "200":
        assert "[#####.....]  50%  1.00 GB of 2.00 GB  400.0 MB/s  0:02 left" in drawn[5]
