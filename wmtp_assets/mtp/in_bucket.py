"""A model whose weights are read straight from a bucket into memory, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from wmtp_assets.bucket.ranges import Reader
from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.errors import SafetensorsError
from wmtp_assets.checkpoints.safetensors_file import header_of
from wmtp_assets.mtp.errors import LoadError
from wmtp_assets.storage.receipts import FileRecord


def from_bucket(
    url: str, dtype: torch.dtype | None, device: torch.device | str
) -> tuple[dict[str, object], dict[str, Tensor], Path]:
    """params.json and every tensor of the model at a contract's path below a bucket's URL, and the
    path of the weights; see `from_pretrained`. Raises LoadError and BucketError.

    Memory: the tensors, one more where `dtype` or `device` is another, and five pieces of 8 MiB.
    """
    base, _, folder = url.rstrip("/").rpartition("/")
    base, _, models = base.rpartition("/")
    place = f"{models}/{folder}"
    reader = Reader(base)
    params = _record(reader, f"{place}/configs/params.json")
    weights = _record(reader, f"{place}/safetensors/model.safetensors")
    where = Path(place, "safetensors/model.safetensors")
    try:
        text = b"".join(reader.pieces(params.sha256, params.size))
        value = strict_json.loads(text)
        tensors = dict(streamed(reader, weights, where, dtype, device))
    except (strict_json.StrictJsonError, SafetensorsError) as error:
        raise LoadError(
            "The model in the bucket cannot be read",
            expected="params.json, and a safetensors file",
            found=error,
            where=url,
            hint="materialize the model again, and push it",
        ) from error
    if not isinstance(value, dict):
        raise LoadError("params.json is no JSON object", found=type(value).__name__, where=url)
    return value, tensors, where


def _record(reader: Reader, path: str) -> FileRecord:
    found = reader.paths.get(path)
    if found is None:
        there = sorted(
            one.removesuffix("/configs/params.json")
            for one in reader.paths
            if one.endswith("/configs/params.json")
        )
        raise LoadError(
            "There is no such model in the bucket",
            expected=path,
            found=f"models at {', '.join(there)}" if there else "an edition without models",
            where=reader.bucket.url,
            hint="Name one that is there, such as s3://BUCKET/FOLDER/models_v2/NAME.",
        )
    return found


def streamed(
    reader: Reader,
    record: FileRecord,
    where: Path,
    dtype: torch.dtype | None,
    device: torch.device | str,
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a safetensors file in the order of their bytes, as its pieces arrive."""
    pieces = reader.pieces(record.sha256, record.size)
    data = memoryview(next(pieces))  # 8 MiB, or all: the whole header
    header = header_of(bytes(data[: 8 + strict_json.MAX_BYTES]), record.size, where)
    data = data[header.data_start :]
    for name, info in header.tensors.items():
        stored = torch.empty(info.end - info.begin, dtype=torch.uint8)
        view = stored.numpy().data
        at = 0
        while at < len(view):
            if not data:
                data = memoryview(next(pieces))
            some = data[: len(view) - at]
            view[at : at + len(some)] = some
            at += len(some)
            data = data[len(some) :]
        typed = stored.view(getattr(torch, info.dtype)).view(info.shape)
        yield name, typed.to(device=device, dtype=dtype)
