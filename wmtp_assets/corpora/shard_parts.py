"""Formatting the rows of a split in parts of whole shards, on whatever engine.

A part's lines are gigabytes: they are no part of its result, but a file beside it, with another one
of what the row index says of them. The result names both and their SHA-256. Joined, parts are cut
into the units that one process makes of all shards, for the row index is written unit by unit.
"""

from __future__ import annotations

import hashlib
import io
import mmap
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.counting import open_counter
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.formatting import FACTS, Formatted, format_problems
from wmtp_assets.corpora.units import Filling, units, weight
from wmtp_assets.engines.conditions import Conditions, installation, require
from wmtp_assets.engines.engine import EngineError, Function, Result, Task, Worker
from wmtp_assets.engines.forms import NUMBER, SHA256, Named, gives, takes
from wmtp_assets.engines.whole import folder_of
from wmtp_assets.generations import CONTRACTS, Contract
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import atomic_write, write_bytes
from wmtp_assets.storage.digests import digest_of

_BY_LINE: Final = ("sizes", "places", "is_correct", "languages", "output_tokens", "flags")
_BY_PROBLEM: Final = ("facts", "weights")


def conditions() -> Conditions:
    """What rows depend on beside shards and tokenizer."""
    libraries = ("pyarrow", "sentencepiece", "tokenizers")
    return {**installation(), **{name: metadata.version(name) for name in libraries}}


@takes(
    {
        "layout": str,
        "contract": frozenset(CONTRACTS),
        "shards": [str],
        "tokenizer": str,
        "max_tokens": NUMBER,
        "folder": str,
        "range": (NUMBER, NUMBER),
        "conditions": Named(str),
    }
)
@gives(
    {  # beside its two files: their common name, the SHA-256 and the size of each, and counts
        "name": SHA256,
        "lines": SHA256,
        "arrays": SHA256,
        "classed": bool,
        "funnel": Named(int),
        "problems": NUMBER,
        "files": Named(NUMBER),
    }
)
def format_shards(task: Task, worker: Worker) -> Result:
    """Formats the rows of a task's shards into two files in its folder.

    Raises EngineError where libraries are others here, CorpusError if a shard is not what upstream
    publishes, StorageError where the disk refuses.
    """
    require(task["conditions"], conditions())
    own_format = FORMATS[task["layout"]].of(task["contract"])
    counter = open_counter(Path(task["tokenizer"]))
    folder, name = Path(task["folder"]), digest_of(task)
    disk.make_folders(folder)
    digest, done = hashlib.sha256(), 0
    found: dict[str, list[Any]] = {one: [] for one in (*_BY_LINE, *_BY_PROBLEM)}
    funnel: Counter[str] = Counter()
    classed = True
    with atomic_write(folder / f"{name}.lines") as file:
        shards = [Path(path) for path in task["shards"]]
        for unit in units(own_format.problems_of(shards, range(*task["range"]))):
            block = format_problems(unit, counter, task["max_tokens"])
            if isinstance(block.data, range):
                raise TypeError("lines in shared memory")
            file.write(block.data)
            digest.update(block.data)
            block.places += done
            done += len(unit)
            for one in (*_BY_LINE, "facts"):
                found[one].append(getattr(block, one))
            found["weights"].append(np.array([weight(problem) for problem in unit], np.int64))
            funnel.update(block.funnel)
            classed &= block.classed
            worker.tell(done)
    arrays = io.BytesIO()
    np.savez(arrays, **{one: np.concatenate(each) for one, each in found.items() if each})  # type: ignore[arg-type]
    write_bytes(folder / f"{name}.npz", arrays.getvalue())
    return {
        "name": name,
        "lines": digest.hexdigest(),
        "arrays": hashlib.sha256(arrays.getvalue()).hexdigest(),
        "classed": classed,
        "funnel": dict(funnel),
        "problems": done,
        "files": {path.name: path.stat().st_size for path in _files(folder, name)},
    }


@dataclass(frozen=True)
class ShardsToFormat:
    """The shards of a split, as a whole that can be divided (`engines.whole.Whole`); `root` is the
    folder of the plans of its artifact, where the parts' files are put."""

    root: Path
    layout: str
    contract: Contract
    shards: Sequence[Path]
    tokenizer: Path
    max_tokens: int
    function: Function = format_shards
    fetched: Mapping[Path, str] = field(default_factory=dict)
    """As of `Whole`: the shards."""

    def identity(self) -> Task:
        """As of `Whole`."""
        return {
            "layout": self.layout,
            "contract": self.contract,
            "shards": [str(path) for path in self.shards],
            "tokenizer": str(self.tokenizer),
            "max_tokens": self.max_tokens,
        }

    @property
    def folder(self) -> Path:
        """Where the parts' files are."""
        return folder_of(self.root, self)

    def tasks(self, parts: int) -> list[Task]:
        """As of `Whole`: at most as many as there are shards."""
        bounds = np.linspace(0, len(self.shards), min(parts, len(self.shards)) + 1).astype(int)
        more = {"folder": str(self.folder), "conditions": conditions()}
        return [
            {**self.identity(), **more, "range": [int(begin), int(end)]}
            for begin, end in pairwise(bounds)
        ]

    def size(self, task: Task) -> int:
        """As of `Whole`: shards."""
        return int(task["range"][1] - task["range"][0])


