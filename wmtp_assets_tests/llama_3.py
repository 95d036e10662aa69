"""A repository as meta-llama/Meta-Llama-3-8B is, but small and random: four shards with an index, a
config.json of transformers 4.40, grouped queries, rope_theta 500000, and a tokenizer.json."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from wmtp_assets_tests.json_tokenizers import BEGIN, END, PIECES, SPECIAL, trained

NAME, REPOSITORY, SHARDS = "llama-3-tiny", "meta-llama/Meta-Llama-3-Tiny", 4
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": PIECES,
    "eos_token_id": PIECES + 1,
    "hidden_act": "silu",
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 112,
    "max_position_embeddings": 8192,
    "model_type": "llama",
    "num_attention_heads": 8,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.0.dev0",
    "use_cache": True,
    "vocab_size": PIECES + SPECIAL,
}
# As the real one's is, with what nothing may come of.
TOKENIZER_CONFIG = {
    "added_tokens_decoder": {str(PIECES): {"content": BEGIN, "special": True}},
    "auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]},
    "bos_token": BEGIN,
    "chat_template": "{{ cycler.__init__.__globals__ }}",
    "clean_up_tokenization_spaces": True,
    "eos_token": {"content": END, "lstrip": False},
    "model_max_length": 8192,
    "tokenizer_class": "PreTrainedTokenizerFast",
}
ENTRY = f"""\
  {NAME}:
    layout: llama
    upstream:
      repository: {REPOSITORY}
      revision: main
      licence: llama3
    files:
      weights: [{{path: model-*-of-00004.safetensors, count: 4}}]
      index: model.safetensors.index.json
      config: config.json
      tokenizer: tokenizer.json
      tokenizer_config: tokenizer_config.json
    tokenizer: own
    source_dtype: bfloat16
    dtype: bfloat16
    expected: {{parameters: {{parameters}}, tensors: 30}}
"""


@cache
def original() -> LlamaForCausalLM:
    """The network in transformers' own code, with the weights of the repository."""
    torch.manual_seed(3)
    known = {k: v for k, v in CONFIG.items() if k not in ("architectures", "torch_dtype")}
    network = LlamaForCausalLM(LlamaConfig(**known)).to(torch.bfloat16).eval()
    assert isinstance(network, LlamaForCausalLM)
    return network


def entry() -> str:
    """The lines of a catalog for it."""
    return ENTRY.replace("{parameters}", str(sum(p.numel() for p in original().parameters())))


def write_repository(hub: Path, tokenizer: bytes | None = None) -> Path:
    """Writes it into the mirror `hub`; returns its folder."""
    folder = hub / "models" / REPOSITORY
    folder.mkdir(parents=True, exist_ok=True)
    tensors = dict(original().state_dict())
    names, places = list(tensors), {}
    for at in range(SHARDS):
        part = names[at * len(names) // SHARDS : (at + 1) * len(names) // SHARDS]
        file = f"model-{at + 1:05d}-of-{SHARDS:05d}.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
        places |= dict.fromkeys(part, file)
    total = sum(tensor.nbytes for tensor in tensors.values())
    for file, value in (
        ("model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places}),
        ("config.json", CONFIG),
        ("tokenizer_config.json", TOKENIZER_CONFIG),
    ):
        (folder / file).write_text(json.dumps(value, indent=2), encoding="utf-8")
    (folder / "tokenizer.json").write_bytes(trained() if tokenizer is None else tokenizer)
    return folder
