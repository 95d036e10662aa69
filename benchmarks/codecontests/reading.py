"""What reading costs: opening and sampling 3.7 million rows, and rows at random.

python -m benchmarks.codecontests.reading metadata FOLDER     (after `prepare`)
python -m benchmarks.codecontests.reading json FOLDER
python -m benchmarks.codecontests.reading WAY JSONL CACHE     (one of WAYS; after `repeat`, too)
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 3_691_981  # of the real train split
_LINE = 4096
_SAMPLE = 50_000
_SAMPLE_OF_MANY = 2_000


def prepare(folder: Path) -> None:
    """An index and metadata of the real size, and a JSONL file of holes with two real lines."""
    from wmtp_assets.corpora.metadata import write_metadata
    from wmtp_assets.corpora.row_index import IndexWriter, RowIndex

    rng = np.random.default_rng(7)
    with (folder / "train.jsonl").open("wb") as file:
        line = json.dumps({"is_correct": True}).encode()
        for row in (0, ROWS - 1):
            file.seek(row * _LINE)
            file.write(line[:-1] + b" " * (_LINE - len(line) - 1) + b"}\n")
    facts: dict[str, Any] = {
        "dataset": "codecontests",
        "split": "train",
        "jsonl": {"sha256": "", "bytes": ROWS * _LINE},
        "metadata": {"sha256": "", "bytes": 0},
    }
    for _ in range(2):  # the second time with the metadata's size
        with (folder / "train.index.parquet").open("wb") as file:
            writer = IndexWriter(file)
            for begin in range(0, ROWS, 1 << 18):
                size = min(1 << 18, ROWS - begin)
                is_correct = rng.random(size) < 0.475
                is_correct[[0, -1]] = True
                place = np.arange(begin, begin + size)
                writer.write(
                    {
                        "problem": place // 277,
                        "is_correct": is_correct,
                        "difficulty": rng.choice([0, 1, 2, 7, 8, 9, 10, 11, 12, 13], size),
                        "source": np.full(size, 2),
                        "language": rng.choice([1, 3], size),
                        "cf_rating": rng.integers(8, 35, size) * 100,
                        "instruction_tokens": place // 277 % 600,
                        "input_tokens": place // 277 % 150,
                        "output_tokens": rng.integers(10, 1200, size),
                        "offset": place * _LINE,
                        "length": np.full(size, _LINE),
                        "flags": np.zeros(size, dtype=np.uint8),
                    },
                    size,
                )
            writer.close(facts)
        index = RowIndex(folder / "train.index.parquet").path
        facts["metadata"] = write_metadata(index, folder / "train_metadata.json")
        rng = np.random.default_rng(7)


def repeat(jsonl: Path, out: Path, at_least: int) -> None:
    """Write `jsonl` again and again to a file of `at_least` bytes, its row index beside it: of a
    larger corpus, which is not read whole as soon as a row of it is."""
    from wmtp_assets.corpora.row_index import IndexWriter, RowIndex

    index = RowIndex(jsonl.with_name(f"{jsonl.stem}.index.parquet"))
    columns = {name: index.column(name) for name in index.names}
    columns["is_correct"] = columns["is_correct"].astype(np.bool_)
    size, problems = jsonl.stat().st_size, int(columns["problem"].max()) + 1
    with out.open("wb") as lines, out.with_name(f"{out.stem}.index.parquet").open("wb") as file:
        writer = IndexWriter(file)
        while lines.tell() < at_least:
            with jsonl.open("rb") as source:
                shutil.copyfileobj(source, lines, 1 << 20)
            writer.write(columns, len(index))
            columns["offset"] = columns["offset"] + size
            columns["problem"] = columns["problem"] + problems
        writer.close({**index.facts, "jsonl": {"sha256": "", "bytes": lines.tell()}})


def metadata(folder: Path) -> dict[str, float]:
    """Open the corpus and pick 200,000 balanced rows of difficulty 1-11."""
    from wmtp_assets.corpora.reader import Corpus

    before, begun = _anonymous_mb(), time.perf_counter()
    corpus = Corpus(folder / "train.jsonl")
    sample = corpus.balanced(200_000, among=corpus.select(difficulty=(1, 11)), seed=7)
    seconds = time.perf_counter() - begun
    assert len(sample) == 200_000
    return {"seconds": seconds, "mb": _peak_mb() - before}


def load_json(folder: Path) -> dict[str, float]:
    before, begun = _anonymous_mb(), time.perf_counter()
    with (folder / "train_metadata.json").open() as file:
        document = json.load(file)
    seconds = time.perf_counter() - begun
    assert len(document["metadata"]) == ROWS
    return {"seconds": seconds, "mb": _peak_mb() - before}


def ours_one(jsonl: Path, cache: Path) -> dict[str, float]:
    corpus = _corpus(jsonl)
    rows = _chosen(len(corpus)).tolist()
    _forget(jsonl)
    return _cold_and_warm(len(rows), lambda: _each(corpus, rows))


def ours_take(jsonl: Path, cache: Path) -> dict[str, float]:
    corpus = _corpus(jsonl)
    rows = _chosen(len(corpus))
    _forget(jsonl)
    return _cold_and_warm(len(rows), lambda: corpus.take(rows))


def datasets_one(jsonl: Path, cache: Path) -> dict[str, float]:
    loaded = _loaded(jsonl, cache)
    rows = _chosen(len(loaded)).tolist()
    return _cold_and_warm(len(rows), lambda: _each(loaded, rows))


def datasets_batch(jsonl: Path, cache: Path) -> dict[str, float]:
    loaded = _loaded(jsonl, cache)
    rows = _chosen(len(loaded)).tolist()
    return _cold_and_warm(len(rows), lambda: loaded[rows])


def _each(corpus: Any, rows: list[int]) -> None:
    """One row after the other; none is kept, as in training."""
    for at in rows:
        corpus[at]


def _corpus(jsonl: Path) -> Any:
    from wmtp_assets.corpora.reader import Corpus

    corpus = Corpus(jsonl)
    # Where lines are is read beforehand, as `datasets` does for its table when it loads.
    for name in ("offset", "length", "problem"):
        corpus.column(name)
    return corpus


def _loaded(jsonl: Path, cache: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(
        "json", data_files=str(jsonl), split="train", cache_dir=str(cache)
    )
    # Loading touched where each batch begins, and the kernel read on from there. But for those few
    # pages, which are mapped, all can be forgotten.
    for each in loaded.cache_files:
        _forget(Path(each["filename"]))
    return loaded


def _chosen(count: int) -> Any:
    """Rows at random: of a file that a few seconds' reading does not put into memory, few."""
    few = count > 10 * _SAMPLE
    return np.random.default_rng(3).permutation(count)[: _SAMPLE_OF_MANY if few else _SAMPLE]


def _cold_and_warm(count: int, read: Callable[[], object]) -> dict[str, float]:
    found = {}
    for state in ("cold", "warm"):
        begun = time.perf_counter()
        read()
        found[state] = count / (time.perf_counter() - begun)
    return found


def disk(jsonl: Path, cache: Path) -> dict[str, float]:
    """The file's cold bytes alone, from the first to the last."""
    _forget(jsonl)
    begun = time.perf_counter()
    with jsonl.open("rb", buffering=0) as file:
        block = bytearray(1 << 20)
        while file.readinto(block):
            pass
    return {"seconds": time.perf_counter() - begun}


WAYS = {
    "ours_one": ours_one,
    "datasets_one": datasets_one,
    "ours_take": ours_take,
    "datasets_batch": datasets_batch,
}


def _forget(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def _anonymous_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1000
    raise RuntimeError("no RssAnon")


def _peak_mb() -> float:
    """The high-water mark of resident memory, less what is mapped from files now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) / 1000


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    ways: dict[str, Callable[..., dict[str, float]]] = {
        "metadata": metadata, "json": load_json, "disk": disk, **WAYS,
    }  # fmt: skip
    print(json.dumps(ways[what](*map(Path, paths))))
