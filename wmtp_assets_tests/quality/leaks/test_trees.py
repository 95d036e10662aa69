"""Programs compared by their trees, and texts that are made to stop a parser."""

from __future__ import annotations

import ast
import os
import signal
from pathlib import Path

import pytest

from wmtp_assets.quality.leaks.parsing import Parser
from wmtp_assets.quality.leaks.trees import MOST_BYTES, MOST_NODES, Program, _every, read_program

FUNCTION = '''def total(numbers: list[int], start: int = 0) -> int:
    """Add them up."""
    result: int = start
    for number in numbers:
        result += number
    return result
'''
BARE = """def total(numbers, start=0):
    result = start
    for number in numbers: result += number
    return (result)
"""
RENAMED = BARE.replace("numbers", "xs").replace("number", "x").replace("total", "f")


def program(text: str) -> Program:
    found = read_program(text)
    assert found is not None
    return found


def test_annotations_docstrings_and_layout_are_not_compared() -> None:
    one, other = program(FUNCTION).parts[0], program(BARE).parts[0]
    assert one.exact == other.exact
    assert program(FUNCTION).whole.exact == program(BARE).whole.exact  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (RENAMED, True),
        (RENAMED.replace("result", "total"), True),
        (RENAMED.replace("result = start", "result = xs"), False),
        (RENAMED.replace("+=", "-="), False),
        (RENAMED.replace("start=0", "start=1"), False),
        (RENAMED.replace("start=0", "start=False"), False),
        (RENAMED.replace("return (result)", "return start"), False),
        # What is built in, imported or defined nowhere cannot be called otherwise.
        (RENAMED.replace("in xs", "in sorted(xs)"), False),
    ],
)
def test_names_are_numbered_as_they_come(other: str, same: bool) -> None:
    one, two = program(BARE).parts[0], program(other).parts[0]
    assert one.exact != two.exact
    assert (one.renamed == two.renamed) is same


def test_what_is_taken_from_elsewhere_keeps_its_name() -> None:
    def renamed(text: str) -> str:
        return program(text).parts[0].renamed

    assert renamed("def f(a):\n    return max(a)") != renamed("def g(b):\n    return min(b)")
    assert renamed("import math\ndef f(a):\n    return math.sin(a)") == renamed(
        "import math as m\ndef g(b):\n    return m.sin(b)"
    )
    assert renamed("def f(a):\n    return show(a)") != renamed("def g(b):\n    return draw(b)")
    helper = "def f(a):\n    return {0}(a)\ndef {0}(a):\n    return a"
    assert renamed(helper.format("show")) == renamed(helper.format("draw"))


def test_functions_within_what_is_no_python_3_are_read() -> None:
    text = f'print "old"\n{BARE}\nprint total([1])\n'
    found = program(text)
    assert found.whole is None
    assert [part.exact for part in found.parts] == [program(BARE).parts[0].exact]
    assert text.splitlines()[found.parts[0].first - 1].startswith("def total")


def test_what_is_bare_says_the_same() -> None:
    assert program(program(FUNCTION).bare).parts[0].exact == program(FUNCTION).parts[0].exact
    assert ": int" not in program(FUNCTION).bare
    assert program("sum = 0\nfor max in []:\n    sum += max").rebound == ["max", "sum"]


HOSTILE = {
    "nested": "(" * 5000 + ")" * 5000,
    "operators": "-" * 60_000 + "1",
    "attributes": "a" + ".b" * 30_000,
    "deep": "\n".join(" " * at + "if x:" for at in range(300)),
    "nul": "a = 1\0",
    "surrogate": "a = '\ud800'\n",
    "escape": "'\\N{no such name}'",
    "long": "a = 1\n" * MOST_BYTES,
    "many": "a;" * (MOST_NODES // 2 + 1),
    "number": "9" * 60_000,
    "empty": "",
}


def test_no_text_ends_the_search() -> None:
    with Parser() as parser:
        for text in HOSTILE.values():
            parser.program(text)
        assert parser.program(HOSTILE["many"]) is None
        assert parser.program(HOSTILE["long"]) is None
        found = parser.program(BARE)
        assert found is not None
        assert found == program(BARE)


def test_a_parser_that_dies_loses_one_text() -> None:
    with Parser() as parser:
        assert parser.program(BARE) is not None
        process = parser.child.process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)  # as if it were reading the next text
        os.kill(process.pid, signal.SIGKILL)
        assert parser.program(RENAMED) is None
        assert len(parser.not_parsed) == 1
        assert parser.program(FUNCTION) == program(FUNCTION)
    assert parser.child.process is None


def test_every_node_of_a_tree_is_listed_as_by_the_standard_library() -> None:
    for path in sorted(Path(ast.__file__).parent.glob("a*.py")):
        tree = ast.parse(path.read_bytes())
        # The same nodes, by identity, in the same order.
        assert list(map(id, _every(tree))) == list(map(id, ast.walk(tree))), path
