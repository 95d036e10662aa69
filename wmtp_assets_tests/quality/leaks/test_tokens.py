"""Tokens as hashes: the same however a program is laid out, and of each text alone."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from wmtp_assets.quality.leaks.tokens import (
    SHINGLE,
    CodeStreams,
    distinct,
    lex_code,
    lex_prose,
    shingles,
    wholes,
    without_unseen,
)

PROGRAM = """def merge(a, b):
    \"\"\"Merge two lists.\"\"\"
    found = []  # of both
    while a and b:
        if a[0] <= b[0]:
            found.append(a.pop(0))
        elif not a:
            return "it's # none"
        else:
            found.append(b.pop(0))
    return found + a + b
"""


def streams(*texts: str) -> CodeStreams:
    return lex_code([text.encode() for text in texts])


@pytest.mark.parametrize(
    "other",
    [
        PROGRAM.replace("\n", "\r\n"),
        PROGRAM.replace("    ", "\t"),
        ast.unparse(ast.parse(PROGRAM)),
        PROGRAM.replace("# of both", "").replace('    """Merge two lists."""\n', ""),
        PROGRAM.replace('"it\'s # none"', "'it''s # none'").replace("found + a + b", "(found+a)+b"),
        PROGRAM.replace("elif not a:", "else:\n          if not a:"),
    ],
)
def test_layout_counts_for_nothing(other: str) -> None:
    found = streams(PROGRAM, other).named
    assert found.of(0).tolist() == found.of(1).tolist()
    assert found.of(0).size > 30


def test_names_count_where_they_are_asked_for() -> None:
    other = PROGRAM.replace("found", "result").replace("merge", "zipped").replace("a", "left")
    found = streams(PROGRAM, PROGRAM.replace("found", "result"), other)
    assert found.named.of(0).tolist() != found.named.of(1).tolist()
    assert found.shaped.of(0).tolist() == found.shaped.of(1).tolist()
    # `append` has become another attribute, `elif` and `while` names.
    assert found.shaped.of(0).tolist() != found.shaped.of(2).tolist()


def test_a_built_in_name_counts_unless_it_is_said_to_stand_for_something_else() -> None:
    texts = [b"sum = max(sum, i)", b"best = max(best, i)"]
    apart = lex_code(texts).shaped
    assert apart.of(0).tolist() != apart.of(1).tolist()
    same = lex_code(texts, renamed=frozenset({b"sum"})).shaped
    assert same.of(0).tolist() == same.of(1).tolist()
    bare = lex_code([*texts, b"best = least(best, i)"]).bare
    assert bare.of(0).tolist() == bare.of(1).tolist() == bare.of(2).tolist()


def test_texts_do_not_reach_into_each_other() -> None:
    alone = streams(PROGRAM).named
    within = streams("x = 'never closed", '"""nor this\n\n', PROGRAM, "", "a\0b", PROGRAM).named
    assert within.of(2).tolist() == within.of(5).tolist() == alone.of(0).tolist()
    assert within.of(3).size == 0
    assert within.of(4).size == 2  # a zero byte is no end of a text
    whole = wholes(within)
    assert whole[2] == whole[5]
    assert np.unique(whole).size == 4  # two have no tokens


def test_what_is_seen_of_programs_has_nothing_more_to_be_taken_out() -> None:
    texts = [PROGRAM, "x = 'never closed", '"""nor this\n\n', "", "a\0b # c", "'\"' '#' \\'"]
    seen = without_unseen([text.encode() for text in texts])
    assert without_unseen(seen) == seen
    assert seen[1:5] == [b"x =  ", b" ", b"", b"a b  "]


def test_every_hash_is_there_once() -> None:
    hashes = np.array([7, 1 << 63, 7, 0, 1 << 63], np.uint64)
    assert distinct(hashes).tolist() == [0, 7, 1 << 63]
    assert distinct(hashes[:0]).size == 0


def test_words_differ_by_any_of_their_first_and_last_bytes_and_length() -> None:
    words = ["abcdefgh", "abcdefgi", "bbcdefgh", "abcdefghi", "abcdefghijk", "abcdefghxjk", "ab"]
    found = lex_prose([word.encode() for word in words])
    assert len({int(found.of(at)[0]) for at in range(len(words))}) == len(words)


def test_prose_is_words_in_lower_case() -> None:
    found = lex_prose([b"Find THE sum, of n_1 numbers.", b"find the sum of n 1 numbers"])
    assert found.of(0).tolist() == found.of(1).tolist()
    assert found.of(0).size == 7


def test_shingles_are_of_that_many_tokens_in_order() -> None:
    tokens = lex_prose([b"a b c d e f a b c d e", b"b a c d e", b"a b c d"])
    found = shingles(tokens.of(0))
    assert found.size == 11 - SHINGLE + 1
    assert found[0] == found[6]
    assert shingles(tokens.of(1))[0] not in found
    assert shingles(tokens.of(2)).size == 0
    # Across the end of a text there is none that is within one.
    across = (
        set(tokens.shingles().tolist()) - set(found.tolist()) - set(shingles(tokens.of(1)).tolist())
    )
    assert not across & set(found.tolist())


def test_time_is_linear_in_the_bytes_of_hostile_texts() -> None:
    # Each of these has taken time that grows with the square in lexers that look twice.
    for text in (b"\\" * 200_000, b'"' * 200_000, b"'''" + b"\\'" * 100_000, b'"""' * 70_000):
        assert lex_code([text, b"x = 1"]).named.of(1).size == 3
