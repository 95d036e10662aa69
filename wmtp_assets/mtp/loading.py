"""From a directory of the storage to a model in memory: strict, and with one clear error.

Belongs here: opening files and comparing names and shapes. The networks know no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.errors import SafetensorsError
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.tensors import read_exactly
from wmtp_assets.mtp.errors import LoadError
from wmtp_assets.mtp.model import ModelArgs, MTPTransformer
from wmtp_assets.storage import page_cache
from wmtp_assets.storage.file_systems import file_system_of

_AGAIN = "materialize the model's configs again"
# How we load with transformers: a document may name an implementation that is then fetched and run.
LOADING: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
SHOWN = 5  # names listed of each kind in the error: enough to see the pattern


def choose_implementation(config: Any) -> None:
    """Make a config of transformers name torch's own attention, whatever its document names."""
    config._attn_implementation = "sdpa"
    config._experts_implementation = None


def from_pretrained(
    directory: Path | str,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    mmap: bool | None = None,
) -> MTPTransformer:
    """Load `<directory>/safetensors/model.safetensors` as its `configs/params.json` describes it.

    Args:
        directory: a model's folder in the storage, such as `storage/models_v2/meta-llama-mtp`, or
            that of a storage in a bucket, such as `s3://BUCKET/wmtp/models_v2/meta-llama-mtp`: its
            weights come piece by piece, each compared with its digest, and touch no disk.
        dtype: cast every tensor to it; by default as stored.
        device: where the weights go, tensor by tensor: the CPU never holds a second copy.
        mmap: whether tensors are parts of a map of the file, which processes of one machine share
            until they write; by default so, unless the file system may be a network's. Else they
            are read in the order of the file, into memory of their own.

    Raises:
        LoadError: a file is missing or broken, or names and shapes are not exactly the network's.
        BucketError: a bucket cannot be read, or is damaged; or its URL was given as a Path.
        ParamsError: params.json describes no possible network.
    """
    if ":/" in str(directory):
        from wmtp_assets.bucket import bucket_url
        from wmtp_assets.mtp.in_bucket import from_bucket

        if (url := bucket_url(directory)) is not None:
            params, tensors, where = from_bucket(url, dtype, device)
            return _assembled(params, tensors, where)
    root = Path(directory)
    weights = root / "safetensors" / "model.safetensors"
    if not (root / "configs/params.json").exists() and (root / "configs/config.json").exists():
        raise LoadError(
            "This is not a multi-token-prediction model",
            expected="configs/params.json",
            found="no params.json but a config.json",
            where=root,
            hint=f"transformers loads {root}/hf; a reward model, wmtp_assets.mtp.reward.",
        )
    return load_mtp(weights, read_json(root / "configs" / "params.json"), dtype, device, mmap)


def load_mtp(
    weights: Path,
    params: Mapping[str, object],
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    mmap: bool | None = None,
) -> MTPTransformer:
    """The same from a file of weights and an already read params.json."""
    return _assembled(params, read_tensors(weights, dtype, device, mmap), weights)


def _assembled(
    params: Mapping[str, object], tensors: Mapping[str, Tensor], weights: Path
) -> MTPTransformer:
    model = mtp_without_weights(params, shapes_of(tensors))
    assign_strictly(model, tensors, weights)
    return model


def mtp_without_weights(
    params: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]]
) -> MTPTransformer:
    """The network on the meta device: no memory, no initialization. Raises ParamsError.

    `shapes` are those of the tensors that it will get: they state the FFN's width, which
    params.json only implies.
    """
    gate = shapes.get("layers.0.feed_forward.w1.weight")
    with without_values():
        return MTPTransformer(ModelArgs.from_params(params, gate[0] if gate else None))


@contextmanager
def without_values() -> Iterator[None]:
    """Networks that are built in the block are on the meta device, where nothing is initialized.

    torch would do so by rules written in Python, whose modules take over a second to import.
    """
    with torch.device("meta"), _NoInitialization():
        yield


class _NoInitialization(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def assign_strictly(model: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Make `tensors` the model's parameters; raise LoadError unless all and only they fit."""
    require_fit(model, shapes_of(tensors), where)
    model.load_state_dict(dict(tensors), strict=True, assign=True)


def require_fit(model: nn.Module, found: Mapping[str, tuple[int, ...]], where: Path) -> None:
    """Raise LoadError unless these names and shapes are exactly those of the model's tensors."""
    wanted = shapes_of(model.state_dict())
    wrong = {n: found[n] for n in wanted.keys() & found.keys() if wanted[n] != found[n]}
    faults = [
        f"{len(names)} {what}: {', '.join(sorted(names)[:SHOWN])}"
        + (", ..." if len(names) > SHOWN else "")
        for what, names in (
            ("missing", wanted.keys() - found.keys()),
            ("unexpected", found.keys() - wanted.keys()),
            ("of another shape", {f"{n} {wrong[n]} instead of {wanted[n]}" for n in wrong}),
        )
        if names
    ]
    if faults:
        raise LoadError(
            "The file does not hold this network's tensors",
            expected=f"exactly {len(wanted)} tensors, named and shaped as the config says",
            found="; ".join(faults),
            where=where,
            hint="materialize the model and its config again; they belong to different models",
        )


def read_tensors(
    path: Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    mmap: bool | None = None,
) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, cast to `dtype` if one is given, on `device`.

    `mmap` as in `from_pretrained`. Raises LoadError.
    """
    try:
        if not (file_system_of(path).is_local if mmap is None else mmap):
            return dict(_read(path, dtype, device))
        with safe_open(path, framework="pt", device=str(device)) as file:
            return {name: file.get_tensor(name).to(dtype) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    except (OSError, EOFError, SafetensorError, SafetensorsError) as error:
        raise LoadError(
            "The weights cannot be read",
            expected="a safetensors file",
            found=error,
            where=path,
            hint="materialize the model again",
        ) from error


def _read(
    path: Path, dtype: torch.dtype | None, device: torch.device | str
) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a safetensors file in the order of their bytes, read without a map."""
    header = read_header(path)
    with path.open("rb", buffering=0) as file:
        page_cache.read_in_order(file.fileno())
        for name, info in header.tensors.items():
            stored = torch.empty(info.end - info.begin, dtype=torch.uint8)
            if stored.numel():
                read_exactly(file.fileno(), header.data_start + info.begin, stored.numpy())
            typed = stored.view(getattr(torch, info.dtype)).view(info.shape)
            yield name, typed.to(device=device, dtype=dtype)


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a file; LoadError if it is missing or anything else."""
    try:
        return strict_json.read_object(path, "A model's config", _AGAIN)
    except strict_json.JsonFileError as error:
        raise LoadError(
            error.problem, expected=error.expected, found=error.found, where=path, hint=_AGAIN
        ) from error
