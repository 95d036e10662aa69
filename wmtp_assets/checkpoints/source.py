"""Opens a checkpoint as upstream ships it: one archive, shards with an index, or safetensors.

A `Source` is names, types, shapes and places; reading the bytes is `tensors.py`'s part.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wmtp_assets.checkpoints.archive import read_archive
from wmtp_assets.checkpoints.errors import CheckpointError, IndexJsonError
from wmtp_assets.checkpoints.layout import COUNTERS
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.shard_index import ShardIndex
from wmtp_assets.checkpoints.tensors import SourceTensor, pieces, read_piece

_BLOCK = 4 << 20


@dataclass(frozen=True)
class Source:
    """A checkpoint's tensors by name, over all its `files`.

    The names are those that layouts know; each tensor keeps the name that its file gives it.
    `warnings` are what the index says otherwise than the files, and what was found twice.
    """

    files: tuple[Path, ...]
    tensors: Mapping[str, SourceTensor]
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(path.stat().st_size for path in self.files)


def open_source(
    files: Sequence[Path],
    index: Path | None = None,
    weights_key: Sequence[str] = (),
    strip_prefix: str = "",
) -> Source:
    """Open one file, or a sharded set, with or without its `index`.

    In torch archives the tensors lie behind `weights_key`, one key within the other. Every name
    but `layout.COUNTERS` begins with `strip_prefix`, which the source's names do without.

    What the files hold is what counts; where the index differs, the source carries a warning.
    Reads headers, and whole tensors only where one name occurs in several files. Raises
    ArchiveError or SafetensorsError when a file is malformed, and IndexJsonError when two
    different tensors have one name or the index is none.
    """
    if not files:
        raise CheckpointError("A checkpoint without files", expected="one file or more")
    if len({path.name for path in files}) != len(files):
        raise CheckpointError(
            "Two files of a checkpoint have one name", found=[path.name for path in files]
        )
    stated = ShardIndex(index) if index is not None else None
    found: dict[str, list[SourceTensor]] = {}
    for path in files:
        for tensor in _read(path, weights_key):
            found.setdefault(tensor.name, []).append(tensor)
    tensors: dict[str, SourceTensor] = {}
    warnings: list[str] = []
    for name, candidates in found.items():
        place = stated.places.get(name) if stated else None
        tensors[name] = _one_of(candidates, place)
        if len(candidates) > 1:
            others = ", ".join(t.file.name for t in candidates if t is not tensors[name])
            warnings.append(
                f"the tensor {name} is in {len(candidates)} files, with equal bytes: the one in "
                f"{tensors[name].file.name} is used, the one in {others} left out"
            )
    if stated is not None:
        stated.compare(files, tensors)
        warnings = [*stated.warnings, *warnings]
    return Source(tuple(files), _stripped(tensors, strip_prefix, files[0]), tuple(warnings))


def _stripped(
    tensors: Mapping[str, SourceTensor], prefix: str, where: Path
) -> dict[str, SourceTensor]:
    without = [name for name in tensors if not name.startswith(prefix) and name not in COUNTERS]
    if without:
        raise CheckpointError(
            f"Not every tensor's name begins with the catalog's strip_prefix {prefix!a}",
            expected=f"{len(tensors):,} names that begin with {prefix!a}",
            found=f"{len(without):,} that do not: {', '.join(without[:5])}",
            where=where,
            hint="Correct strip_prefix in the catalog's entry, or leave it out.",
        )
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _read(path: Path, weights_key: Sequence[str]) -> list[SourceTensor]:
    if path.suffix == ".safetensors":
        if weights_key:
            raise CheckpointError(
                "The catalog names a weights_key, but a safetensors file has no wrapper",
                expected="no weights_key",
                found=".".join(weights_key)[:80],
                where=path,
                hint="Leave weights_key out of the catalog's entry.",
            )
        header = read_header(path)
        return [header.source_tensor(name) for name in header.tensors]
    return read_archive(path, weights_key)


def _one_of(tensors: Sequence[SourceTensor], place: str | None) -> SourceTensor:
    """The tensor that stands for all of one name: the index's, or the first; all must be equal."""
    chosen = next((tensor for tensor in tensors if tensor.file.name == place), tensors[0])
    for other in tensors:
        if other is not chosen and (why := _difference(chosen, other)):
            raise IndexJsonError(
                f"The tensor {chosen.name} is in two files, which hold different ones",
                expected="each tensor once, or in equal copies",
                found=f"{chosen.file.name} and {other.file.name}: {why}",
                where=chosen.file.parent,
                hint="Find out which file the model uses, and name only the files of one set in "
                "the catalog's weights. The files of a model-parallel checkpoint "
                "(consolidated.00.pth and so on) each hold a part of a tensor, and cannot be "
                "joined here.",
            )
    return chosen


def _difference(one: SourceTensor, other: SourceTensor) -> str | None:
    """How two tensors differ; reads both where types and shapes are equal."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return f"{one.dtype} {list(one.shape)} and {other.dtype} {list(other.shape)}"
    return None if _digest(one) == _digest(other) else "other values"


def _digest(tensor: SourceTensor) -> bytes:
    digest = hashlib.sha256()
    fd = os.open(tensor.file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for piece in pieces(tensor, _BLOCK):
            block = np.empty(piece.nbytes, np.uint8)
            read_piece(fd, piece, tensor.dtype, block)
            digest.update(block.data)
    except EOFError as error:
        raise CheckpointError(
            f"The source ends within {tensor.name}: {error}", where=tensor.file
        ) from None
    finally:
        os.close(fd)
    return digest.digest()
