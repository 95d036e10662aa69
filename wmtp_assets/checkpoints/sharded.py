"""The sharded view of a checkpoint: the same tensors in files of a bounded size, with an index.

For readers that want shards (`model-0000x-of-0000N.safetensors`, `model.safetensors.index.json`).
The bytes of every tensor are those of the single file, and a check verifies that.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert_uncertified
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, sort_for_file
from wmtp_assets.checkpoints.safetensors_file import Header, TensorSpec, read_header, unlike_written
from wmtp_assets.checkpoints.scan import scan_file
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.findings import Finding
from wmtp_assets.storage.atomic import json_bytes, write_json

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ShardedView:
    """What was written: SHA-256 by file name, and the index."""

    files: dict[str, str]
    index: Path


def write_sharded(model: Path, folder: Path, shard_bytes: int) -> ShardedView:
    """Write `model`'s tensors into `folder` as shards of at most `shard_bytes` of data each.

    A larger tensor gets a shard of its own. Tensors stay in the single file's order; the index
    comes last, so that a reader never finds it without its shards.
    """
    header = read_header(model)
    groups = _groups(header, shard_bytes)
    sums = {
        name: convert_uncertified(_plan(header, names), folder / name)
        for name, names in groups.items()
    }
    write_json(folder / INDEX, _index(header, groups))
    return ShardedView(sums, folder / INDEX)


def _index(header: Header, groups: Mapping[str, list[str]]) -> dict[str, object]:
    """The index of shards that hold `groups`."""
    places = {tensor: shard for shard, tensors in groups.items() for tensor in tensors}
    total = sum(info.end - info.begin for info in header.tensors.values())
    return {
        "metadata": {"total_parameters": header.parameters, "total_size": total},
        "weight_map": dict(sorted(places.items())),
    }


def _groups(header: Header, shard_bytes: int) -> dict[str, list[str]]:
    """The tensors of each shard, by the shard's file name."""
    groups: list[list[str]] = []
    room = 0
    for name, info in header.tensors.items():
        size = info.end - info.begin
        if size > room:
            groups.append([])
            room = shard_bytes
        groups[-1].append(name)
        room -= size
    return {
        f"model-{number:05d}-of-{len(groups):05d}.safetensors": names
        for number, names in enumerate(groups, start=1)
    }


def _plan(header: Header, names: list[str]) -> Plan:
    planned = [
        PlannedTensor(
            TensorSpec(name, header.tensors[name].dtype, header.tensors[name].shape),
            header.source_tensor(name),
        )
        for name in names
    ]
    dtype = header.tensors[names[0]].dtype
    return Plan("shard", dtype, sort_for_file(planned))


def check_sharded(
    model: Path,
    folder: Path,
    certificate: Certificate | None = None,
    shard_bytes: int | None = None,
    beside: Mapping[str, bytes] | None = None,
    digests: dict[str, str] | None = None,
) -> Finding:
    """Whether the shards, read through their index, hold `model`'s tensors and no others.

    With `certificate` (the model's) the model itself is not read again: its digests are compared.
    With `shard_bytes` the folder must hold exactly what `write_sharded` writes, and the files
    `beside` with these bytes: a file more would be read by some loaders. `digests` is given the
    SHA-256 of each shard, by file name, as they were read.
    """
    wrong: list[str] = []
    try:
        header = read_header(model)
        shards = sorted(folder.glob("model-*-of-*.safetensors"))
        source = open_source(shards, folder / INDEX)
        wrong += source.warnings  # an index of our own has no excuse
        if shard_bytes is not None:
            index = json_bytes(_index(header, _groups(header, shard_bytes)))
            others = {INDEX: index, **(beside or {})}
            wrong += _unlike_files(folder, others, set(_groups(header, shard_bytes)))
        if certificate is None:
            wanted = dict(scan_file(header).tensors)
        else:
            wanted = {tensor.name: tensor.digest for tensor in certificate.tensors}
        found: dict[str, str] = {}
        for shard in shards:
            shard_header = read_header(shard)
            scan = scan_file(shard_header)
            found |= scan.tensors
            if other := unlike_written(shard_header):
                wrong.append(f"the header of {shard.name}: {other}")
            if digests is not None:
                digests[shard.name] = scan.sha256
            wrong += [
                f"{name} in {shard.name}: {info.dtype} {list(info.shape)}"
                for name, info in shard_header.tensors.items()
                if name in header.tensors
                and (info.dtype, info.shape)
                != (header.tensors[name].dtype, header.tensors[name].shape)
            ]
        for name in sorted(wanted.keys() | source.tensors.keys()):
            if wanted.get(name) != found.get(name):
                wrong.append(f"{name} differs" if name in wanted and name in found else name)
    except (CheckpointError, OSError) as error:
        wrong.append(str(error))
    return Finding(
        name="shards_equal_checkpoint",
        passed=not wrong,
        expected="the same tensors, byte for byte",
        found="; ".join(wrong[:10]) if wrong else "the same tensors, byte for byte",
        where=str(folder),
        hint="Materialize the sharded view again." if wrong else "",
        details={"wrong": wrong[:100]},
    )


def _unlike_files(folder: Path, others: Mapping[str, bytes], shards: Set[str]) -> list[str]:
    """How a folder differs from one that holds `shards`, and files of the bytes of `others`."""
    there = {path.name for path in folder.iterdir()}
    wanted = shards | others.keys()
    wrong = [f"{name} is unexpected" for name in sorted(there - wanted)]
    wrong += [f"{name} is missing" for name in sorted(wanted - there)]
    for name in sorted(there & others.keys()):
        if (folder / name).read_bytes() != others[name]:
            wrong.append(f"{name} is other bytes than its inputs give")
    return wrong