def in_units(folder: Path, results: Iterable[Result]) -> Iterator[Formatted]:
    """The rows of all parts in the units in which one process formats them; each unit's `data` is
    valid until the next is asked for. Raises EngineError where a part's files are damaged."""
    filling, waiting = Filling(), list[Formatted]()
    for result in results:
        part, weights = _opened(folder, result)
        begin = 0
        for at, one in enumerate(weights.tolist(), 1):
            if filling.is_full(*one):
                yield _together([*waiting, _cut(part, begin, at)])
                waiting, begin = [], at
                part.funnel = Counter()  # counted with the first
        if begin < len(weights) or part.funnel:
            waiting.append(_cut(part, begin, len(weights)))
    if waiting:
        yield _together(waiting)


def _opened(folder: Path, result: Result) -> tuple[Formatted, NDArray[np.int64]]:
    """All rows of a part, and the weights of its problems."""
    lines, arrays = files = _files(folder, Path(result["name"]).name)
    try:
        packed = arrays.read_bytes()
        with lines.open("rb") as file:
            size = lines.stat().st_size
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except (OSError, ValueError) as error:
        raise _damaged(files, str(error)) from error
    for what, wanted in ((packed, result["arrays"]), (data, result["lines"])):
        if (found := hashlib.sha256(what).hexdigest()) != wanted:
            raise _damaged(files, f"SHA-256 {found}")
    with np.load(io.BytesIO(packed), allow_pickle=False) as loaded:
        values = {one: loaded[one] for one in loaded.files}
    weights: NDArray[np.int64] = values.pop("weights", np.zeros((0, 2), np.int64))
    part = Formatted(
        data=memoryview(data),
        classed=bool(result["classed"]),
        funnel=Counter(result["funnel"]),
        facts=values.get("facts", np.zeros((0, len(FACTS)), np.int64)),
        **{one: values.get(one, np.zeros(0, np.int64)) for one in _BY_LINE},
    )
    return part, weights


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    """The lines of a part, and what the row index says of them."""
    return folder / f"{name}.lines", folder / f"{name}.npz"


def _damaged(files: tuple[Path, ...], found: str) -> EngineError:
    return EngineError(
        "The result of a part is missing or was changed",
        found=found,
        where=files[0].with_suffix(""),
        hint=f"`rm -f {shlex.join(map(str, files))}`, and make it again: "
        "only that part is worked on anew.",
    )


def _cut(part: Formatted, begin: int, end: int) -> Formatted:
    """The rows of some problems of a part, with all of its counts."""
    first, last = np.searchsorted(part.places, [begin, end])
    skipped, size = int(part.sizes[:first].sum()), int(part.sizes[first:last].sum())
    if isinstance(part.data, range):
        raise TypeError("lines in shared memory")
    return Formatted(
        data=part.data[skipped : skipped + size],
        classed=part.classed,
        sizes=part.sizes[first:last],
        places=part.places[first:last] - begin,
        is_correct=part.is_correct[first:last],
        languages=part.languages[first:last],
        output_tokens=part.output_tokens[first:last],
        flags=part.flags[first:last],
        facts=part.facts[begin:end],
        funnel=part.funnel,
    )


def _together(pieces: list[Formatted]) -> Formatted:
    """Pieces of one unit as one."""
    if len(pieces) == 1:
        return pieces[0]
    funnel: Counter[str] = Counter()
    for one in pieces:
        funnel.update(one.funnel)
    begins = np.cumsum([0, *(len(one.facts) for one in pieces)])
    return Formatted(
        data=b"".join(bytes(one.data) for one in pieces),
        classed=all(one.classed for one in pieces),
        sizes=np.concatenate([one.sizes for one in pieces]),
        places=np.concatenate([one.places + at for one, at in zip(pieces, begins, strict=False)]),
        is_correct=np.concatenate([one.is_correct for one in pieces]),
        languages=np.concatenate([one.languages for one in pieces]),
        output_tokens=np.concatenate([one.output_tokens for one in pieces]),
        flags=np.concatenate([one.flags for one in pieces]),
        facts=np.concatenate([one.facts for one in pieces]),
        funnel=funnel,
    )
