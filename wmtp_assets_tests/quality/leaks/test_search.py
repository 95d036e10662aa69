"""Rows that hold what models are evaluated on are found, and rows that do not are not."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality.planting import embedded, reformatted, renamed
from wmtp_assets.corpora.annotations import AnnotationFile, about
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality.leaks import search
from wmtp_assets.quality.leaks.deciding import EXCERPT
from wmtp_assets.quality.leaks.references import Source
from wmtp_assets.quality.leaks.search import Leak, find_leaks
from wmtp_assets.quality.leaks.table import leaks_table, write_leaks
from wmtp_assets_tests.quality.leaks.worlds import corpus_of, real_rows

SETS = ("mbpp/test", "mbpp/validation", "mbpp/prompt", "humaneval")

TASK = {
    "instruction": "Write a function to count how often neighbours of a list differ in sign.",
    "output": "def sign_changes(values):\n    changes = 0\n    for one, other in zip(values, values"
    "[1:]):\n        if one * other < 0:\n            changes += 1\n    return changes\n",
}
PROMPT = {
    "instruction": "def widest_gap(marks: list[int]) -> int:\n"
    '    """Return the widest gap between neighbouring marks, 0 where there are fewer than two.\n'
    '    >>> widest_gap([1, 4, 6])\n    3\n    """\n',
    "output": "    gaps = [b - a for a, b in zip(marks, marks[1:])]\n"
    "    return max(gaps, default=0)\n",
}
SHORT = {"instruction": "Write a function that doubles.", "output": "def twice(x): return 2 * x\n"}
RIDDLE = {
    "instruction": "Ann has 3 boxes of 12 pens and gives 5 pens to each of 4 friends. How many are "
    "left?",
    "output": "She has 3 * 12 = 36 pens and gives away 5 * 4 = 20 of them, so 36 - 20 = 16 are "
    "left.\n#### 16",
}
REFERENCES = (TASK, PROMPT, SHORT, RIDDLE)


def source(folder: Path, rows: Sequence[dict[str, Any]], whole: bool = False) -> Source:
    return Source("tasks", "test", corpus_of(folder, "test", rows), whole)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return source(tmp_path_factory.mktemp("tasks"), REFERENCES)


def leaks(corpus: Corpus, *sources: Source) -> list[Leak]:
    return list(find_leaks(corpus, sources))


def told(found: Sequence[Leak]) -> list[tuple[int, int, str, str]]:
    """Row, row there, field and how."""
    return [(leak.row, leak.row_there, leak.field, str(leak.match.how)) for leak in found]


WHOLE_PROMPT = PROMPT["instruction"] + PROMPT["output"]
PRINTED = TASK["output"].replace("changes += 1", "changes += 1\n            print changes")


HINTED = (
    TASK["output"]
    .replace("(values)", "(values: 'dict[int, list[int]]') -> int | None")
    .replace("changes = 0", "changes: int = 0")
)


def indented(text: str) -> str:
    return textwrap.indent(text, "    ")


