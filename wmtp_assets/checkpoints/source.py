"""Opens a checkpoint as upstream ships it: one archive, shards with an index, or safetensors.

A `Source` is names, types, shapes and places; reading the bytes is `tensors.py`'s part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.archive import read_archive
from wmtp_assets.checkpoints.errors import CheckpointError, IndexJsonError
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.tensors import SourceTensor


@dataclass(frozen=True)
class Source:
    """A checkpoint's tensors by name, over all its `files`."""

    files: tuple[Path, ...]
    tensors: Mapping[str, SourceTensor]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(path.stat().st_size for path in self.files)


def open_source(files: Sequence[Path], index: Path | None = None) -> Source:
    """Open one file, or a sharded set (`files`, described by `index`).

    Raises ArchiveError, SafetensorsError or IndexJsonError when a file is malformed, a name
    occurs in two files, or the index does not tell exactly what is where.
    """
    if not files:
        raise CheckpointError("A checkpoint without files", expected="one file or more")
    if len({path.name for path in files}) != len(files):
        raise CheckpointError(
            "Two files of a checkpoint have one name", found=[path.name for path in files]
        )
    tensors: dict[str, SourceTensor] = {}
    for path in files:
        for tensor in _read(path):
            if tensor.name in tensors:
                raise IndexJsonError(
                    f"The tensor {tensor.name} is in two files",
                    expected="each tensor once",
                    found=f"{tensors[tensor.name].file.name} and {path.name}",
                    where=path.parent,
                )
            tensors[tensor.name] = tensor
    source = Source(tuple(files), tensors)
    if index is not None:
        _check_index(index, source)
    elif len(files) > 1:
        raise IndexJsonError(
            "Several files of a checkpoint, but no index", expected="an index.json beside them"
        )
    return source


def _read(path: Path) -> list[SourceTensor]:
    if path.suffix == ".safetensors":
        header = read_header(path)
        return [header.source_tensor(name) for name in header.tensors]
    return read_archive(path)


def _check_index(index: Path, source: Source) -> None:
    """Every key exactly where the index says, no key more or less, and the right total size."""
    with index.open("rb") as file:
        data = file.read(strict_json.MAX_BYTES + 1)
    try:
        value = strict_json.loads(data)
    except strict_json.StrictJsonError as error:
        _refuse(f"The index cannot be read: {error}", index)
    match value:
        case {"metadata": dict(metadata), "weight_map": dict(places)}:
            pass
        case _:
            _refuse("The index has no metadata and weight_map", index)
    names = {path.name for path in source.files}
    for key, place in places.items():
        if not isinstance(place, str) or place not in names:
            _refuse(
                f"The index puts {key[:80]!a} into a file that is not one of the set",
                index,
                expected=", ".join(sorted(names)),
                found=ascii(place)[:80],
            )
    if unused := names - set(places.values()):
        _refuse("The index does not mention every file", index, found=", ".join(sorted(unused)))
    for key in places.keys() | source.tensors.keys():
        tensor = source.tensors.get(key)
        found = tensor.file.name if tensor else "nowhere"
        if places.get(key, "nowhere") != found:
            _refuse(
                f"The tensor {key[:80]!a} is not where the index says",
                index,
                expected=places.get(key, "nowhere"),
                found=found,
            )
    total = metadata.get("total_size")
    if total is not None and total not in (known := _total_sizes(source)):
        _refuse("The index's total_size is wrong", index, expected=known[0], found=total)


def _total_sizes(source: Source) -> tuple[int, int]:
    """Bytes of all tensors; and with those that are one memory counted once, as some writers do."""
    every = list(source.tensors.values())
    once = {(t.file, t.storage, t.offset, t.shape, t.strides): t.nbytes for t in every}
    return sum(t.nbytes for t in every), sum(once.values())


def _refuse(problem: str, index: Path, expected: object = None, found: object = None) -> NoReturn:
    raise IndexJsonError(
        problem,
        expected=expected,
        found=found,
        where=index,
        mend="Fetch the set again: index and shards of one revision.",
    )
