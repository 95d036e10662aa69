"""The block data_sampling of a training configuration is accepted as it is, or refused clearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from wmtp_assets.corpora import data_sampling
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus

PAIRWISE = """
data_sampling:
  seed: 84
  use_pairwise: true
  val_n_samples: 5
  n_samples: 24
  max_pairs_per_problem: 3     # at most so many of a problem
  use_length_balanced: true
  length_bins: [0, 5, 7, 50]
  difficulty_bins:
    all: [1, 25]
  difficulty_weights:
    all: 1.0
"""
POINTWISE = """
seed: 42
val_n_samples: 10
use_pairwise: false
n_samples: 20
max_pairs_per_problem: 4
difficulty_bins:
  diff_7: [7, 7]
  else: [8, 25]
difficulty_weights:
  diff_7: 0.35
  else: 0.65
"""


@pytest.fixture(scope="module")
def corpus(paired: Path) -> Corpus:
    return Corpus(paired)


def check(corpus: Corpus, pairs: np.ndarray, cap: int) -> None:
    right, wrong = pairs.T
    number = corpus.column("problem")
    assert (corpus.column("is_correct")[right] == 1).all()
    assert (corpus.column("is_correct")[wrong] == 0).all()
    assert (number[right] == number[wrong]).all()
    assert np.unique(pairs).size == pairs.size
    assert np.unique(number[right], return_counts=True)[1].max() <= cap


def test_a_block_of_pairs_of_equal_length(corpus: Corpus) -> None:
    block = yaml.safe_load(PAIRWISE)
    pairs = corpus.sample(block)
    assert pairs.shape == (24, 2)
    check(corpus, pairs, cap=3)
    lengths = np.searchsorted([5, 7, 50], corpus.column("output_tokens")[pairs], "right")
    assert np.unique(lengths).size > 1
    assert (lengths[:, 0] == lengths[:, 1]).all()
    assert (corpus.column("difficulty")[pairs] >= 1).all()
    assert pairs.tolist() == corpus.sample(block["data_sampling"]).tolist()
    for key, value in (("n_samples", "count"), ("seed", "seed")):
        other = {**block["data_sampling"], key: 7}
        assert corpus.sample(other).tolist() == corpus.sample(block, **{value: 7}).tolist()
    validation = corpus.sample(block, count=block["data_sampling"]["val_n_samples"])
    assert validation.shape == (5, 2)
    few = corpus.sample(block, count=3, among=corpus.select(problems=[1, 2, 3]))
    assert np.isin(corpus.column("problem")[few], [1, 2, 3]).all()


def test_a_block_of_correct_rows_by_weighted_difficulty(corpus: Corpus) -> None:
    rows = corpus.sample(yaml.safe_load(POINTWISE))
    assert rows.shape == (20,)
    assert np.unique(rows).size == 20
    assert (corpus.column("is_correct")[rows] == 1).all()
    level = corpus.column("difficulty")[rows]
    assert ((level == 7).sum(), (level >= 8).sum()) == (7, 13)
    pairs = corpus.sample({**yaml.safe_load(POINTWISE), "use_pairwise": True})
    check(corpus, pairs, cap=4)
    assert pairs[:, 0].tolist() == rows.tolist()


def test_mappings_of_other_kinds_are_read_too(corpus: Corpus) -> None:
    import collections
    import types

    block = yaml.safe_load(POINTWISE)
    other = types.MappingProxyType(collections.ChainMap(block))
    assert corpus.sample(other).tolist() == corpus.sample(block).tolist()


def test_the_edges_of_length_bins_have_a_default() -> None:
    block = {"n_samples": 1, "seed": 1, "use_length_balanced": True}
    asked = data_sampling.parse(block)
    assert asked.length_bins == [0, 100, 150, 200, 300, 500, 1000, 2000]
    assert (asked.bins, asked.pairwise, asked.max_pairs_per_problem) == (None, False, None)


def test_a_bin_of_which_the_split_has_no_pair_gives_its_part_to_the_others(corpus: Corpus) -> None:
    block = yaml.safe_load(POINTWISE)
    block["difficulty_bins"]["diff_7"] = [3, 5]
    with pytest.warns(UserWarning, match="no pair of difficulty 3 to 5"):
        rows = corpus.sample(block)
    assert (corpus.column("difficulty")[rows] >= 8).all()
    assert rows.size == 20


_WRONG: dict[str, tuple[Any, str]] = {
    "not a mapping": (lambda block: [block], "data_sampling is not usable"),
    "an unknown key": (lambda block: {**block, "n_sample": 3}, "Found: n_sample"),
    "no count": (lambda block: {**block, "n_samples": None}, "data_sampling.n_samples"),
    "no seed": (lambda block: {**block, "seed": None}, "data_sampling.seed"),
    "a count of text": (lambda block: {**block, "n_samples": "20"}, "whole number"),
    "a count for validation": (lambda block: {**block, "val_n_samples": -1}, "whole number"),
    "a cap of 0": (lambda block: {**block, "max_pairs_per_problem": 0}, "whole number"),
    "text for a truth": (lambda block: {**block, "use_pairwise": "no"}, "use_pairwise"),
    "no bins": (
        lambda block: {**block, "difficulty_bins": None, "difficulty_weights": None},
        "needs bins of difficulty",
    ),
    "bins alone": (lambda block: {**block, "difficulty_weights": None}, "difficulty_weights"),
    "bins in a list": (lambda block: {**block, "difficulty_bins": [[7, 7]]}, "difficulty_bins"),
    "other names": (lambda block: {**block, "difficulty_weights": {"all": 1}}, "different bins"),
    "one range twice": (
        lambda block: {**block, "difficulty_bins": {"diff_7": [7, 7], "else": [7, 7]}},
        "another range",
    ),
    "bins that overlap": (
        lambda block: {**block, "difficulty_bins": {"diff_7": [7, 9], "else": [8, 25]}},
        "Bins overlap",
    ),
    "a range of one": (
        lambda block: {**block, "difficulty_bins": {"diff_7": [7], "else": [8, 25]}},
        "difficulty_bins.diff_7",
    ),
    "a range of text": (
        lambda block: {**block, "difficulty_bins": {"diff_7": "7-", "else": [8, 25]}},
        "difficulty_bins.diff_7",
    ),
    "edges that fall": (
        lambda block: {**block, "use_length_balanced": True, "length_bins": [5, 1]},
        "ascending numbers",
    ),
    "more than there are": (lambda block: {**block, "n_samples": 500}, "fewer pairs than"),
}


@pytest.mark.parametrize("what", _WRONG)
def test_a_block_that_makes_no_sense_is_one_clear_error(corpus: Corpus, what: str) -> None:
    change, message = _WRONG[what]
    with pytest.raises(CorpusError, match=message) as refusal:
        corpus.sample(change(yaml.safe_load(POINTWISE)))
    assert "What to do" in str(refusal.value)
    assert refusal.value.found is not None


def test_an_unknown_key_is_answered_with_those_that_are_known(corpus: Corpus) -> None:
    with pytest.raises(CorpusError) as refusal:
        corpus.sample({"n_samples": 3, "correct_ratio": 0.5})
    assert refusal.value.expected == ", ".join(data_sampling.KEYS)
    assert refusal.value.found == "correct_ratio"
