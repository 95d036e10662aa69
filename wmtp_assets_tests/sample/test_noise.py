"""What runs and comparisons are to find in the sample is in it, where `noise.py` says so."""

from __future__ import annotations

import ast
import contextlib
import io
import sys
from pathlib import Path
from typing import TypeAlias

import pyarrow.parquet as pq
import pytest

from wmtp_assets.sample import row
from wmtp_assets.sample.datasets import code_contests
from wmtp_assets.sample.evalsets import HUMANEVAL, MBPP
from wmtp_assets.sample.noise import NOISE, SEVERAL_ANSWERS, Side, family_of
from wmtp_assets.sample.oddities import EXACT, ODDITIES
from wmtp_assets.sample.problems import FAMILIES
from wmtp_assets.sample.programs import PYTHON3
from wmtp_assets.sample.tokenizer import tokenizer_model

Problems: TypeAlias = list[row.Problem]
RIGHT: Side = "solutions"
WRONG: Side = "incorrect_solutions"


@pytest.fixture(scope="module")
def problems() -> Problems:
    """Every problem, at the place of its number."""
    splits = code_contests(tokenizer_model())
    return [*splits["train"], *splits["valid"], *splits["test"]]


def python3(problem: row.Problem, side: Side) -> list[str]:
    texts = problem[side]
    return [
        text
        for code, text in zip(texts["language"], texts["solution"], strict=True)
        if code == PYTHON3
    ]


def passes(program: str, tests: row.Tests) -> bool:
    """Whether a program of ours prints what each of the tests expects."""
    for asked, wanted in zip(tests["input"], tests["output"], strict=True):
        out = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
            patch.setattr(sys, "stdin", io.StringIO(asked))
            try:
                exec(program, {"__name__": "__main__"})  # noqa: S102  # our own
            except (IndexError, ValueError):
                return False
        if out.getvalue() != wanted:
            return False
    return True


def passes_all(program: str, problem: row.Problem) -> bool:
    sorts = (problem["public_tests"], problem["private_tests"], problem["generated_tests"])
    return all(passes(program, tests) for tests in sorts)


def test_noise_and_oddities_are_of_different_problems() -> None:
    odd = {*ODDITIES, *(number for number, *_ in EXACT)}
    several = {number for number in range(7 * len(FAMILIES)) if _several(number)}
    assert not odd & {*NOISE, *several}
    assert not several & {*NOISE}


def _several(number: int) -> bool:
    return family_of(number) is SEVERAL_ANSWERS


@pytest.mark.parametrize("number", [12, 41, 65, 76])
def test_one_program_among_the_wrong_ones_is_right(problems: Problems, number: int) -> None:
    passing = [passes_all(text, problems[number]) for text in python3(problems[number], WRONG)]
    assert sum(passing) == 1
    assert all(passes_all(text, problems[number]) for text in python3(problems[number], RIGHT))


@pytest.mark.parametrize("number", [24, 49, 60, 72])
def test_one_program_among_the_right_ones_fails_where_only_hidden_tests_look(
    problems: Problems, number: int
) -> None:
    problem = problems[number]
    right = python3(problem, RIGHT)
    assert all(passes(text, problem["public_tests"]) for text in right)
    assert sum(not passes_all(text, problem) for text in right) == 1


@pytest.mark.parametrize("number", [30, 68, 75])
def test_right_programs_differ_where_several_answers_are_right(
    problems: Problems, number: int
) -> None:
    problem = problems[number]
    assert "If there are several answers, print any of them." in problem["description"]
    passing = [passes_all(text, problem) for text in python3(problem, RIGHT)]
    assert True in passing
    assert False in passing
    assert not any(passes_all(text, problem) for text in python3(problem, WRONG))


def test_a_program_labelled_python_3_is_none(problems: Problems) -> None:
    broken = []
    for text in python3(problems[22], WRONG):
        try:
            ast.parse(text)
        except SyntaxError:
            broken.append(text)
    assert len(broken) == 1
    assert "print answer(a)" in broken[0]


def test_a_right_program_with_a_helper_of_an_evaluation_set_works(
    problems: Problems,
) -> None:
    for number, helper in ((18, "def stacked(prices):"), (32, "def rotate_left( items,k ):")):
        leaked = [text for text in python3(problems[number], RIGHT) if text.startswith(helper)]
        assert len(leaked) == 1
        assert passes_all(leaked[0], problems[number])


class _Plain(ast.NodeTransformer):
    """Names by order of their first use; no types, no docstring."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def _named(self, name: str) -> str:
        return self.names.setdefault(name, f"n{len(self.names)}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name, node.returns = self._named(node.name), None
        if isinstance(node.body[0], ast.Expr):
            del node.body[0]
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(self._named(node.arg))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self._named(node.id), node.ctx)


def first_function(text: str) -> ast.AST:
    found = ast.parse(text).body[0]
    assert isinstance(found, ast.FunctionDef)
    return found


def test_the_helpers_are_those_of_the_evaluation_sets(problems: Problems, hub: Path) -> None:
    task = pq.read_table(
        hub / HUMANEVAL / "openai_humaneval/test-00000-of-00001.parquet"
    ).to_pylist()[0]
    reference = first_function(task["prompt"] + task["canonical_solution"])
    renamed = first_function(python3(problems[18], RIGHT)[-1])
    assert ast.dump(_Plain().visit(renamed)) == ast.dump(_Plain().visit(reference))
    tasks = pq.read_table(hub / MBPP / "full/test-00000-of-00001.parquet").to_pylist()
    moved = first_function(python3(problems[32], RIGHT)[-1])
    assert ast.dump(moved) == ast.dump(first_function(tasks[2]["code"]))


def test_a_training_row_is_of_the_test_split(problems: Problems) -> None:
    shared = {*python3(problems[46], WRONG)} & {*python3(problems[82], RIGHT)}
    assert len(shared) == 1


def test_a_text_is_in_both_classes_but_for_white_space(problems: Problems) -> None:
    right, wrong = (
        {"".join(text.split()) for text in python3(problems[47], side)} for side in (RIGHT, WRONG)
    )
    assert len(right & wrong) == 1
    assert not {*python3(problems[47], RIGHT)} & {*python3(problems[47], WRONG)}
