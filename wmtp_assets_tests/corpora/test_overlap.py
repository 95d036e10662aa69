"""Texts that two splits have in common, against a comparison of the texts themselves."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pytest

from wmtp_assets.corpora.overlap import Shared, TextHashes, shared_texts
from wmtp_assets_tests.corpora.conftest import real


def bare(text: str) -> str:
    return "".join(text.split())


def plainly(one: list[str], other: list[str]) -> tuple[int, int, tuple[int, int]]:
    """Different texts in both but for white space, word for word, and places in each."""
    sides = [[text for text in side if bare(text)] for side in (one, other)]
    common = {bare(text) for text in sides[0]} & {bare(text) for text in sides[1]}
    places = [sum(bare(text) in common for text in side) for side in sides]
    return len(common), len(set(sides[0]) & set(sides[1])), (places[0], places[1])


def hashes(texts: list[str]) -> TextHashes:
    return TextHashes.of(enumerate(text.encode() for text in texts))


def said(found: Shared | None) -> tuple[int, int, tuple[int, int]]:
    return (0, 0, (0, 0)) if found is None else (found.texts, found.verbatim, found.rows)


@pytest.mark.parametrize("seed", range(20))
def test_it_counts_what_comparing_the_texts_counts(seed: int) -> None:
    draw = random.Random(seed)
    parts = ["a", "b", " ", "\n", "\t", "é", "\r\n"]

    def split(count: int) -> list[str]:
        return ["".join(draw.choices(parts, k=draw.randint(0, 5))) for _ in range(count)]

    one, other = split(draw.randint(0, 60)), split(draw.randint(0, 60))
    found = shared_texts(hashes(one), hashes(other))
    assert said(found) == plainly(one, other)
    for first, second in found.examples if found else ():
        assert bare(one[first]) == bare(other[second])


def test_a_column_is_hashed_as_its_texts_are() -> None:
    texts = ["one", "", "zwei\n", " \t", "drei", "é", "one"]
    chunks = pa.chunked_array([pa.array(["left out", *texts[:3]])[1:], pa.array(texts[3:])])
    found = TextHashes.of_column(chunks, 0)
    whole = hashes(texts)
    assert found.lines.tolist() == whole.lines.tolist() == [0, 2, 4, 5, 6]
    assert np.array_equal(found.exact, whole.exact)
    assert np.array_equal(found.loose, whole.loose)
    later = TextHashes.of_column(pa.chunked_array([[""], ["x"]], pa.string()), 40)
    assert later.lines.tolist() == [41]
    both = TextHashes.joined([found, later])
    assert both.lines.tolist() == [0, 2, 4, 5, 6, 41]
    assert (
        TextHashes.joined([]).loose.size
        == TextHashes.of_column(pa.chunked_array([], pa.string()), 0).loose.size
        == 0
    )


def test_mbpp_repeats_itself_in_its_splits() -> None:
    """Upstream's own: 3 prompts word for word, and 3 solutions but for white space."""
    rows = [json.loads(line) for line in real("mbpp/mbpp.jsonl").read_text().splitlines()]
    bounds = {"prompt": range(1, 11), "test": range(11, 511), "validation": range(511, 601)}
    bounds["train"] = range(601, 975)
    found: dict[str, list[Shared]] = {}
    for field in ("text", "code"):
        of = {
            split: hashes([row[field] for row in rows if row["task_id"] in tasks])
            for split, tasks in bounds.items()
        }
        pairs = [(a, b) for at, a in enumerate(of) for b in list(of)[at + 1 :]]
        found[field] = [one for a, b in pairs if (one := shared_texts(of[a], of[b])) is not None]
    assert [
        (sum(one.texts for one in of), sum(one.verbatim for one in of)) for of in found.values()
    ] == [(3, 3), (3, 0)]
