"""Row numbers come in many forms, and each is either the rows that it says or one clear error."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.samplers import Stage
from wmtp_assets.corpora.selection import RowNumberError, row_numbers
from wmtp_assets_tests.corpora.conftest import build_codecontests, problem, write_shard

N = 10
_MASK = [at in (2, 3, 7) for at in range(N)]
# What is given, and the rows that it names, of ten.
RIGHT: dict[str, tuple[Any, list[int]]] = {
    "a list": ([3, 0, 3], [3, 0, 3]),
    "a tuple": ((9, -1), [9, 9]),
    "nothing": ([], []),
    "an empty array of floats": (np.array([]), []),
    "a range": (range(8, 2, -2), [8, 6, 4]),
    "a range that is empty": (range(5, 5), []),
    "a range from the end": (range(-2, 0), [8, 9]),
    "a slice": (slice(-3, None), [7, 8, 9]),
    "a slice backwards": (slice(None, None, -4), [9, 5, 1]),
    "a set, ascending": ({7, 2, 3}, [2, 3, 7]),
    "a frozenset": (frozenset({1}), [1]),
    "keys": ({4: "a", 2: "b"}.keys(), [2, 4]),
    "a deque": (deque([1, 2]), [1, 2]),
    "numpy integers in a list": ([np.int8(3), np.uint64(4), 5], [3, 4, 5]),
    "an array": (np.array([3, -3]), [3, 7]),
    "an array of bytes": (np.array([3, 255 - 250], dtype=np.uint8), [3, 5]),
    "an array of uint64": (np.array([3], dtype=np.uint64), [3]),
    "an array with steps": (np.arange(10)[::-3], [9, 6, 3, 0]),
    "an array in foreign byte order": (np.array([1, 2], dtype=">i4"), [1, 2]),
    "an array of objects": (np.array([1, 2], dtype=object), [1, 2]),
    "a tensor": (torch.tensor([4, 1]), [4, 1]),
    "a tensor of bytes": (torch.tensor([4, 1], dtype=torch.uint8), [4, 1]),
    "an arrow array": (pa.array([4, 1]), [4, 1]),
    "a chunked arrow array": (pa.chunked_array([[4], [1]]), [4, 1]),
    "a series, by its values": (pd.Series([4, 1], index=[7, 8]), [4, 1]),
    "an index of pandas": (pd.Index([4, 1]), [4, 1]),
    "a nullable series without nulls": (pd.Series([4, 1], dtype="Int64"), [4, 1]),
    "a mask": (np.array(_MASK), [2, 3, 7]),
    "a mask in a list": (_MASK, [2, 3, 7]),
    "a mask in a tuple": (tuple(map(np.bool_, _MASK)), [2, 3, 7]),
    "a mask as a tensor": (torch.tensor(_MASK), [2, 3, 7]),
    "a mask as a series": (pd.Series(_MASK), [2, 3, 7]),
    "a mask as a nullable series": (pd.Series(_MASK, dtype="boolean"), [2, 3, 7]),
    "a mask as an arrow array": (pa.array(_MASK), [2, 3, 7]),
    "a mask of nothing": ([False] * N, []),
    "a masked array that hides nothing": (np.ma.masked_array([1, 2], [False, False]), [1, 2]),
}
# What is given, and words that the error says.
WRONG: dict[str, tuple[Any, str]] = {
    "a short mask": ([True, False], "mask of 10"),
    "a long mask": (np.ones(N + 1, dtype=bool), "mask of 10"),
    "an empty mask": (np.zeros(0, dtype=bool), "mask of 10"),
    "a short mask as a tensor": (torch.tensor([True, False]), "mask of 10"),
    "a mask among numbers": ([True, 2], "bool"),
    "a set of truth values": ({True, False}, "bool"),
    "floats": ([1.0, 2.0], "float"),
    "an array of floats": (np.array([1.0, 2.5]), "float64"),
    "not a number": ([float("nan")], "float"),
    "a tensor of floats": (torch.tensor([1.0]), "float32"),
    "a tensor that has no array": (torch.tensor([1.0], dtype=torch.bfloat16), "BFloat16"),
    "complex numbers": (np.array([1j]), "complex128"),
    "decimals": ([Decimal(1)], "Decimal"),
    "fractions": ([Fraction(1)], "Fraction"),
    "text": ("12", "str"),
    "texts": (["1", "2"], "str"),
    "an array of texts": (np.array(["1"]), "<U1"),
    "bytes": (b"\x01\x02", "bytes"),
    "a bytearray": (bytearray(b"\x01"), "bytearray"),
    "nothing at all": (None, "None"),
    "a null": ([1, None], "None"),
    "an arrow null": (pa.array([1, None]), "float64"),
    "an arrow mask with a null": (pa.array([*_MASK[:-1], None]), "bool"),
    "a nullable series with a null": (pd.Series([1, None], dtype="Int64"), "float64"),
    "dates": (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64"),
    "durations": (np.array([1], dtype="timedelta64[s]"), "timedelta64"),
    "records": (np.zeros(2, dtype=[("a", int)]), "dimensions"),
    "two dimensions": (np.array([[1, 2, 3]]), "2 dimensions"),  # two columns are pairs, to some
    "a mask of two dimensions": (np.ones((N, 1), dtype=bool), "2 dimensions"),
    "lists in a list": ([[1, 2]], "list"),
    "no dimension": (np.array(3), "0 dimensions"),
    "a tensor without a dimension": (torch.tensor(3), "0 dimensions"),
    "one number": (3, "int"),
    "a mapping": ({1: 2}, "dict"),
    "a masked array": (np.ma.masked_array([1, 2], [True, False]), "masked"),
    "a number past the end": ([N], "10"),
    "a number before the start": ([-N - 1], "-11"),
    "a range past the end": (range(10**15), "999999999999999"),
    "a number beyond 64 bits": ([2**70], str(2**70)),
    "uint64 beyond int64": (np.array([2**63 + 1], dtype=np.uint64), str(2**63 + 1)),
    "the least int64": (np.array([-(2**63)]), str(-(2**63))),
    "an object of another kind": ([object()], "object"),
}


@pytest.mark.parametrize("what", RIGHT)
def test_each_form_names_its_rows(what: str) -> None:
    given, rows = RIGHT[what]
    found = row_numbers(given, N)
    assert found.dtype == np.int64
    assert found.tolist() == rows


def test_an_iterator_names_its_rows() -> None:
    assert row_numbers((at * at for at in range(3)), N).tolist() == [0, 1, 4]
    assert row_numbers(map(int, "12"), N).tolist() == [1, 2]
    assert row_numbers((at == 4 for at in range(N)), N).tolist() == [4]


@pytest.mark.parametrize("what", WRONG)
def test_anything_else_is_one_clear_error(what: str) -> None:
    given, words = WRONG[what]
    with pytest.raises(RowNumberError) as refusal:
        row_numbers(given, N)
    assert words in str(refusal.value)
    assert "What to do" in str(refusal.value)
    assert isinstance(refusal.value, CorpusError)
    assert isinstance(refusal.value, IndexError)  # as of any sequence


@given(st.lists(st.integers(-N, N - 1)))
def test_numbers_mean_what_they_mean_to_a_list(numbers: list[int]) -> None:
    rows = list(range(N))
    for form in (list, tuple, np.array, torch.tensor, pd.Series):
        found = row_numbers(form(numbers) if numbers else [], N)
        assert found.tolist() == [rows[at] for at in numbers]


@pytest.fixture(scope="module")
def corpus(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    shard = write_shard(
        folder / "shard.parquet",
        [
            problem(name=f"p{at}", difficulty=at, incorrect_solutions=[(3, f"print({at})")])
            for at in range(N // 2)
        ],
    )
    report = build_codecontests([shard], small_tokenizer, folder, "train")
    assert report.rows == N
    return Corpus(report.jsonl)


USES: dict[str, Callable[[Corpus, Any], list[Any]]] = {
    "take": lambda corpus, rows: corpus.take(rows),
    "lines": lambda corpus, rows: list(map(json.loads, corpus.lines(rows))),
    "an index": lambda corpus, rows: corpus[rows],
    "a torch dataset": lambda corpus, rows: _each(corpus.torch_dataset(rows)),
    "a torch batch": lambda corpus, rows: corpus.torch_dataset().__getitems__(rows),
    "a datasets view": lambda corpus, rows: list(corpus.hf_dataset(rows)),
}
# No rows to a use that takes one row, or all of them if it is given nothing.
_OTHERWISE = ("one number", "nothing at all", "no dimension", "a tensor without a dimension")


def _each(dataset: Any) -> list[Any]:
    return [dataset[at] for at in range(len(dataset))]


@pytest.mark.parametrize("what", RIGHT)
def test_rows_are_read_by_every_form(corpus: Corpus, what: str) -> None:
    given, rows = RIGHT[what]
    every = list(corpus)
    for use, read in USES.items():
        assert read(corpus, given) == [every[at] for at in rows], use


@pytest.mark.parametrize("what", [what for what in WRONG if what not in _OTHERWISE])
def test_rows_are_refused_in_every_place(corpus: Corpus, what: str) -> None:
    given, words = WRONG[what]
    for read in USES.values():
        with pytest.raises(RowNumberError) as refusal:
            read(corpus, given)
        assert words in str(refusal.value)


@pytest.mark.parametrize("what", RIGHT)
def test_rows_are_left_out_and_chosen_among_by_every_form(corpus: Corpus, what: str) -> None:
    given, rows = RIGHT[what]
    left = corpus.select(exclude=given)
    assert left.tolist() == [at for at in range(N) if at not in rows]
    among = sorted(set(rows))  # twice among is once among
    correct = [at for at in among if corpus[at]["is_correct"]]
    sample = corpus.balanced(len(correct), share=1.0, among=given, seed=1)
    assert sorted(sample.tolist()) == correct
    sample = corpus.binned(len(among), {(0, 9): 1.0}, among=given, seed=1)
    assert sorted(sample.tolist()) == among


@pytest.mark.parametrize("what", [what for what in WRONG if what != "nothing at all"])
def test_rows_are_neither_left_out_nor_chosen_among_by_what_is_none(
    corpus: Corpus, what: str
) -> None:
    given, words = WRONG[what]
    for use in (
        lambda: corpus.select(exclude=given),
        lambda: corpus.balanced(1, among=given, seed=1),
        lambda: corpus.binned(1, {(0, 9): 1.0}, among=given, seed=1),
        lambda: corpus.curriculum(1, [Stage(1.0, {(0, 9): 1.0})], among=given, seed=1),
        lambda: corpus.pairs(1, among=given, seed=1),
    ):
        with pytest.raises(RowNumberError) as refusal:
            use()
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    "one", [3, -7, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3), torch.tensor(-7)]
)
def test_one_row_is_named_by_an_integer_of_any_kind(corpus: Corpus, one: Any) -> None:
    assert corpus[one] == list(corpus)[3]
    assert corpus.torch_dataset()[one] == list(corpus)[3]


@pytest.mark.parametrize(
    "one",
    [
        True,
        np.True_,
        np.array(True),
        torch.tensor(True),
        3.0,
        np.float64(3),
        torch.tensor(3.0),
        "3",
        None,
        Decimal(3),
        float("nan"),
        N,
        -N - 1,
        2**70,
        pa.scalar(3),
    ],
    ids=repr,
)
def test_one_row_is_named_by_nothing_else(corpus: Corpus, one: Any) -> None:
    with pytest.raises(RowNumberError):
        corpus[one]
    with pytest.raises(RowNumberError):
        corpus.torch_dataset()[one]
