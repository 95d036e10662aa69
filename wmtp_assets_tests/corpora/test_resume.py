"""Streams continue exactly: on other ranks, workers and batches, after any kill, no item twice."""

from __future__ import annotations

import functools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.resume import Order

EDITION = "e" * 64


@pytest.fixture(scope="module")
def corpus(paired: Path) -> Corpus:
    return Corpus(paired)


def orders(items: Any, world: int, state: Any = None, **given: Any) -> list[Order]:
    found = [
        Order(items, EDITION, **{"seed": 5, **given}, rank=rank, world=world)
        for rank in range(world)
    ]
    for order in found if state is not None else []:
        order.load_state_dict(state)
    return found


def batches(order: Order, size: int) -> Iterator[list[int]]:
    """What a rank takes, in batches: as a loader does it, which asks beyond the last item."""
    current = order.begin()
    batch: list[int] = []
    for number in current.numbers.tolist():
        current.advance(1)
        batch.append(number)
        if len(batch) == size:
            yield batch
            batch = []
    current.finish()
    if batch:
        yield batch


def test_a_thousand_kills_lose_and_repeat_nothing() -> None:
    kills, generator = 0, random.Random(15)
    while kills < 1000:
        items = np.arange(generator.randrange(1, 60))
        saved, kept = json.dumps(orders(items, 1)[0].state_dict()), []
        epochs = generator.randrange(1, 4)
        while json.loads(saved)["epoch"] < epochs:
            # A run on some ranks: it saves now and then, and is killed some steps later.
            world, size = generator.randrange(1, 5), generator.randrange(1, 5)
            ranks = orders(items, world, json.loads(saved))
            epoch, since = ranks[0].epoch, []
            to_live, done = generator.randrange(1, 30), False
            passes = [batches(order, size) for order in ranks]
            while not done and to_live:
                to_live -= 1
                step = [next(each, None) for each in passes]
                done = all(order.epoch > epoch for order in ranks)
                since += [(epoch, number) for batch in step if batch for number in batch]
                states = [json.dumps(order.state_dict()) for order in ranks]
                if len(set(states)) == 1 and (done or generator.random() < 0.4):
                    saved, kept, since = states[0], kept + since, []
            kills += not done
        expected = sorted(
            (epoch, number) for epoch in range(epochs) for number in range(len(items))
        )
        assert sorted(kept) == expected
    assert kills >= 1000


