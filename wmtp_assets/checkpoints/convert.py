"""Converts a checkpoint to one safetensors file in a single pass over bounded memory.

Every byte of the source is read once and every byte of the target written once. A thread reads
blocks into a ring of reused buffers, the caller's thread casts them into a second ring, and threads
hash both sides and write. The bytes are those of `safetensors.torch.save_file`, whatever the
number of cores. What was done to each tensor is returned as a `Certificate`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from wmtp_assets.checkpoints.block_io import (
    MARGIN,
    READERS,
    BlockWriter,
    ReadFiles,
    publish_blocks,
)
from wmtp_assets.checkpoints.casts import Cast, CastStats, make_cast
from wmtp_assets.checkpoints.certificate import (
    Certificate,
    TensorCertificate,
)
from wmtp_assets.checkpoints.digests import ALGORITHM, TensorDigests
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError, ConversionError
from wmtp_assets.checkpoints.pipeline import Buffer, Channel, Pipeline, Ring, in_turn
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, plan_conversion
from wmtp_assets.checkpoints.ranges import LARGEST, Extremes, has_ends
from wmtp_assets.checkpoints.tensors import Bytes, Piece, SourceTensor, pieces

__all__ = ["Plan", "Progress", "convert", "convert_uncertified", "plan_conversion"]

BLOCK = 4 << 20
_AHEAD = 2  # blocks that each reader may be ahead
_OUTPUTS = 4  # blocks of the target that wait to be hashed and written

Progress = Callable[[int, int], None]
"""Called with the bytes of the target that are done, and all of them; at most once per block."""


def convert(
    plan: Plan,
    target: Path,
    progress: Progress | None = None,
    ends: dict[str, tuple[float, float]] | None = None,
) -> Certificate:
    """Write `plan`'s file to `target` (whole and durable, or not at all) and certify it.

    `ends` is given the least and the greatest value of the `LARGEST` tensors, by their names.

    Uses some 45 MB of memory beside that of torch's library. Raises ConversionError when values
    overflow unwaived, all values of a tensor become zero, or a copy differs, naming the tensor, and
    CheckpointError when the source ends too early; `target` is then as it was.
    """
    with publish_blocks(target, plan.target_size, f"Converting to {target.name}") as writer:
        done = run(plan, writer, progress)
        if ends is not None:
            ends |= {
                plan.tensors[index].spec.name: found.ends
                for index, found in done.extremes.items()
                if found.ends is not None
            }
        return done.certificate(target.name)


def convert_uncertified(plan: Plan, target: Path) -> str:
    """As `convert`, with no digests but that of the whole file, which is returned (in hex)."""
    with publish_blocks(target, plan.target_size, f"Writing {target.name}") as writer:
        return run(plan, writer, digest_source=False, digest_target=False).file_sha256


def convert_to_nowhere(plan: Plan, target_name: str) -> Certificate:
    """The certificate that `convert` would give, without writing anything."""
    return run(plan, None).certificate(target_name)


def run(
    plan: Plan,
    writer: BlockWriter | None,
    progress: Progress | None = None,
    *,
    digest_source: bool = True,
    digest_target: bool = True,
) -> Run:
    """The pass itself, into `writer` or nowhere, with or without digests of each tensor."""
    pairs = {(tensor.source.dtype, tensor.spec.dtype) for tensor in plan.tensors}
    casts = {pair: make_cast(*pair) for pair in pairs}
    with ReadFiles() as files, Pipeline() as pipeline:
        done = Run(plan, pipeline, writer, files, digest_source, digest_target)
        done.start()
        done.cast(casts, progress)
    return done


@dataclass(frozen=True, slots=True)
class _Lent:
    """Bytes that were read, and the buffer that they lie in."""

    buffer: Buffer
    values: Bytes


@dataclass(frozen=True, slots=True)
class _Read:
    """The next bytes of tensor `index`, and the same bytes of its copies."""

    index: int
    lent: _Lent
    copies: tuple[_Lent, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    """The next block of the target: for each tensor in it, where its bytes are in the block."""

    buffer: Buffer
    nbytes: int
    parts: tuple[tuple[int, int, int], ...]


class Run:
    """One conversion under way: its rings, its threads, and what they found."""

    def __init__(
        self,
        plan: Plan,
        pipeline: Pipeline,
        writer: BlockWriter | None,
        files: ReadFiles,
        digest_source: bool,
        digest_target: bool,
    ) -> None:
        self.plan = plan
        self.pipeline = pipeline
        self.writer = writer
        self.files = files
        self.digest_source = digest_source
        self.digest_target = [digest_target and not _is_kept(t) for t in plan.tensors]
        copies = max((len(tensor.copies) for tensor in plan.tensors), default=0)
        self.inputs = [
            Ring(pipeline, _AHEAD + 1 + 2 * copies, BLOCK + MARGIN) for _ in range(READERS)
        ]
        self.outputs = Ring(pipeline, _OUTPUTS, BLOCK)
        self.to_cast = [Channel[_Read](pipeline) for _ in range(READERS)]
        self.to_source_hash = [Channel[_Read](pipeline) for _ in range(READERS)]
        self.to_target_hash: Channel[_Written] = Channel(pipeline)
        self.to_file_hash: Channel[_Written] = Channel(pipeline)
        self.to_write: Channel[_Written] = Channel(pipeline)
        self.stats = [CastStats() for _ in plan.tensors]
        sizes = [-tensor.source.elements * tensor.spec.dtype.itemsize for tensor in plan.tensors]
        largest = sorted(
            range(len(sizes)), key=lambda index: (sizes[index], plan.tensors[index].spec.name)
        )
        self.extremes = {
            index: Extremes(plan.tensors[index].spec.dtype)
            for index in largest[:LARGEST]
            if has_ends(plan.tensors[index].spec.dtype)
        }
        self.source_hashes = TensorDigests(len(plan.tensors))
        self.target_hashes = TensorDigests(len(plan.tensors))
        self.file_hash = hashlib.sha256()

    def start(self) -> None:
        for reader in range(READERS):
            self.pipeline.start(f"read-{reader}", partial(self._read, reader))
        self.pipeline.start("write", self._write)
        self.pipeline.start("hash-file", self._hash_file)
        if any(self.digest_target):
            self.pipeline.start("hash-target", self._hash_target)
        if self.digest_source:
            self.pipeline.start("hash-source", self._hash_source)

    # Threads

    def _read(self, reader: int) -> None:
        """Every `READERS`-th block of the source; those who use them take from readers in turn."""
        cuts = itertools.islice(self._cuts(), reader, None, READERS)
        for index, ((tensor, piece), *copied) in cuts:
            users = 2 if self.digest_source else 1
            first = self._read_piece(reader, tensor, piece, users)
            copies = tuple(self._read_piece(reader, copy, part, 1) for copy, part in copied)
            read = _Read(index, first, copies)
            self.to_cast[reader].put(read)
            if self.digest_source:
                self.to_source_hash[reader].put(read)
        self.to_cast[reader].close()
        self.to_source_hash[reader].close()

    def _cuts(self) -> Iterator[tuple[int, list[tuple[SourceTensor, Piece]]]]:
        """Number of the tensor, its next piece, and the same piece of each copy elsewhere."""
        for index, tensor in enumerate(self.plan.tensors):
            every = (tensor.source, *_elsewhere(tensor))
            for parts in zip(*(pieces(each, BLOCK) for each in every), strict=True):
                yield index, list(zip(every, parts, strict=True))

    def _read_piece(self, reader: int, tensor: SourceTensor, piece: Piece, users: int) -> _Lent:
        buffer = self.inputs[reader].lend(users)
        try:
            values = self.files.read(tensor.file, piece, tensor.dtype, buffer.memory)
        except EOFError as error:
            raise CheckpointError(
                f"The source ends within {tensor.name}: {error}",
                where=tensor.file,
                hint="Fetch the file again.",
            ) from None
        return _Lent(buffer, values)

    def _hash_source(self) -> None:
        for read in in_turn(self.to_source_hash):
            self.source_hashes.update(read.index, read.lent.values)
            read.lent.buffer.give_back()

    def _hash_target(self) -> None:
        for block in self.to_target_hash:
            for index, start, end in block.parts:
                if self.digest_target[index]:
                    self.target_hashes.update(index, block.buffer.memory[start:end])
            block.buffer.give_back()

    def _hash_file(self) -> None:
        for block in self.to_file_hash:
            self.file_hash.update(block.buffer.memory[: block.nbytes].data)
            block.buffer.give_back()

    def _write(self) -> None:
        for block in self.to_write:
            if self.writer is not None:
                self.writer.write(block.buffer.memory[: block.nbytes])
            block.buffer.give_back()

    # The caller's thread

    def cast(self, casts: Mapping[tuple[DType, DType], Cast], progress: Progress | None) -> None:
        """Cast what is read into blocks of the target, and hand those on, until all is done."""
        output = _Output(self)
        output.append(np.frombuffer(self.plan.header, np.uint8))
        total = self.plan.target_size
        for read in in_turn(self.to_cast):
            tensor = self.plan.tensors[read.index]
            self._compare(tensor, read)
            values = read.lent.values
            cast = casts[tensor.source.dtype, tensor.spec.dtype]
            before, after = tensor.source.dtype.itemsize, tensor.spec.dtype.itemsize
            stats = self.stats[read.index]
            while len(values):
                room = output.room(read.index, len(values) // before * after)
                part = values[: len(room) // after * before]
                stats.add(cast(part, room))
                if read.index in self.extremes:
                    self.extremes[read.index].add(room.view(tensor.spec.dtype.raw))
                values = values[len(part) :]
            if stats.overflow and tensor.spec.name not in self.plan.waive_overflow:
                raise ConversionError(
                    f"Values of {tensor.source.name} are too large for {tensor.spec.dtype}",
                    expected=f"every finite value stays finite in {tensor.spec.dtype}",
                    found=f"at least {stats.overflow:,} that become infinite",
                    where=tensor.source.file,
                    hint="Keep a wider dtype in the catalog, or waive it there by name "
                    f"(waive_overflow: [{tensor.spec.name}]).",
                )
            read.lent.buffer.give_back()
            if progress is not None:
                progress(output.done, total)
        self._refuse_emptied()
        output.flush()
        for channel in (self.to_write, self.to_file_hash, self.to_target_hash):
            channel.close()

    def _refuse_emptied(self) -> None:
        """Refuse a tensor that had values and has none left: it would be a layer switched off."""
        for tensor, stats in zip(self.plan.tensors, self.stats, strict=True):
            if stats.zeroed and stats.zeros == tensor.source.elements:
                raise ConversionError(
                    f"Every value of {tensor.source.name} becomes zero in {tensor.spec.dtype}",
                    expected="a tensor that keeps some of its values",
                    found=f"{stats.zeroed:,} values other than zero, all too small",
                    where=tensor.source.file,
                    hint="Keep a wider dtype in the catalog (bfloat16 has float32's range).",
                )

    def _compare(self, tensor: PlannedTensor, read: _Read) -> None:
        for copy, lent in zip(_elsewhere(tensor), read.copies, strict=True):
            if not np.array_equal(read.lent.values, lent.values):
                raise ConversionError(
                    f"{copy.name} is not a copy of {tensor.source.name}: their bytes differ",
                    expected="two equal copies, of which one is kept",
                    found="two different tensors",
                    where=copy.file,
                    hint="Find out which of the two the model uses; nothing was written.",
                )
            lent.buffer.give_back()

    @property
    def file_sha256(self) -> str:
        """SHA-256, in hex, of the whole target."""
        return self.file_hash.hexdigest()

    def certificate(self, target_name: str) -> Certificate:
        """What was done; only after a pass with both digests."""
        plan = self.plan
        tensors = tuple(
            TensorCertificate(
                name=tensor.spec.name,
                dtype=tensor.spec.dtype,
                shape=tensor.spec.shape,
                digest=target if digested else source,
                source_name=tensor.source.name,
                source_file=tensor.source.file.name,
                source_dtype=tensor.source.dtype,
                source_digest=source,
                nan=stats.nan,
                inf=stats.inf,
                overflow=stats.overflow,
                max_cast_error=stats.error,
                zeroed=stats.zeroed,
            )
            for tensor, source, target, digested, stats in zip(
                plan.tensors,
                self.source_hashes.finish(),
                self.target_hashes.finish(),
                self.digest_target,
                self.stats,
                strict=True,
            )
        )
        files = sorted({tensor.source.file for tensor in plan.tensors})
        return Certificate(
            layout=plan.layout,
            dtype=plan.dtype,
            digest_algorithm=ALGORITHM,
            source_files={path.name: path.stat().st_size for path in files},
            target_file=target_name,
            target_size=plan.target_size,
            target_sha256=self.file_sha256,
            parameters=plan.parameters,
            tensors=tensors,
            dropped=plan.dropped,
            warnings=plan.warnings,
        )


def _is_kept(tensor: PlannedTensor) -> bool:
    """Whether the bytes are the source's, row-major, so that one digest serves both sides."""
    return tensor.source.dtype is tensor.spec.dtype


