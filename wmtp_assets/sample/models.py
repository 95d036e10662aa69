"""The three model repositories in miniature: upstream's layout, names, dtypes and irregularities.

Facts from the upstream repositories' file lists and configs; the weights are made up (see
weights.py). What upstream has beside the model is here as well, so that a fetcher which takes a
whole repository, or a reader that runs a pickle, is caught: see TRAP_ATTRIBUTE.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from wmtp_assets.sample.files import new_file, write_new, write_readme
from wmtp_assets.sample.tokenizer import VOCABULARY
from wmtp_assets.sample.torch_archive import Call, Storage, Tensor, Value, write_archive
from wmtp_assets.sample.weights import (
    bfloat16_bytes,
    normal_like,
    rotary_frequencies,
    rotary_table,
)

MTP = "models/facebook/multi-token-prediction"
SHEARED = "models/princeton-nlp/Sheared-LLaMA-2.7B"
STARLING = "models/berkeley-nest/Starling-RM-7B-alpha"

WIDTH, HEADS, FEED_FORWARD = 64, 4, 176
_HEAD_DIM = WIDTH // HEADS

MTP_PARAMS: Mapping[str, int | float] = {
    "dim": WIDTH,
    "n_layers": 8,
    "n_heads": HEADS,
    "n_kv_heads": HEADS,
    "n_future_tokens": 4,
    "vocab_size": VOCABULARY,
    "multiple_of": 16,
    "ffn_dim_multiplier": 1.0,
    "norm_eps": 1e-05,
    "rope_theta": 10000.0,
}
_SHEARED_LAYERS = 6
_STARLING_LAYERS = 4

# Unpickling a trap sets this attribute of `sys` to the trap's path in its repository and raises.
TRAP_ATTRIBUTE = "wmtp_sample_trap_was_unpickled"

Shapes = Mapping[str, tuple[int, ...]]


def write_models(root: Path, tokenizer: bytes) -> None:
    """Write the three model repositories below `root`; both tokenizers are the same bytes."""
    _write_mtp(root / MTP, tokenizer)
    _write_sheared(root / SHEARED, tokenizer)
    _write_starling(root / STARLING)


def _write_mtp(repo: Path, tokenizer: bytes) -> None:
    # The next-token head is the last of `layers`; `extra_heads` are numbered from 0 again.
    extra = int(MTP_PARAMS["n_future_tokens"]) - 1
    shapes: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (VOCABULARY, WIDTH)}
    for group, count in (("layers", int(MTP_PARAMS["n_layers"]) - extra), ("extra_heads", extra)):
        for index in range(count):
            shapes |= _meta_block(f"{group}.{index}")
    shapes |= {"norm.weight": (WIDTH,), "output.weight": (VOCABULARY, WIDTH)}

    angles = rotary_table(_HEAD_DIM, 128)
    freqs_cis = Storage("complex64", angles.size, lambda: [angles.tobytes()])
    state = {"freqs_cis": Tensor(freqs_cis, angles.shape)} | _weights("mtp", "float32", shapes)
    _archive(repo / "7B_1T_4/consolidated.pth", state)
    _json(repo / "7B_1T_4/params.json", MTP_PARAMS, indent=None)
    write_new(repo / "tokenizer.model", tokenizer)
    write_readme(repo, "four-token prediction: 5 layers and 3 extra heads, 64 wide")


def _write_sheared(repo: Path, tokenizer: bytes) -> None:
    shapes = _llama_shapes(_SHEARED_LAYERS, "model.") | {"lm_head.weight": (VOCABULARY, WIDTH)}
    weights = _weights("sheared", "float32", shapes)
    state: dict[str, Tensor] = {}
    frequencies = rotary_frequencies(_HEAD_DIM).astype("<f4")
    for name, tensor in weights.items():
        state[name] = tensor
        if name.endswith("self_attn.o_proj.weight"):
            # Old versions of transformers saved this buffer with every layer.
            buffer = Storage("float32", frequencies.size, lambda: [frequencies.tobytes()])
            rotary = name.replace("o_proj.weight", "rotary_emb.inv_freq")
            state[rotary] = Tensor(buffer, frequencies.shape)

    total = sum(tensor.storage.nbytes for tensor in state.values())
    shards: list[dict[str, Tensor]] = [{}, {}]
    size = 0
    for name, tensor in state.items():
        shards[0 if size < total // 2 else 1][name] = tensor
        size += tensor.storage.nbytes
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"pytorch_model-{number:05d}-of-{len(shards):05d}.bin"
        _archive(repo / file, shard)
        weight_map |= dict.fromkeys(shard, file)
    _json(
        repo / "pytorch_model.bin.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))},
    )
    _json(repo / "config.json", _llama_config(_SHEARED_LAYERS, "float32"))
    write_new(repo / "tokenizer.model", tokenizer)
    _tokenizer_documents(repo)
    write_readme(repo, "a pruned LLaMA: 6 layers, 64 wide, in two shards")


def _write_starling(repo: Path) -> None:
    # The authors' class holds the language model and, once more, its trunk: the file has both, as
    # two copies (13.3 billion entries of 2 bytes are its 26.7 GB).
    trunk = _weights("starling", "bfloat16", _llama_shapes(_STARLING_LAYERS, ""))
    again = _weights("starling", "bfloat16", _llama_shapes(_STARLING_LAYERS, ""))
    state = {f"model.model.{name}": tensor for name, tensor in trunk.items()}
    state |= _weights("starling", "bfloat16", {"model.lm_head.weight": (VOCABULARY, WIDTH)})
    state |= {f"transformer.{name}": tensor for name, tensor in again.items()}
    state |= _weights("starling", "bfloat16", {"v_head.weight": (1, WIDTH)})
    _archive(repo / "pytorch_model.bin", state)
    # The tensors are bfloat16: what this document says is wrong upstream as well.
    _json(repo / "config.json", _llama_config(_STARLING_LAYERS, "float16"))
    write_new(repo / "latest", b"global_step1400")
    for rank in range(2):
        trap = f"rng_state_{rank}.pth"
        _archive(repo / trap, _rng_state(trap))
        trap = f"global_step1400/bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt"
        _archive(repo / trap, _optimizer_state(trap))
    write_readme(repo, "a reward model: 4 layers, 64 wide, its trunk stored twice")


def _meta_block(prefix: str) -> Shapes:
    block: dict[str, tuple[int, ...]] = {
        "attention.wq": (WIDTH, WIDTH),
        "attention.wk": (WIDTH, WIDTH),
        "attention.wv": (WIDTH, WIDTH),
        "attention.wo": (WIDTH, WIDTH),
        "feed_forward.w1": (FEED_FORWARD, WIDTH),
        "feed_forward.w2": (WIDTH, FEED_FORWARD),
        "feed_forward.w3": (FEED_FORWARD, WIDTH),
        "attention_norm": (WIDTH,),
        "ffn_norm": (WIDTH,),
    }
    return {f"{prefix}.{name}.weight": shape for name, shape in block.items()}


def _llama_shapes(layers: int, prefix: str) -> dict[str, tuple[int, ...]]:
    """The names of transformers' LlamaModel, in its order, each after `prefix`."""
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens": (VOCABULARY, WIDTH)}
    for layer in range(layers):
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            shapes[f"layers.{layer}.self_attn.{name}"] = (WIDTH, WIDTH)
        shapes[f"layers.{layer}.mlp.gate_proj"] = (FEED_FORWARD, WIDTH)
        shapes[f"layers.{layer}.mlp.up_proj"] = (FEED_FORWARD, WIDTH)
        shapes[f"layers.{layer}.mlp.down_proj"] = (WIDTH, FEED_FORWARD)
        shapes[f"layers.{layer}.input_layernorm"] = (WIDTH,)
        shapes[f"layers.{layer}.post_attention_layernorm"] = (WIDTH,)
    shapes["norm"] = (WIDTH,)
    return {f"{prefix}{name}.weight": shape for name, shape in shapes.items()}


