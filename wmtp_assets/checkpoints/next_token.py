"""The next-token head of a multi-token-prediction model as a plain LLaMA: names, order and values.

With one head the network is a LLaMA: the trunk, then the last of `layers` as its last block, then
the shared norm and output. Only the rows of the query and key projections stand in another order:
Meta's rotary embedding turns neighbouring channels of a head, (0, 1), (2, 3), ..., transformers'
turns channel i with i + head size / 2. So of each head the even rows come first, then the odd ones.

Here: what is written, and the comparison of what was written with its source. No torch; files and
folders are chosen in `artifacts/as_llama.py`, logits compared in `mtp/next_token.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from wmtp_assets.checkpoints.layout import Config, Described
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.params import integer
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, sort_for_file
from wmtp_assets.checkpoints.safetensors_file import Header, TensorSpec
from wmtp_assets.checkpoints.sizes import dtype_of
from wmtp_assets.checkpoints.tensors import Bytes, SourceTensor, read_blocks, read_tensor, row_major

FROM, TO = "meta-mtp", "llama"
_OUTSIDE = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_BLOCK = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_BLOCK = re.compile(r"layers\.(\d+)\.(.+)\.weight")


def llama_name(name: str) -> str | None:
    """What transformers calls a tensor of an MTP model; None of an extra head's."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    found = _BLOCK.fullmatch(name)
    return f"model.layers.{found[1]}.{_IN_BLOCK[found[2]]}.weight" if found else None


def plan_llama(header: Header, params: Config) -> Plan:
    """How the file is written: every tensor but the extra heads', each a view of its source.

    Raises ConfigError where params.json and the tensors disagree, ParamsError where it is unusable.
    """
    layout_named(FROM).agreed(params, header)
    planned = [
        PlannedTensor(TensorSpec(new, info.dtype, info.shape), _view(header, name, params))
        for name, info in header.tensors.items()
        if (new := llama_name(name)) is not None
    ]
    return Plan(TO, header.tensors["norm.weight"].dtype, sort_for_file(planned))


def _heads(name: str, params: Config) -> int:
    """How many heads the rows of a query or key projection belong to; 0 of other tensors."""
    heads = integer(params, "n_heads")
    if name.endswith("attention.wq.weight"):
        return heads
    if name.endswith("attention.wk.weight"):
        return integer(params, "n_kv_heads", default=heads)
    return 0


def _view(header: Header, name: str, params: Config) -> SourceTensor:
    tensor = header.source_tensor(name)
    heads = _heads(name, params)
    if not heads:
        return tensor
    rows, columns = tensor.shape
    half = rows // heads // 2
    stored = row_major((heads, half, 2, columns))
    strides = (stored[0], stored[2], stored[1], stored[3])
    return replace(tensor, shape=(heads, 2, half, columns), strides=strides)


def llama_config(
    header: Header,
    target: Header,
    params: Config,
    described: Described,
    ids: Mapping[str, int | None],
) -> dict[str, object]:
    """config.json of the LLaMA, complete, with the dtype that its file has.

    Args:
        header, params: of the MTP model. target: of the LLaMA's file.
        described: its name, and the number of positions.
        ids: bos_token_id, eos_token_id and pad_token_id of the tokenizer.

    Raises:
        ConfigError: a size that the params.json states is not that of the tensors.
    """
    known = layout_named(FROM).adapter(params, header, described)
    same = (
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_theta",
    )
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        **{name: known[name] for name in same},
        "num_hidden_layers": layout_named(TO).sizes(target)["num_hidden_layers"],
        "tie_word_embeddings": False,
        **ids,
    }
    return layout_named(TO).documents(config, target, described)["config.json"]


def unequal(header: Header, target: Header, params: Config) -> list[str]:
    """Where the LLaMA's file does not hold the MTP model's values: one line for each tensor.

    Reads both files. Query and key projections are put in order by numpy, not by the views that
    the file was written from; one of them at a time is in memory.
    """
    wanted = {new: name for name in header.tensors if (new := llama_name(name)) is not None}
    wrong = [f"{name} is missing" for name in sorted(wanted.keys() - target.tensors.keys())]
    wrong += [f"{name} is unexpected" for name in sorted(target.tensors.keys() - wanted.keys())]
    if len(header.dtypes) != 1 or dtype_of(header) != dtype_of(target):
        return [*wrong, "another dtype"]
    for new in sorted(wanted.keys() & target.tensors.keys()):
        name = wanted[new]
        if header.tensors[name].shape != target.tensors[new].shape:
            wrong.append(f"{new} has another shape")
        elif not _same_values(header, name, target.source_tensor(new), _heads(name, params)):
            wrong.append(f"{new} has other values than {name}")
    return wrong


def _same_values(header: Header, name: str, found: SourceTensor, heads: int) -> bool:
    source = header.source_tensor(name)
    if not heads:
        return all(np.array_equal(one, other) for one, other in _both(source, found))
    rows, columns = source.shape
    raw = source.dtype.raw
    pairs = read_tensor(source).view(raw).reshape(heads, rows // heads // 2, 2, columns)
    halves = read_tensor(found).view(raw).reshape(heads, 2, rows // heads // 2, columns)
    return np.array_equal(pairs[:, :, 0], halves[:, 0]) and np.array_equal(
        pairs[:, :, 1], halves[:, 1]
    )


def _both(one: SourceTensor, other: SourceTensor) -> Iterator[tuple[Bytes, Bytes]]:
    return zip(read_blocks(one), read_blocks(other), strict=True)
