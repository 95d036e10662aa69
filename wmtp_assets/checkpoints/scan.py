"""One pass over a safetensors file that answers everything that needs all of its bytes.

The digest of the file, the digest of each tensor, and how many values are not finite: read once,
hashed in threads, in bounded memory, without torch.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from wmtp_assets.checkpoints.block_io import MARGIN, READERS, ReadFiles
from wmtp_assets.checkpoints.casts import CastStats, count_nonfinite, has_values
from wmtp_assets.checkpoints.digests import TensorDigests
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.pipeline import Buffer, Channel, Pipeline, Ring, in_turn
from wmtp_assets.checkpoints.ranges import Extremes, has_ends, largest_names
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.tensors import Bytes, Piece, pieces

_BLOCK = 4 << 20
_AHEAD = 3  # blocks in each reader's ring


@dataclass(frozen=True)
class Scan:
    """What the bytes of a file are: digests in hex, counts of NaN and infinities by tensor, which
    tensors of a float type hold nothing but zeros, and the ends of the values of the largest."""

    sha256: str
    tensors: Mapping[str, str]
    nonfinite: Mapping[str, CastStats]
    all_zero: frozenset[str] = frozenset()
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Block:
    """The next bytes of the file: a piece of tensor `index`, or (None) of the header."""

    index: int | None
    buffer: Buffer
    values: Bytes


def scan_file(header: Header, keep: bool = False) -> Scan:
    """Read the file that `header` was read from, whole. Raises CheckpointError if it has shrunk.

    With `keep` the next reader finds the file in memory (the page cache).
    """
    with ReadFiles(keep) as files, Pipeline() as pipeline:
        run = _Run(header, pipeline, files)
        for reader in range(READERS):
            pipeline.start(f"read-{reader}", partial(run.read, reader))
        pipeline.start("hash-file", run.hash_file)
        pipeline.start("hash-tensors", run.hash_tensors)
        run.count()
    names = list(header.tensors)
    return Scan(
        run.file_hash.hexdigest(),
        dict(zip(names, run.digests.finish(), strict=True)),
        {name: stats for name, stats in zip(names, run.stats, strict=True) if stats != CastStats()},
        frozenset(
            name
            for name, info in header.tensors.items()
            if info.dtype.is_float and info.elements and name not in run.with_values
        ),
        {name: found.ends for name, found in run.extremes.items() if found.ends is not None},
    )


class _Run:
    def __init__(self, header: Header, pipeline: Pipeline, files: ReadFiles) -> None:
        self.header = header
        self.files = files
        self.rings = [Ring(pipeline, _AHEAD, _BLOCK + MARGIN) for _ in range(READERS)]
        self.to_file = [Channel[_Block](pipeline) for _ in range(READERS)]
        self.to_tensors = [Channel[_Block](pipeline) for _ in range(READERS)]
        self.to_count = [Channel[_Block](pipeline) for _ in range(READERS)]
        self.file_hash = hashlib.sha256()
        self.digests = TensorDigests(len(header.tensors))
        self.stats = [CastStats() for _ in header.tensors]
        self.with_values: set[str] = set()
        self.extremes = {
            name: Extremes(header.tensors[name].dtype)
            for name in largest_names(header)
            if has_ends(header.tensors[name].dtype)
        }

    def read(self, reader: int) -> None:
        """Every `READERS`-th piece; those who use them take from the readers in turn."""
        path = self.header.path
        channels = (self.to_file[reader], self.to_tensors[reader], self.to_count[reader])
        for index, piece, dtype in itertools.islice(self._cuts(), reader, None, READERS):
            buffer = self.rings[reader].lend(len(channels))
            try:
                values = self.files.read(path, piece, dtype, buffer.memory)
            except EOFError as error:
                raise CheckpointError(f"The file became shorter: {error}", where=path) from None
            for channel in channels:
                channel.put(_Block(index, buffer, values))
        for channel in channels:
            channel.close()

    def _cuts(self) -> Iterator[tuple[int | None, Piece, DType]]:
        """The header's bytes, then each tensor's: together every byte of the file, in order."""
        size = self.header.data_start
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start)
            yield None, Piece((count,), (1,), start, count), DType.UINT8
        for index, name in enumerate(self.header.tensors):
            tensor = self.header.source_tensor(name)
            for piece in pieces(tensor, _BLOCK):
                yield index, piece, tensor.dtype

    def hash_file(self) -> None:
        for block in in_turn(self.to_file):
            self.file_hash.update(block.values.data)
            block.buffer.give_back()

    def hash_tensors(self) -> None:
        for block in in_turn(self.to_tensors):
            if block.index is not None:
                self.digests.update(block.index, block.values)
            block.buffer.give_back()

    def count(self) -> None:
        tensors = [(name, info.dtype) for name, info in self.header.tensors.items()]
        for block in in_turn(self.to_count):
            if block.index is not None and tensors[block.index][1].is_float:
                name, dtype = tensors[block.index]
                count_nonfinite(block.values, dtype, self.stats[block.index])
                if name in self.extremes:
                    self.extremes[name].add(block.values.view(dtype.raw))
                if name not in self.with_values and has_values(block.values, dtype):
                    self.with_values.add(name)
            block.buffer.give_back()