def _weights(model: str, dtype: str, shapes: Shapes) -> dict[str, Tensor]:
    """A tensor with its own storage for each name; those with one axis (the norms) are near 1."""

    def chunks(name: str, shape: tuple[int, ...], numel: int) -> Iterator[bytes]:
        mean = 1.0 if len(shape) == 1 else 0.0
        for values in normal_like(f"{model}/{name}", numel, mean=mean):
            yield bfloat16_bytes(values) if dtype == "bfloat16" else values.tobytes()

    tensors: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        numel = 1
        for size in shape:
            numel *= size
        tensors[name] = Tensor(Storage(dtype, numel, partial(chunks, name, shape, numel)), shape)
    return tensors


def _trap(path: str) -> Call:
    """A pickled call that shows that it ran: running it raises an error, and tests an attribute.

    A reader that runs nothing meets the forbidden name and stops before it.
    """
    code = (
        "import sys\n"
        f"sys.{TRAP_ATTRIBUTE} = {path!r}\n"
        f"raise RuntimeError('{path} of the sample hub was unpickled: it must never be')\n"
    )
    return Call("builtins", "exec", (code,))


def _rng_state(path: str) -> Mapping[str, Value]:
    """As a DeepSpeed trainer saves it; upstream's file holds numpy's state as a numpy pickle."""
    raw = "".join(chr(position % 256) for position in range(624 * 4))
    dtype = Call("numpy", "dtype", ("u4", False, True), (3, "<", None, None, None, -1, -1, 0))
    empty = Call("_codecs", "encode", ("b", "latin1"))
    keys = Call(
        "numpy.core.multiarray",
        "_reconstruct",
        (Call("numpy", "ndarray"), (0,), empty),
        (1, (624,), dtype, False, Call("_codecs", "encode", (raw, "latin1"))),
    )
    cpu = Storage("uint8", 64, lambda: [bytes(64)])
    return {
        "python": (3, (0, 1, 2, 624), None),
        "trap": _trap(path),
        "numpy": ("MT19937", keys, 624, 0, 0.0),
        "cpu": Tensor(cpu, (64,)),
    }