def _elsewhere(tensor: PlannedTensor) -> list[SourceTensor]:
    """The copies that are other bytes than the tensor itself, and so must be compared."""
    return [copy for copy in tensor.copies if not copy.same_memory(tensor.source)]


class _Output:
    """The target's bytes in the order they are written, cut into blocks of a ring."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.users = 2 + any(run.digest_target)
        self.buffer = run.outputs.lend(self.users)
        self.used = 0
        self.parts: list[tuple[int, int, int]] = []
        self.done = 0

    def room(self, index: int, wanted: int) -> Bytes:
        """At most `wanted` bytes of the current block, for tensor `index`; never none."""
        if self.used == BLOCK:
            self.flush()
            self.buffer = self.run.outputs.lend(self.users)
        start, end = self.used, min(self.used + wanted, BLOCK)
        self.parts.append((index, start, end))
        self.used = end
        self.done += end - start
        return self.buffer.memory[start:end]

    def append(self, data: Bytes) -> None:
        """Bytes that belong to no tensor: the header."""
        while len(data):
            room = self.room(-1, len(data))
            self.parts.clear()
            room[:] = data[: len(room)]
            data = data[len(room) :]

    def flush(self) -> None:
        """Hand the current block to those who hash and write it."""
        block = _Written(self.buffer, self.used, tuple(self.parts))
        self.run.to_write.put(block)
        self.run.to_file_hash.put(block)
        if self.users == 3:
            self.run.to_target_hash.put(block)
        self.used = 0
        self.parts = []
