"""Streams through torch: workers are asked ahead, processes are killed, and nothing is lost."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.resume import own_state


@pytest.fixture(scope="module")
def corpus(paired: Path) -> Corpus:
    return Corpus(paired)


@pytest.fixture(scope="module")
def rows(corpus: Corpus) -> np.ndarray:
    return corpus.balanced(61, seed=4)


@pytest.fixture(scope="module")
def expected(corpus: Corpus, rows: np.ndarray) -> list[list[str]]:
    """What one rank gets in two epochs."""
    stream = corpus.stream(rows, seed=6)
    return [[row["task_id"] for row in stream] for _ in range(2)]


def names(batch: list[dict[str, Any]]) -> list[str]:
    return [row["task_id"] for row in batch]


def through_torch(state: Any) -> Any:
    """As a checkpoint keeps it."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_loader_gives_the_order_of_the_stream(
    corpus: Corpus, rows: np.ndarray, expected: list[list[str]]
) -> None:
    loader = corpus.torch_loader(rows, seed=6, batch_size=8)
    for epoch in range(2):
        assert (loader.epoch, len(loader)) == (epoch, 8)
        assert [name for batch in loader for name in names(batch)] == expected[epoch]
    one = corpus.torch_loader(rows, seed=6, batch_size=None)
    assert [row["task_id"] for row in one] == expected[0]
    pairs = corpus.unique_pairs(20, seed=3)
    batch = next(iter(corpus.torch_loader(pairs, seed=1, batch_size=20, collate_fn=tuple)))
    assert list(batch) == list(corpus.stream(pairs, seed=1))
    dataset = corpus.torch_dataset(pairs)
    assert (len(dataset), dataset[3]) == (20, dataset.__getitems__([3])[0])


def test_loaders_of_ranks_with_fewer_items_come_to_the_next_epoch_too(corpus: Corpus) -> None:
    loaders = [
        corpus.torch_loader(range(5), seed=1, rank=rank, world=3, batch_size=2) for rank in range(3)
    ]
    for epoch in range(2):
        assert [loader.epoch for loader in loaders] == [epoch] * 3
        taken = [name for loader in loaders for batch in loader for name in names(batch)]
        assert sorted(taken) == sorted(names(corpus.take(range(5))))


@pytest.mark.slow
def test_a_loader_continues_on_other_ranks_workers_and_batches(
    corpus: Corpus, rows: np.ndarray, expected: list[list[str]]
) -> None:
    found: list[str] = []
    state = None
    for world, workers, size, steps in ((1, 2, 3, 4), (3, 0, 2, 3), (2, 2, 5, 2), (1, 0, 4, 99)):
        loaders = [
            corpus.torch_loader(
                rows, seed=6, rank=rank, world=world, batch_size=size, num_workers=workers
            )
            for rank in range(world)
        ]
        for loader in loaders if state else []:
            loader.load_state_dict(through_torch(state))
        passes = [iter(loader) for loader in loaders]
        for _ in range(steps):
            found += [name for each in passes for name in names(next(each, []))]
        states = [loader.state_dict() for loader in loaders]
        assert all(each == states[0] for each in states)
        state = states[0]
    assert sorted(found) == sorted(expected[0])
    assert (state or {})["epoch"] == 1


@pytest.mark.slow
def test_workers_that_stay_give_one_epoch_after_the_other(
    corpus: Corpus, rows: np.ndarray, expected: list[list[str]]
) -> None:
    loader = corpus.torch_loader(
        rows, seed=6, batch_size=7, num_workers=2, persistent_workers=True, prefetch_factor=3
    )
    passed = iter(loader)
    found = [name for _ in range(3) for name in names(next(passed))]
    passed.close()  # as `break` does
    found += [name for batch in loader for name in names(batch)]
    assert found == expected[0]
    assert [name for batch in loader for name in names(batch)] == expected[1]


