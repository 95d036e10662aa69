"""Whether texts are Python 3: what the interpreter says, whatever they do to a parser."""

from __future__ import annotations

import signal
import threading

import pytest

from wmtp_assets.quality import child as child_module
from wmtp_assets.quality.parsing import Parser

TEXTS = [
    ("print(1)\n", True),
    ("", True),
    ("print 1\n", False),
    ("def f(:\n", False),
    ("x = 'é≤𝄞'\r\nprint(x)\r\n", True),
    ("# -*- coding: gbk -*-\nx = 'é'\n", True),  # it is text already
    ("x = 1\0\n", False),
    ("x = '\ud800'\n", False),
    ("(" * 5000 + ")" * 5000, False),  # deeper than the parser goes
    ("-" * 200_000 + "1", False),
    ("print(2)", True),
]


def test_texts_one_after_the_other() -> None:
    with Parser() as parser:
        assert [parser.parses(text) for text, _ in TEXTS] == [parses for _, parses in TEXTS]


def test_a_text_that_takes_too_long_does_not_parse_and_the_next_one_does() -> None:
    with Parser(seconds=0.05) as parser:
        assert parser.parses("x = [" + "1, " * 3_000_000 + "]") is False
        parser.child.seconds = 60
        assert parser.parses("x = 1") is True


def test_a_busy_machine_that_lets_the_child_wait_changes_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(child_module, "_PATIENCE", 2000)  # and the machine may stand still itself
    with Parser(seconds=0.2) as parser:
        assert parser.parses("x = 1") is True
        child = parser.child.process
        assert child is not None
        child.send_signal(signal.SIGSTOP)
        goes_on = threading.Timer(1.0, child.send_signal, (signal.SIGCONT,))
        goes_on.start()
        assert parser.parses("x = 1") is True
        assert parser.child.process is child
        goes_on.join()


def test_a_child_that_died_is_replaced() -> None:
    with Parser() as parser:
        assert parser.parses("x = 1") is True
        assert parser.child.process is not None
        parser.child.process.kill()
        parser.child.process.wait()
        assert parser.parses("x = 1") is True


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_sizes(size: int) -> None:
    with Parser() as parser:
        assert parser.parses("#" * size) is True
