"""Near-duplicates are found as comparing every pair by hand finds them."""

from __future__ import annotations

import random
import re
from itertools import combinations

import numpy as np
import pytest

from wmtp_assets.quality.clusters import _MANY, _NEIGHBOURS, _Clusters, cluster_texts
from wmtp_assets.quality.shingles import _BLOCK, Shingles
from wmtp_assets_tests.quality import near_copies

_LARGEST = (1 << 64) - 1


def test_shingles_are_runs_of_five_tokens() -> None:
    draw = random.Random(1)
    texts = [one.encode() for one in near_copies.solutions(draw, 300)]
    texts += [b"", b" \n\t", b"a", b"a b", b"a  b\n", "für x in größe: pass".encode(), b"x" * 5000]
    texts += [b"a b c d e", b"a b c d e f", b"+-*/%", b"\x00\x01 \x7f ab"]
    found = Shingles.of(texts)
    of_plain: dict[tuple[bytes, ...], int] = {}
    for at, text in enumerate(texts):
        values = set(found.values[found.begins[at] : found.ends[at]].tolist())
        plain = near_copies.shingles(text)
        assert len(values) == len(plain)
        # In order, so that each value can be told from the plain shingle that it stands for.
        tokens = re.findall(rb"[A-Za-z0-9_\x80-\xff]+|[^\s]", text)
        listed = found.values[found.begins[at] : found.ends[at]].tolist()
        runs = [tuple(tokens[n : n + 5]) for n in range(max(len(tokens) - 4, min(1, len(tokens))))]
        assert len(listed) == len(runs)
        for run, value in zip(runs, listed, strict=True):
            assert of_plain.setdefault(run, value) == value
    assert len(set(of_plain.values())) == len(of_plain)


def test_texts_of_the_same_tokens_have_the_same_hash() -> None:
    same = [b"a=[1]\nprint(a )", b"a = [ 1 ]\n\n\tprint( a)", b"a = [1]\r\nprint(a)"]
    other = [b"a=[1]\nprint(b)", b"print(a)\na=[1]", b"a=[1]", b"", b"a", b"b", b"a b", b"ab"]
    hashes = Shingles.of(same + other).texts.tolist()
    assert len(set(hashes[:3])) == 1
    assert len(set(hashes[2:])) == 1 + len(other)


def test_blocks_make_no_difference() -> None:
    draw = random.Random(2)
    texts = [one.encode() for one in near_copies.solutions(draw, 900)]
    texts[5] = b"very long " * (_BLOCK // 4)
    found = Shingles.of(texts)
    parts = Shingles.joined([Shingles.of([text]) for text in texts])
    for name in ("values", "ends", "texts"):
        assert (getattr(found, name) == getattr(parts, name)).all()
    some = np.array([7, 3, 8])
    assert (found.subset(some).values == Shingles.of([texts[at] for at in some]).values).all()


@pytest.mark.parametrize("seed", range(8))
def test_clusters_are_those_of_every_pair(seed: int) -> None:
    draw = random.Random(seed)
    texts = [one.encode() for one in near_copies.solutions(draw, 60)]
    texts += [b"", b" ", b"print()", b"print( )"]
    assert cluster_texts(Shingles.of(texts)).tolist() == near_copies.clusters(texts)


def test_many_of_one_bucket_are_all_compared() -> None:
    # Such a bucket is rare, and its pairs mostly meet in another one: here all are of this one.
    draw = random.Random(3)
    texts = [one.encode() for one in near_copies.solutions(draw, 4 * _NEIGHBOURS)]
    found = _Clusters(Shingles.of(texts))
    found.labels = np.arange(len(texts))
    found._join_bucketed([np.zeros(len(texts), np.uint64)] * 2)
    first = {label: at for at, label in reversed(list(enumerate(found.labels.tolist())))}
    assert [first[label] for label in found.labels.tolist()] == near_copies.clusters(texts)


def test_many_that_are_nearly_near_are_compared_by_a_table() -> None:
    draw = random.Random(5)
    core = [near_copies.line(draw) for _ in range(30)]
    texts = []
    for at in range(4 * _NEIGHBOURS):
        copy = core[:]
        for _ in range(1 + at % 5):
            copy[draw.randrange(30)] = near_copies.line(draw) + str(draw.randrange(99))
        texts.append("\n".join(copy).encode())
    wanted = near_copies.clusters(texts)
    assert _MANY < len(set(wanted)) < len(texts) - _MANY
    assert cluster_texts(Shingles.of(texts)).tolist() == wanted
    found = _Clusters(Shingles.of(texts))
    found.labels = np.arange(len(texts))
    found._join_bucketed([np.zeros(len(texts), np.uint64)])
    assert len(set(found.labels.tolist())) == len(set(wanted))


def test_many_long_ones_are_compared_by_sketches() -> None:
    """The same clusters as of every pair, of texts that are all nearly near-duplicates."""
    draw = np.random.default_rng(3)
    core = draw.integers(0, _LARGEST, 1500, np.uint64)
    texts = []
    for at in range(96):
        # Of two copies with a share kept of their shingles, the index is 0.7, or around 0.8.
        kept = 0.9075 if at % 4 else draw.uniform(0.92, 0.96)
        copy = core.copy()
        new = draw.random(core.size) > kept
        copy[new] = draw.integers(0, _LARGEST, int(new.sum()), np.uint64)
        texts.append(copy)
    sets = [frozenset(text.tolist()) for text in texts]
    wanted = np.arange(len(texts))
    for one, other in combinations(range(len(texts)), 2):
        shared = len(sets[one] & sets[other])
        if shared >= 0.8 * (len(sets[one]) + len(sets[other]) - shared):
            wanted[wanted == wanted[other]] = wanted[one]
    assert len(texts) - len(set(wanted.tolist())) > 5
    ends = np.arange(1, len(texts) + 1) * core.size
    shingles = Shingles(
        np.concatenate(texts), ends, draw.integers(0, _LARGEST, ends.size, np.uint64)
    )
    found = _Clusters(shingles)
    assert found._are_long
    pairs = {
        (one, other) for one, other in zip(wanted.tolist(), found.labels.tolist(), strict=True)
    }
    assert len(pairs) == len(set(wanted.tolist())) == len(set(found.labels.tolist()))
    # Few of what is no near-duplicate is left for exact comparison: else it would be as slow.
    others = np.array([at for at in range(2, len(texts)) if at % 4])
    assert found._alike(1, others).size < others.size // 10


def test_of_no_text_there_are_no_clusters() -> None:
    assert cluster_texts(Shingles.of([])).tolist() == []
    assert cluster_texts(Shingles.of([b""])).tolist() == [0]
