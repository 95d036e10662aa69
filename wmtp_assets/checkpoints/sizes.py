"""What a file's header shows of a network: its sizes, and the one dtype of its tensors."""

from __future__ import annotations

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.safetensors_file import Header

_STORED = (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32)


class ConfigError(CheckpointError):
    """A config contradicts the tensors, or what is asked of it cannot be expressed."""


def dtype_of(header: Header) -> str:
    """The one dtype that every tensor has, in torch's words ("float16").

    Raises:
        ConfigError: several dtypes, or one that no model of ours is stored in.
    """
    if len(header.dtypes) != 1 or not set(header.dtypes) <= set(_STORED):
        raise ConfigError(
            "The tensors have no single dtype that a config could state",
            expected=f"one of {', '.join(_STORED)} for all tensors",
            found=", ".join(f"{n} of {dtype}" for dtype, n in header.dtypes.items())
            or "no tensors",
            where=header.path,
        )
    (dtype,) = header.dtypes
    return dtype.value


def dtype_entries(header: Header) -> dict[str, object]:
    """`dtype` is what transformers 5 reads, `torch_dtype` what 4 and most other tools read."""
    return {"dtype": dtype_of(header), "torch_dtype": dtype_of(header)}


def read_sizes(header: Header, embedding: str, block: str, wide: str, key: str) -> dict[str, int]:
    """The sizes in config.json's words, from three matrices and the number of blocks.

    Args:
        embedding: the name of the embedding. block: what the blocks' names begin with.
        wide, key: the names, within a block, of a matrix into the feed-forward width and of the
            key projection.

    Raises:
        ConfigError: one of the three is missing, or is no matrix.
    """
    named = (embedding, f"{block}.0.{wide}", f"{block}.0.{key}")
    for name in named:
        if name not in header.tensors or len(header.tensors[name].shape) != 2:
            raise ConfigError(
                "The sizes cannot be read from the tensors",
                expected=f"a matrix named {name}",
                found="another shape" if name in header.tensors else "no tensor of that name",
                where=header.path,
                hint="check that the catalog names the right layout for this model",
            )
    (vocab, hidden), (ffn, _), (kv_width, _) = (header.tensors[name].shape for name in named)
    return {
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "num_hidden_layers": count_blocks(header, block),
        "key_value_width": kv_width,
    }


def count_blocks(header: Header, block: str) -> int:
    """How many blocks there are whose tensors' names begin with `block`."""
    depth = block.count(".") + 1
    return len({n.split(".")[depth] for n in header.tensors if n.startswith(f"{block}.")})