def _optimizer_state(path: str) -> Mapping[str, Value]:
    moments = Storage("float32", 1024, lambda: [bytes(4096)])
    return {
        "optimizer_state_dict": {
            "zero_stage": _trap(path),
            "partition_count": [8],
            "fp32_flat_groups": [Tensor(moments, (1024,))],
        },
        "ds_version": "0.9.5",
    }


def _llama_config(layers: int, dtype: str) -> Mapping[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": FEED_FORWARD,
        "max_position_embeddings": 4096,
        "model_type": "llama",
        "num_attention_heads": HEADS,
        "num_hidden_layers": layers,
        "num_key_value_heads": HEADS,
        "pad_token_id": 0,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "tie_word_embeddings": False,
        "torch_dtype": dtype,
        "transformers_version": "4.33.0",
        "use_cache": True,
        "vocab_size": VOCABULARY,
    }


def _tokenizer_documents(repo: Path) -> None:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    special = {
        "bos_token": {"content": "<s>", **flags},
        "eos_token": {"content": "</s>", **flags},
        "unk_token": {"content": "<unk>", **flags},
    }
    _json(repo / "special_tokens_map.json", special)
    _json(
        repo / "tokenizer_config.json",
        {
            "add_bos_token": True,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "legacy": False,
            "model_max_length": 1000000000000000019884624838656,  # transformers' "no limit"
            "pad_token": None,
            "padding_side": "right",
            "sp_model_kwargs": {},
            "tokenizer_class": "LlamaTokenizer",
        }
        | {name: {"__type": "AddedToken", **token} for name, token in special.items()},
    )


def _archive(path: Path, state: Mapping[str, Value]) -> None:
    with new_file(path) as target:
        write_archive(target, state, folder=path.stem)


def _json(path: Path, document: Mapping[str, object], indent: int | None = 2) -> None:
    write_new(path, (json.dumps(document, indent=indent) + "\n").encode())
