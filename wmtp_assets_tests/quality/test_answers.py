"""Several correct answers: by the statement's words, and by what accepted solutions print."""

from __future__ import annotations

import pytest

from wmtp_assets.quality.answers import (
    CASELESS_PHRASES,
    PHRASES,
    Ran,
    said_to_be_caseless,
    said_to_be_several,
    seen_to_be_several,
)


@pytest.mark.parametrize(
    ("statement", "several"),
    [
        ("If there are several possible\nanswers, print any of them.", True),
        ("If there are Multiple Solutions, you may output any.", True),
        ("Print the edges in any order.", True),
        ("Print the only integer: the answer.", False),
        ("Company of themes, printany; manyvalid.", False),  # within words
        ("", False),
    ],
)
def test_a_statement_says_so(statement: str, several: bool) -> None:
    assert said_to_be_several(statement) is several


def test_capital_letters_are_another_matter() -> None:
    text = "You can print each letter in any case (upper or lower)."
    assert said_to_be_caseless(text)
    assert not said_to_be_several(text)
    assert not said_to_be_caseless("In any event print YES.")


def test_phrases_are_written_as_they_are_compared() -> None:
    for phrase in (*PHRASES, *CASELESS_PHRASES):
        assert phrase == " ".join(phrase.casefold().split())


def passed(tests: int = 9) -> Ran:
    return Ran(tests, passed=True, answer="")


def printed(answer: str, tests: int = 4) -> Ran:
    return Ran(tests, passed=False, answer=answer)


@pytest.mark.parametrize(
    ("solutions", "several"),
    [
        ([], False),
        ([passed(), passed()], False),
        ([printed("a"), printed("b")], True),
        ([printed("a"), printed("b"), passed(), passed()], True),
        # Two wrong labels among many right ones excuse nobody.
        ([printed("a"), printed("b"), passed(), passed(), passed()], False),
        # The same other output twice: the stored one may be wrong, but there are not several.
        ([printed("a"), printed("a"), passed()], False),
        # On different tests: no two of them were asked the same.
        ([printed("a", 4), printed("b", 5)], False),
        # One that failed later had printed the stored output here.
        ([printed("a"), printed("b"), printed("c", 6), passed(), passed()], False),
        # One that crashed gave no output.
        ([printed("a"), Ran(4, passed=False, answer="")], False),
        # One that stopped before is not asked.
        ([printed("a"), printed("b"), *[Ran(2, passed=False, answer="")] * 5], True),
    ],
)
def test_accepted_solutions_show_it(solutions: list[Ran], several: bool) -> None:
    assert seen_to_be_several(solutions) is several
