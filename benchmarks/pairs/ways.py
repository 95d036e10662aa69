"""Ways of drawing pairs, each a process of its own.

python -m benchmarks.pairs.ways WAY REQUEST FOLDER

`index` is ours. `map` is the plain way, with the standard library alone: json.load of a file with
problem_index_map, shuffle each problem's rows, match them, keep so many of each problem, share out
over the bins, shuffle. `document` is the same of the whole metadata file, as training loads it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

SEED = 7
LENGTHS = [0, 100, 150, 200, 300, 500, 1000, 2000]
BINS = {(0, 7): 0.4, (8, 10): 0.3, (11, 25): 0.3}
REQUESTS: dict[str, dict[str, Any]] = {
    "40,000, bins, cap 4": {"count": 40_000, "cap": 4, "bins": BINS},
    "200,000, bins, cap 25": {"count": 200_000, "cap": 25, "bins": BINS},
    "200,000 of equal length, cap 60": {"count": 200_000, "cap": 60, "lengths": LENGTHS},
    "200,000, bins, cap 4 (refused)": {"count": 200_000, "cap": 4, "bins": BINS},
}
REFUSED = "200,000, bins, cap 4 (refused)"


def index(folder: Path, request: dict[str, Any]) -> int:
    """Ours."""
    from wmtp_assets.corpora.errors import CorpusError
    from wmtp_assets.corpora.reader import Corpus

    corpus = Corpus(folder / "train.jsonl")
    try:
        return len(
            corpus.unique_pairs(
                request["count"],
                seed=SEED,
                max_pairs_per_problem=request["cap"],
                bins=request.get("bins"),
                length_bins=request.get("lengths"),
            )
        )
    except CorpusError as error:
        return int(str(error.found).replace(",", ""))


def plain(path: Path, request: dict[str, Any]) -> int:
    """The standard library alone."""
    with path.open() as file:
        problems = json.load(file)["problem_index_map"]
    generator = random.Random(SEED)
    pools: dict[Any, list[tuple[int, int]]] = {}
    for entry in problems.values():
        pool = _pool(entry["difficulty"], request.get("bins"))
        if pool is None:
            continue
        sides = [
            _by_length(entry[f"{side}_indices"], entry[f"{side}_token_lengths"], request)
            for side in ("correct", "incorrect")
        ]
        pairs: list[tuple[int, int]] = []
        for each in sides[0].keys() & sides[1].keys():
            right, wrong = sides[0][each], sides[1][each]
            generator.shuffle(right)
            generator.shuffle(wrong)
            pairs += zip(right, wrong, strict=False)
        if len(pairs) > request["cap"]:
            generator.shuffle(pairs)
            del pairs[request["cap"] :]
        pools.setdefault(pool, []).extend(pairs)
    available = sum(map(len, pools.values()))
    if available < request["count"]:
        return available
    found: list[tuple[int, int]] = []
    for pool, pairs in pools.items():
        generator.shuffle(pairs)
        share = 1.0 if pool == () else request["bins"][pool]
        wanted = round(request["count"] * share)
        assert len(pairs) >= wanted, (pool, len(pairs), wanted)
        found += pairs[:wanted]
    generator.shuffle(found)
    return len(found)


def _pool(difficulty: int | None, bins: Any) -> Any:
    if bins is None:
        return ()
    if difficulty is None:
        return None
    return next((each for each in bins if each[0] <= difficulty <= each[1]), None)


def _by_length(
    rows: list[int], lengths: list[int], request: dict[str, Any]
) -> dict[int, list[int]]:
    edges = request.get("lengths")
    if edges is None:
        return {0: rows}
    found: dict[int, list[int]] = {}
    for row, length in zip(rows, lengths, strict=True):
        at = next((at for at, edge in enumerate(edges[1:]) if length < edge), len(edges) - 1)
        found.setdefault(at, []).append(row)
    return found


def _peak_mb() -> float:
    """The high-water mark of resident memory, less what is mapped from files now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) / 1000


def main(way: str, name: str, folder: Path) -> None:
    """Prints how many pairs there were, the seconds and processor seconds that it took in a process
    that has imported what it needs (as one with torch and datasets has), and the peak."""
    if way == "index":
        import wmtp_assets.corpora.reader  # noqa: F401
    request = REQUESTS[name]
    begun, busy = time.perf_counter(), time.process_time()
    if way == "index":
        pairs = index(folder, request)
    else:
        pairs = plain(folder / f"train_{way}.json", request)
    found = {
        "pairs": pairs,
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - busy,
        "peak_mb": _peak_mb(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