CASES: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    (TASK, [("instruction", "verbatim"), ("output", "verbatim")]),
    ({"output": f"import sys\n{TASK['output']}\nprint(sign_changes([1]))"},
     [("output", "verbatim")]),
    ({"output": TASK["output"].replace("    ", "\t").replace("\n", " # so\n")},
     [("output", "reformatted")]),
    ({"output": TASK["output"].replace("changes", "n").replace("one", "p")},
     [("output", "renamed")]),
    ({"output": TASK["output"].replace("< 0", "<= 0")}, []),
    ({"output": TASK["output"].replace("changes += 1", "changes += 1; break")}, []),
    ({"output": f"class Solution:\n    x = 1\n\n{TASK['output']}"}, [("output", "verbatim")]),
    # No Python 3: by the tokens, or by its functions.
    ({"output": f"print 'old'\n{TASK['output']}"}, [("output", "verbatim")]),
    ({"output": f"print 'old'\n{TASK['output'].replace('changes', 'n')}"},
     [("output", "renamed")]),
    ({"output": PRINTED}, []),
    ({"output": WHOLE_PROMPT}, [("output", "verbatim"), ("output", "verbatim")]),
    ({"instruction": PROMPT["instruction"], "output": PROMPT["output"]},
     [("instruction", "verbatim"), ("output", "verbatim")]),
    ({"output": "def g(m):\n    d = [y - x for x, y in zip(m, m[1:])]\n"
      "    return max(d, default=0)\n"}, [("output", "renamed")]),
    # What a syntax tree does not count does not hide a program: annotations, where imports stand,
    # being a method, or written in a function.
    ({"output": HINTED}, [("output", "reformatted")]),
    ({"output": HINTED.replace("changes", "n").replace("values", "given")},
     [("output", "renamed")]),
    ({"output": f"class Solution:\n    @staticmethod\n{indented(TASK['output'])}"},
     [("output", "reformatted")]),
    ({"output": "class Solution(object):\n"
      + indented(TASK["output"].replace("(values)", "(self, values)"))},
     [("output", "reformatted")]),
    ({"output": "class Solution:\n    # of its own\n    least = 0\n" + indented(
        TASK["output"].replace("(values)", "(self, values)").replace("< 0", "< self.least"))}, []),
    ({"output": f"def main():\n{indented(TASK['output'])}    print(sign_changes([1]))\nmain()\n"},
     [("output", "reformatted")]),
    ({"output": TASK["output"].replace(":\n", ":\n    import os, sys\n", 1)},
     [("output", "reformatted")]),
    # Nor does what others in the program are called.
    ({"output": f"class Heap:\n    def max(self, default): pass\n\n{WHOLE_PROMPT}"},
     [("output", "verbatim"), ("output", "verbatim")]),
    ({"output": "class Heap:\n    def push(self, default): self.gaps = default\n\ndef g(m):\n"
      "    d = [y - x for x, y in zip(m, m[1:])]\n    return max(d, default=0)\n"},
     [("output", "renamed")]),
    # Other characters for white space and punctuation are no other words.
    ({"instruction": TASK["instruction"].replace(" ", "\u00a0")}, [("instruction", "reformatted")]),
    ({"instruction": f"It says \u201c{TASK['instruction'][:-1]}\u201d here"},
     [("instruction", "reformatted")]),
    ({"instruction": "\ufeff" + TASK["instruction"].replace(".", "\uff01")},
     [("instruction", "reformatted")]),
    ({"instruction": "\u0130\u0130\u0130! " + TASK["instruction"]}, [("instruction", "verbatim")]),
    ({"instruction": f"<p>{TASK['instruction'][:-1]}</p>"}, [("instruction", "reformatted")]),
    ({"instruction": f"({TASK['instruction'][:-1]}) \"of z\"."}, [("instruction", "reformatted")]),
    ({"instruction": TASK["instruction"][:-1] + ' "of z".'}, []),
    ({"instruction": TASK["instruction"][:-1] + "\u2019s value."}, []),
    # A short one is the same with its names, or is none.
    ({"output": "def twice(x):\n    return 2*x\n"}, [("output", "reformatted")]),
    ({"output": "def double(n):\n    return 2*n\n"}, []),
    ({"instruction": "Question: " + RIDDLE["instruction"].upper().replace(" ", "\n")},
     [("instruction", "reformatted")]),
    ({"output": RIDDLE["output"]}, [("output", "verbatim")]),
    # Some of a sentence says something else.
    ({"instruction": TASK["instruction"].replace("sign.", "sign, and by how much.")}, []),
    ({"output": f"# {TASK['instruction']}\nx = 1\n"}, [("output", "verbatim")]),
]  # fmt: skip


@pytest.fixture(scope="module")
def found_in_cases(references: Source, tmp_path_factory: pytest.TempPathFactory) -> list[Leak]:
    """What is found in the rows of CASES."""
    rows = [{"instruction": f"Solve problem {at}.", **row} for at, (row, _) in enumerate(CASES)]
    return leaks(corpus_of(tmp_path_factory.mktemp("cases"), "train", rows), references)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_a_row_holds_what_it_holds(case: int, found_in_cases: list[Leak]) -> None:
    found = [leak for leak in found_in_cases if leak.row == case]
    assert [(leak.field, str(leak.match.how)) for leak in found] == CASES[case][1]
    for leak in found:
        assert 0 < len(leak.match.excerpt) <= EXCERPT
        assert 0 < len(leak.match.excerpt_there) <= EXCERPT
        assert (leak.dataset, leak.split) == ("tasks", "test")
        assert REFERENCES[leak.row_there]


def test_a_prompt_is_found_with_other_names(references: Source, tmp_path: Path) -> None:
    named = PROMPT["instruction"].replace("widest_gap", "f")
    # All names changed; one of them not where it is a word of the sentence; another docstring.
    texts = (named.replace("marks", "m"), named.replace("marks: ", "m: "), "def f(m):\n    'Sort.'")
    rows = [{"instruction": text} for text in texts]
    corpus = corpus_of(tmp_path / "train", "train", rows)
    found = leaks(corpus, references)
    assert told(found[:1]) == [(0, 1, "instruction", "renamed")]
    assert found[0].match.score == 1.0
    assert told(found[1:]) == [(1, 1, "instruction", "renamed")]
    assert 0.5 <= found[1].match.score < 1


def test_solutions_of_a_set_with_many_count_as_whole_programs(tmp_path: Path) -> None:
    program = (
        "n = int(input())\nheights = list(map(int, input().split()))\nbest = 0\n"
        "for at in range(n):\n    for until in range(at + 1, n):\n"
        "        best = max(best, abs(heights[at] - heights[until]) * (until - at))\nprint(best)\n"
    )
    own = source(tmp_path / "own", [{"output": program}, {"output": TASK["output"]}], whole=True)
    rows = [
        {"output": program},
        {"output": program.replace("heights", "h").replace("best", "b")},
        {"output": program + "print(n)\n"},
        {"output": f"import sys\n{TASK['output']}\nprint(1)\n"},
        {"output": program.replace("    ", " ").replace("best = 0", "best=0 # so far")},
    ]
    found = leaks(corpus_of(tmp_path / "train", "train", rows), own)
    assert told(found) == [
        (0, 0, "output", "verbatim"),
        (1, 0, "output", "renamed"),
        (4, 0, "output", "reformatted"),
    ]