def test_ranks_that_took_equally_many_steps_have_one_state() -> None:
    for count in range(1, 40):
        for world, size in ((1, 1), (2, 3), (3, 1), (3, 4), (5, 2)):
            ranks = orders(np.arange(count), world)
            passes = [batches(order, size) for order in ranks]
            for _ in range(-(-count // (world * size))):
                for each in passes:
                    next(each, None)
                assert len({json.dumps(order.state_dict()) for order in ranks}) == 1
            assert {(order.epoch, order.position) for order in ranks} == {(1, 0)}


def test_one_rank_then_three_then_two(corpus: Corpus) -> None:
    pairs = corpus.unique_pairs(100, seed=3)
    whole = [json.dumps(pair) for pair in corpus.stream(pairs, seed=9)]
    assert len(set(whole)) == 100
    found: list[str] = []
    state = None
    for world, steps in ((1, 17), (3, 11), (2, 25)):
        streams = [corpus.stream(pairs, seed=9, rank=rank, world=world) for rank in range(world)]
        for stream in streams if state else []:
            stream.load_state_dict(json.loads(state))
        passes = [iter(stream) for stream in streams]
        for _ in range(steps):
            found += [json.dumps(next(each)) for each in passes]
        states = {json.dumps(stream.state_dict()) for stream in streams}
        assert len(states) == 1
        state = states.pop()
    # Ranks take turns, so that the order of all of them together is that of one rank alone.
    assert found == whole
    assert json.loads(state or "")["epoch"] == 1


def test_a_pair_is_what_a_pairwise_collator_reads(corpus: Corpus) -> None:
    pairs = corpus.unique_pairs(10, seed=3)
    found = list(corpus.stream(pairs, seed=1, shuffle=False))
    for (right, wrong), pair in zip(pairs.tolist(), found, strict=True):
        assert pair == {
            "instruction": corpus[right]["instruction"],
            "input": corpus[right]["input"],
            "correct_output": corpus[right]["output"],
            "incorrect_output": corpus[wrong]["output"],
        }


def test_a_stream_of_rows_gives_each_epoch_in_an_order_of_its_own(corpus: Corpus) -> None:
    rows = corpus.select(correct=True)
    stream = corpus.stream(rows, seed=2)
    epochs = []
    for epoch in range(3):
        assert (stream.epoch, len(stream)) == (epoch, rows.size)
        epochs.append([row["task_id"] for row in stream])
    expected = sorted(row["task_id"] for row in corpus.take(rows))
    assert [sorted(each) for each in epochs] == [expected] * 3
    assert len({tuple(each) for each in epochs}) == 3
    assert [row["task_id"] for row in corpus.stream(rows, seed=2)] == epochs[0]
    assert [row["task_id"] for row in corpus.stream(rows, seed=3)] != epochs[0]
    plain = corpus.stream(rows[::-1], seed=2, shuffle=False)
    assert list(plain) == list(plain) == corpus.take(rows[::-1])
    assert len(list(corpus.stream(seed=1))) == len(corpus)


def test_the_same_seed_gives_the_same_order_on_every_machine() -> None:
    # Written down once: another platform or numpy must not change it.
    order = orders(np.arange(8), 1, seed=-7)[0]
    found = [next(batches(order, 8)) for _ in range(2)]
    assert found == [[5, 7, 1, 4, 2, 0, 6, 3], [0, 4, 5, 1, 7, 3, 2, 6]]


def test_a_state_is_small_and_survives_json(corpus: Corpus) -> None:
    stream = corpus.stream(seed=-(10**40))
    next(iter(stream))
    text = json.dumps(stream.state_dict())
    assert len(text) < 1000
    other = corpus.stream(seed=-(10**40))
    other.load_state_dict(json.loads(text))
    assert len(other) == len(corpus) - 1


def test_iterating_again_gives_what_is_left_and_ends_the_pass_before(corpus: Corpus) -> None:
    stream = corpus.stream(seed=1)
    whole = [row["task_id"] for row in corpus.stream(seed=1)]
    first = iter(stream)
    found = [next(first)["task_id"] for _ in range(5)]
    second = iter(stream)
    found += [next(second)["task_id"] for _ in range(5)]
    with pytest.raises(CorpusError, match="This pass has ended"):
        next(first)
    found += [row["task_id"] for row in stream]
    assert found == whole
    third = iter(stream)
    next(third)
    stream.load_state_dict(corpus.stream(seed=1).state_dict())
    with pytest.raises(CorpusError, match="This pass has ended"):
        next(third)
    assert [row["task_id"] for row in stream] == whole


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_items_than_ranks(count: int) -> None:
    ranks = orders(np.arange(count), 3)
    taken = [[number for batch in batches(order, 2) for number in batch] for order in ranks]
    assert sorted(number for each in taken for number in each) == list(range(count))
    assert list(map(len, taken)) == [1] * count + [0] * (3 - count)
    assert {(order.epoch, order.position) for order in ranks} == {(1, 0)}


def test_ranks_with_fewer_items_come_to_the_next_epoch_too(corpus: Corpus) -> None:
    for count in (0, 1, 5):
        streams = [corpus.stream(range(count), seed=1, rank=rank, world=3) for rank in range(3)]
        for epoch in range(2):
            assert [stream.epoch for stream in streams] == [epoch] * 3
            taken = [row["task_id"] for stream in streams for row in stream]
            assert sorted(taken) == sorted(row["task_id"] for row in corpus.take(range(count)))


_OTHERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "edition": (lambda state: {**state, "edition": "f" * 64}, "another edition of the corpus"),
    "rows": (lambda state: orders(np.arange(9), 1)[0].state_dict(), "another sample of rows"),
    "pairs": (
        lambda state: orders(np.arange(20).reshape(-1, 2), 1)[0].state_dict(),
        "another sample of rows or pairs",
    ),
    "seed": (lambda state: orders(np.arange(10), 1, seed=6)[0].state_dict(), "another seed"),
    "order": (
        lambda state: orders(np.arange(10), 1, shuffle=False)[0].state_dict(),
        r"another order \(shuffle\)",
    ),
    "nothing": (lambda state: {}, "not the state of a stream"),
    "no mapping": (lambda state: [state], "not the state of a stream"),
    "another format": (lambda state: {**state, "format": "2"}, "not the state of a stream"),
    "no position": (lambda state: {**state, "position": None}, "position None"),
    "a position of text": (lambda state: {**state, "position": "3"}, "position '3'"),
    "a position that is true": (lambda state: {**state, "position": True}, "position True"),
    "a position outside": (lambda state: {**state, "position": 10}, "position 10 of 10"),
    "a position below": (lambda state: {**state, "position": -1}, "position -1"),
    "an epoch that no training comes to": (
        lambda state: {**state, "epoch": 10**30},
        "epoch 1000",
    ),
    "a key that is none of a state's": (lambda state: {**state, "rank": 1}, "rank"),
    "a state in a thousand folds": (
        lambda state: functools.reduce(lambda inside, _: {"in": inside}, range(5000), {}),
        "not the state of a stream",
    ),
    "an inner state without position": (
        lambda state: {"loader": {**state, "position": None}},
        "position None",
    ),
    "an epoch below": (lambda state: {**state, "epoch": -1}, "epoch -1"),
}


@pytest.mark.parametrize("what", _OTHERS)
def test_another_state_is_refused_and_changes_nothing(what: str) -> None:
    change, message = _OTHERS[what]
    order = orders(np.arange(10), 1)[0]
    list(zip(range(3), batches(order, 1), strict=False))
    before = order.state_dict()
    with pytest.raises(CorpusError, match=message) as refusal:
        order.load_state_dict(change(before))
    assert "begin anew without" in str(refusal.value)
    assert order.state_dict() == before
    assert sum(map(len, batches(orders(np.arange(10), 1)[0], 3))) == 10  # anew, as it says


def test_a_state_fits_the_same_bytes_in_another_place_and_no_other_edition(
    corpus: Corpus, tmp_path: Path
) -> None:
    state = corpus.stream(seed=1).state_dict()
    for file in corpus.jsonl.parent.glob("train*"):
        shutil.copy(file, tmp_path)
    Corpus(tmp_path / "train.jsonl").stream(seed=1).load_state_dict(state)
    assert state["edition"] == corpus.facts["jsonl"]["sha256"]


@pytest.mark.parametrize(
    "items", [np.zeros((3, 3), int), [[0, 1]], np.zeros((2, 2)), "0"], ids=repr
)
def test_items_are_rows_or_pairs(corpus: Corpus, items: Any) -> None:
    with pytest.raises(IndexError):
        corpus.stream(items, seed=1)
    with pytest.raises(IndexError, match="no such row"):
        corpus.stream(np.array([[0, len(corpus)]]), seed=1)