def test_what_would_lose_rows_is_no_argument_of_a_loader(corpus: Corpus) -> None:
    for given in ({"drop_last": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(TypeError):
            corpus.torch_loader(seed=1, **given)


def stateful() -> Any:
    return pytest.importorskip(
        "torchdata.stateful_dataloader", reason="torchdata is not installed"
    ).StatefulDataLoader


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batches", [0, 1, 5, 12, 13])
def test_a_stateful_data_loader_continues_with_its_own_state(
    corpus: Corpus, rows: np.ndarray, expected: list[list[str]], workers: int, batches: int
) -> None:
    def loader() -> Any:
        return stateful()(
            corpus.torch_dataset(rows),
            batch_size=5,
            sampler=corpus.torch_sampler(rows, seed=6),
            num_workers=workers,
            collate_fn=list,
        )

    first = loader()
    found = [names(batch) for _, batch in zip(range(batches), first, strict=False)]
    state = through_torch(first.state_dict())
    second = loader()
    second.load_state_dict(state)
    both = [name for batch in found for name in batch]
    for _ in range(3):  # where a pass ends that was whole when it was saved is the loader's to say
        both += [name for batch in second for name in names(batch)]
    assert both[: 2 * len(rows)] == expected[0] + expected[1]
    # On other ranks and workers, and without torchdata, by the state inside.
    streams = [corpus.stream(rows, seed=6, rank=rank, world=3) for rank in range(3)]
    for stream in streams:
        stream.load_state_dict(state)
        assert len(json.dumps(own_state(state))) < 1000
    rest = [row["task_id"] for stream in streams for row in stream]
    left = expected[0][5 * batches :] or expected[1]
    assert sorted(rest) == sorted(left)


@pytest.mark.slow
def test_the_state_of_a_snapshot_before_is_refused_elsewhere(
    corpus: Corpus, rows: np.ndarray
) -> None:
    loader = stateful()(
        corpus.torch_dataset(rows),
        batch_size=5,
        sampler=corpus.torch_sampler(rows, seed=6),
        num_workers=2,
        collate_fn=list,
        snapshot_every_n_steps=3,
    )
    passed = iter(loader)
    for _ in range(4):
        next(passed)
    with pytest.raises(CorpusError, match="older than what it had given"):
        corpus.stream(rows, seed=6).load_state_dict(loader.state_dict())
    for _ in range(2):  # at the next snapshot, as the hint says
        next(passed)
    stream = corpus.stream(rows, seed=6)
    stream.load_state_dict(loader.state_dict())
    assert len(stream) == 61 - 30


_JOB = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from wmtp_assets.corpora.reader import Corpus

jsonl, log, way, world, workers, size, steps = sys.argv[1:]
world, workers, size, steps = int(world), int(workers), int(size), int(steps)
corpus = Corpus(Path(jsonl))
rows = corpus.balanced(61, seed=4)
lines = Path(log).read_text().splitlines() if Path(log).exists() else []

def rank_of(rank):
    given = {"seed": 6, "rank": rank, "world": world}
    if way == "stream":
        return corpus.stream(rows, **given)
    return corpus.torch_loader(rows, batch_size=size, num_workers=workers, **given)

ranks = [rank_of(rank) for rank in range(world)]
for each in ranks if lines else []:
    each.load_state_dict(json.loads(lines[-1])["state"])
file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while ranks[0].epoch < 2:
    epoch, passes = ranks[0].epoch, [iter(each) for each in ranks]
    while any(each.epoch == epoch for each in ranks):
        took = [next(each, None) for each in passes]
        names = [row["task_id"] for one in took if one is not None
                 for row in (one if isinstance(one, list) else [one])]
        line = json.dumps({"epoch": epoch, "names": names, "state": ranks[0].state_dict()})
        os.write(file, line.encode() + b"\\n")
        time.sleep(0.003)  # a step of training
        steps -= 1
        if not steps:
            time.sleep(600)  # the kill is late
"""


def killed_again_and_again(
    jsonl: Path, log: Path, runs: Callable[[random.Random], tuple[str, ...]], kills: int
) -> list[dict[str, Any]]:
    """The steps of a job that is struck by SIGKILL at random, and started anew on another world."""
    generator = random.Random(8)
    for kill in range(kills + 1):
        before = log.stat().st_size if log.exists() else 0
        # Four steps at most, so that a killer whom a busy machine lets wait finds it at work.
        steps = "4" if kill < kills else "0"
        job = subprocess.Popen(
            [sys.executable, "-c", _JOB, str(jsonl), str(log), *runs(generator), steps],
            start_new_session=True,
        )
        if kill == kills:
            assert job.wait() == 0
            break
        while (log.stat().st_size if log.exists() else 0) <= before:
            assert job.poll() is None
            time.sleep(0.002)
        time.sleep(generator.random() * 0.01)
        os.killpg(job.pid, signal.SIGKILL)  # its workers with it
        assert job.wait() == -signal.SIGKILL
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stream", "loader"])
def test_a_job_that_is_killed_again_and_again_gets_every_row_once(
    paired: Path, tmp_path: Path, expected: list[list[str]], way: str
) -> None:
    def runs(generator: random.Random) -> tuple[str, ...]:
        return way, *map(str, (generator.randrange(1, 4), generator.choice([0, 2]), 2))

    steps = killed_again_and_again(
        paired, tmp_path / "log", runs, kills=5 if way == "stream" else 3
    )
    for epoch in range(2):
        found = [name for step in steps if step["epoch"] == epoch for name in step["names"]]
        assert sorted(found) == sorted(expected[epoch])