def test_an_instruction_is_told_of_every_row_of_its_problem(
    references: Source, tmp_path: Path
) -> None:
    rows = [{"instruction": TASK["instruction"], "output": f"x = {at}\n"} for at in range(5)]
    corpus = corpus_of(tmp_path / "train", "train", [{}, *rows])
    assert [leak.row for leak in leaks(corpus, references)] == [1, 2, 3, 4, 5]


def test_blocks_and_rows_make_no_difference(
    references: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [TASK, {}, PROMPT, {"output": TASK["output"].replace("changes", "n")}, SHORT] * 3
    corpus = corpus_of(tmp_path / "train", "train", rows)
    whole = leaks(corpus, references)
    assert len(whole) > 12
    monkeypatch.setattr(search, "_BLOCK", 1)
    assert leaks(corpus, references) == whole
    some = np.array([2, 3, 9, 13])
    found = list(find_leaks(corpus, [references], rows=some))
    assert found == [leak for leak in whole if leak.row in some]


def test_what_is_written_is_what_is_found(references: Source, tmp_path: Path) -> None:
    rows = [TASK, {}, {"output": "x = 'é'\n" + TASK["output"]}]
    corpus = corpus_of(tmp_path / "train", "train", rows)
    path = tmp_path / "train_leaks.parquet"
    facts = write_leaks(corpus, [references], path)
    file = AnnotationFile(path, "leaks")
    file.require_rows(about(corpus.row_index))
    table, _ = leaks_table(corpus, [references])
    assert file.table().to_pylist() == table.to_pylist()
    assert facts["rows_with_leaks"] == 2
    assert facts["pairs"] == 3
    assert facts["by"] == {"tasks test: verbatim": 2}
    write_leaks(corpus, [references], tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_nothing_is_searched_for_or_in(references: Source, tmp_path: Path) -> None:
    empty = corpus_of(tmp_path / "none", "train", [])
    assert leaks(empty, references) == []
    corpus = corpus_of(tmp_path / "train", "train", [TASK])
    assert leaks(corpus) == []
    assert leaks(corpus, Source("none", "train", empty)) == []


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Source]:
    """A real evaluation set."""
    folder = tmp_path_factory.mktemp("real")
    known: dict[str, Source] = {}

    def opened(name: str) -> Source:
        if name not in known:
            dataset, _, split = name.partition("/")
            rows = real_rows(name)
            known[name] = Source(dataset, split, corpus_of(folder / dataset, split or "test", rows))
        return known[name]

    return opened


@pytest.mark.slow
def test_planted_references_are_found(real: Callable[[str], Source], tmp_path: Path) -> None:
    """40 of each kind, drawn from all of MBPP's and HumanEval's references, each within a longer
    program that has nothing to do with it."""
    draw = random.Random(20)
    every = [(source, at) for source in map(real, SETS) for at in range(len(source.corpus))]
    chosen = draw.sample(every, 40)
    programs = []
    for source_of, at in chosen:
        row = source_of.corpus[at]
        text = row["output"].replace("\r\n", "\n")
        prompt = row["instruction"] if source_of.dataset == "humaneval" else ""
        programs.append(prompt + text)
    planted = [
        *programs,
        *reformatted(programs, tmp_path / "formatted", draw),
        *(renamed(text, draw) for text in programs),
    ]
    rows = [{"output": embedded(text, draw)} for text in planted]
    corpus = corpus_of(tmp_path / "train", "train", rows)
    found = {
        (leak.row, leak.dataset, leak.split, leak.row_there): str(leak.match.how)
        for leak in find_leaks(corpus, list(map(real, SETS)))
        if leak.field_there == "output"
    }
    hows = [
        found.get((number, one.dataset, one.split, at))
        for number, (one, at) in enumerate(chosen * 3)
    ]
    assert sum(how is not None for how in hows) >= 118  # of 120: 0.98
    assert hows[:40] == ["verbatim"] * 40
    assert set(hows[40:80]) <= {"reformatted", "verbatim"}


def test_mbpp_has_tasks_in_more_than_one_split(real: Callable[[str], Source]) -> None:
    found = leaks(real("mbpp/train").corpus, real("mbpp/test"), real("mbpp/validation"))
    prompts = {
        (leak.row + 601, leak.row_there + 11) for leak in found if leak.field == "instruction"
    }
    assert prompts == {(872, 216), (602, 217), (704, 248)}
    solutions = {
        (leak.row + 601, leak.split, str(leak.match.how))
        for leak in found
        if leak.field == "output"
    }
    assert {(704, "test", "verbatim"), (625, "validation", "verbatim")} <= solutions
    assert {(699, "validation", "verbatim"), (608, "test", "renamed")} <= solutions
    # The others have other names: sum_Range_list, get_inv_count, get_odd_occurence, ...
    assert {649, 658, 767, 841, 842} <= {row for row, *_ in solutions}
    assert len(found) < 30
