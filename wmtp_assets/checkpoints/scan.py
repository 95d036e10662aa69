"""One pass over a safetensors file that answers everything that needs all of its bytes.

The digest of the file, the digest of each tensor, and how many values are not finite: read once,
hashed in threads, in bounded memory, without torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from wmtp_assets.checkpoints.block_io import ReadFiles
from wmtp_assets.checkpoints.casts import CastStats, count_nonfinite
from wmtp_assets.checkpoints.digests import TensorDigests
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.pipeline import Buffer, Channel, Pipeline, Ring
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.tensors import pieces, read_exactly

_BLOCK = 4 << 20
_BUFFERS = 4


@dataclass(frozen=True)
class Scan:
    """What the bytes of a file are: digests in hex, and counts of NaN and infinities by tensor."""

    sha256: str
    tensors: Mapping[str, str]
    nonfinite: Mapping[str, CastStats]


@dataclass(frozen=True, slots=True)
class _Block:
    """The next bytes of the file: a piece of tensor `index`, or (None) of the header."""

    index: int | None
    buffer: Buffer
    nbytes: int


def scan_file(header: Header) -> Scan:
    """Read the file that `header` was read from, whole. Raises CheckpointError if it has shrunk."""
    with ReadFiles() as files, Pipeline() as pipeline:
        run = _Run(header, pipeline, files)
        pipeline.start("read", run.read)
        pipeline.start("hash-file", run.hash_file)
        pipeline.start("hash-tensors", run.hash_tensors)
        run.count()
    names = list(header.tensors)
    return Scan(
        run.file_hash.hexdigest(),
        dict(zip(names, run.digests.finish(), strict=True)),
        {name: stats for name, stats in zip(names, run.stats, strict=True) if stats != CastStats()},
    )


class _Run:
    def __init__(self, header: Header, pipeline: Pipeline, files: ReadFiles) -> None:
        self.header = header
        self.files = files
        self.ring = Ring(pipeline, _BUFFERS, _BLOCK)
        self.channels = [Channel[_Block](pipeline) for _ in range(3)]
        self.to_file, self.to_tensors, self.to_count = self.channels
        self.file_hash = hashlib.sha256()
        self.digests = TensorDigests(len(header.tensors))
        self.stats = [CastStats() for _ in header.tensors]

    def read(self) -> None:
        """The header's bytes, then each tensor's: together every byte of the file, in order."""
        for start in range(0, self.header.data_start, _BLOCK):
            self._read_part(None, start, min(_BLOCK, self.header.data_start - start))
        for index, name in enumerate(self.header.tensors):
            for piece in pieces(self.header.source_tensor(name), _BLOCK):
                self._read_part(index, piece.offset, piece.nbytes)
        for channel in self.channels:
            channel.close()

    def _read_part(self, index: int | None, offset: int, nbytes: int) -> None:
        path = self.header.path
        buffer = self.ring.lend(len(self.channels))
        try:
            read_exactly(self.files.fd(path), offset, buffer.memory[:nbytes])
        except EOFError as error:
            raise CheckpointError(f"The file became shorter: {error}", where=path) from None
        self.files.forget(path, offset, nbytes)
        for channel in self.channels:
            channel.put(_Block(index, buffer, nbytes))

    def hash_file(self) -> None:
        for block in self.to_file:
            self.file_hash.update(block.buffer.memory[: block.nbytes].data)
            block.buffer.give_back()

    def hash_tensors(self) -> None:
        for block in self.to_tensors:
            if block.index is not None:
                self.digests.update(block.index, block.buffer.memory[: block.nbytes])
            block.buffer.give_back()

    def count(self) -> None:
        dtypes = [info.dtype for info in self.header.tensors.values()]
        for block in self.to_count:
            if block.index is not None and dtypes[block.index].is_float:
                values = block.buffer.memory[: block.nbytes]
                count_nonfinite(values, dtypes[block.index], self.stats[block.index])
            block.buffer.give_back()
