"""Small networks with made-up weights, and transformers' LLaMA as the oracle for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor

from wmtp_assets.mtp.model import ModelArgs, MTPTransformer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

PARAMS: Mapping[str, object] = {
    "dim": 64,
    "n_layers": 8,
    "n_heads": 4,
    "n_kv_heads": 4,
    "n_future_tokens": 4,
    "vocab_size": 512,
    "multiple_of": 16,
    "ffn_dim_multiplier": 1.0,
    "norm_eps": 1e-05,
    "rope_theta": 10000.0,
}
# 4 blocks that predict 4 tokens: no trunk, layers[0] is the next-token head.
MICRO: Mapping[str, object] = {**PARAMS, "dim": 32, "n_heads": 2, "n_kv_heads": 2, "n_layers": 4}
GROUPED: Mapping[str, object] = {**PARAMS, "n_kv_heads": 2}


def network(params: Mapping[str, object], seed: int = 0) -> MTPTransformer:
    """An MTP network with reproducible weights, norms among them, large enough to matter."""
    model = MTPTransformer(ModelArgs.from_params(params))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.1, generator=generator)
            if "norm" in name:
                parameter.add_(1.0)
    return model


def random_tokens(model: MTPTransformer, batch: int = 2, seq: int = 33, seed: int = 1) -> Tensor:
    """Token ids (batch, seq)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(model.args.vocab_size, (batch, seq), generator=generator)


def in_hf_layout(weight: Tensor, heads: int) -> Tensor:
    """Rows of wq or wk as transformers wants them: per head, even channels first, then odd ones."""
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def as_llama(model: MTPTransformer, head: int) -> LlamaForCausalLM:
    """The trunk and one prediction head as transformers' LLaMA: head 0 is the next-token head."""
    from transformers import LlamaConfig, LlamaForCausalLM  # seconds, which spawned processes save

    args = model.args
    blocks = [*model.layers[:-1], [model.layers[-1], *model.extra_heads][head]]
    config = LlamaConfig(
        hidden_size=args.dim,
        num_hidden_layers=len(blocks),
        num_attention_heads=args.n_heads,
        num_key_value_heads=args.n_kv_heads,
        intermediate_size=args.ffn_dim,
        vocab_size=args.vocab_size,
        rms_norm_eps=args.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": args.rope_theta},
        tie_word_embeddings=False,
    )
    weights = {
        "model.embed_tokens.weight": model.tok_embeddings.weight,
        "model.norm.weight": model.norm.weight,
        "lm_head.weight": model.output.weight,
    }
    for number, block in enumerate(blocks):
        attention, ffn = block.attention, block.feed_forward
        named = {
            "self_attn.q_proj": in_hf_layout(attention.wq.weight, args.n_heads),
            "self_attn.k_proj": in_hf_layout(attention.wk.weight, args.n_kv_heads),
            "self_attn.v_proj": attention.wv.weight,
            "self_attn.o_proj": attention.wo.weight,
            "mlp.gate_proj": ffn.w1.weight,
            "mlp.down_proj": ffn.w2.weight,
            "mlp.up_proj": ffn.w3.weight,
            "input_layernorm": block.attention_norm.weight,
            "post_attention_layernorm": block.ffn_norm.weight,
        }
        weights |= {f"model.layers.{number}.{name}.weight": w for name, w in named.items()}
    oracle = LlamaForCausalLM(config)
    oracle.load_state_dict({name: w.detach().clone() for name, w in weights.items()}, strict=True)
    return oracle.eval()


def write_directory(model: MTPTransformer, params: Mapping[str, object], directory: Path) -> Path:
    """The model as a folder of the storage: safetensors/model.safetensors, configs/params.json."""
    for folder in ("safetensors", "configs"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), directory / "safetensors" / "model.safetensors")
    (directory / "configs" / "params.json").write_text(json.dumps(dict(params)))
    return directory
