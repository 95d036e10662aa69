"""llama: transformers' LlamaForCausalLM, and the model types with its tensors (families.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from wmtp_assets.checkpoints.cutting import Cut, MicroShape, at_most, kept_heads, ranges, spread
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.families import FAMILIES
from wmtp_assets.checkpoints.layout import Assignment, Config, Layout, Shape, Wanted, number
from wmtp_assets.checkpoints.params import integer
from wmtp_assets.checkpoints.rope import Rope, read_rope
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.settings import Accepted, settled_config, sliding_layers
from wmtp_assets.checkpoints.sizes import dtype_entries

TIED_HEAD = "tied to the embedding, found equal to it"


class Transformers(Layout):
    """What layouts with a config.json of transformers have in common."""

    accepted: ClassVar[Accepted]
    """The model types and classes that a config.json may name."""
    hf_view: ClassVar[Mapping[str, str]] = {
        "config.json": "configs/config.json",
        "model.safetensors": "safetensors/model.safetensors",
        "tokenizer.json": "tokenizer/tokenizer.json",
        "tokenizer.model": "tokenizer/tokenizer.model",
        "tokenizer_config.json": "tokenizer/tokenizer_config.json",
    }
    wide, key = "mlp.gate_proj.weight", "self_attn.k_proj.weight"

    def settled(self, config: Config) -> dict[str, object]:
        return settled_config(self.accepted, config)

    def stated(self, config: Config, header: Header) -> dict[str, object]:
        return {**self.settled(config), **dtype_entries(header)}

    def config_sizes(self, config: Config) -> dict[str, int]:
        settled = self.settled(config)
        names = ("hidden_size", "intermediate_size", "vocab_size", "num_hidden_layers")
        return {name: integer(settled, name) for name in names} | {
            "key_value_width": integer(settled, "num_key_value_heads")
            * integer(settled, "head_dim")
        }

    def rope(self, config: Config) -> tuple[Rope, int]:
        settled = self.settled(config)
        theta = FAMILIES[str(settled["model_type"])].theta
        return read_rope(settled, theta), number(settled, "head_dim")


class Llama(Transformers):
    """A causal language model."""

    name = "llama"
    accepted = Accepted("llama", tuple(FAMILIES), ("LLaMAForCausalLM",))
    network = "causal_lm"
    is_sliced = True
    embedding, block = "model.embed_tokens.weight", "model.layers"

    def shapes(self, config: Config) -> dict[str, Shape]:
        settled = self.settled(config)
        trunk = trunk_shapes(settled)
        shapes = {f"model.{name}": shape for name, shape in trunk.items()}
        if not settled["tie_word_embeddings"]:
            shapes["lm_head.weight"] = trunk["embed_tokens.weight"]
        return shapes

    def assign(self, shapes: Mapping[str, Shape], names: Sequence[str]) -> Assignment:
        wanted = {name: Wanted(shape, name) for name, shape in shapes.items()}
        left_out: dict[str, str] = {}
        embedding, head = "model.embed_tokens.weight", "lm_head.weight"
        if head not in shapes and head in names:
            wanted[embedding] = Wanted(shapes[embedding], embedding, copies=(head,))
            left_out[head] = TIED_HEAD
        return Assignment(wanted, left_out)

    def cut(self, config: Config, micro: MicroShape) -> Cut:
        config = self.settled(config)
        if sliding_layers(config):
            raise LayoutError(
                "A model in which only some layers have sliding attention cannot be sliced",
                expected="use_sliding_window: false, or sliding_window: null",
                found=f"sliding_window {config['sliding_window']}",
                where="config.json",
                hint="Slice another model (slice_of in the catalog).",
            )
        heads = number(config, "num_attention_heads")
        kv_key = "num_key_value_heads"
        kv_heads = heads if config.get(kv_key) is None else number(config, kv_key)
        kept, kv_kept = kept_heads(number(config, "hidden_size"), heads, kv_heads, micro.dim)
        vocab = at_most("vocabulary", micro.vocab, number(config, "vocab_size"))
        at_most("feed-forward width", micro.ffn, number(config, "intermediate_size"))
        layers = spread(number(config, "num_hidden_layers"), micro.layers)
        small: dict[str, object] = {
            **config,
            "hidden_size": micro.dim,
            "intermediate_size": micro.ffn,
            "num_hidden_layers": micro.layers,
            "num_attention_heads": kept,
            kv_key: kv_kept,
            "vocab_size": vocab,
        }
        unrotated = config.get("no_rope_layers")
        if isinstance(unrotated, list):
            small["no_rope_layers"] = [unrotated[layer] for layer in layers]
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            found = config[key]
            ids = found if isinstance(found, list) else [found]
            if any(isinstance(one, int) and one >= vocab for one in ids):
                small[key] = None
        taken = {"layers": layers, **ranges(kept, kv_kept, micro, vocab)}
        return Cut(small, layers, taken)


LAYOUT = Llama()


def trunk_shapes(settled: Config) -> dict[str, Shape]:
    """The tensors of transformers' LlamaModel and its like, under its own names."""
    family = FAMILIES[str(settled["model_type"])]
    dim, ffn = number(settled, "hidden_size"), number(settled, "intermediate_size")
    heads, kv_heads = number(settled, "num_attention_heads"), number(settled, "num_key_value_heads")
    head = number(settled, "head_dim")
    block = {
        "self_attn.q_proj.weight": (heads * head, dim),
        "self_attn.k_proj.weight": (kv_heads * head, dim),
        "self_attn.v_proj.weight": (kv_heads * head, dim),
        "self_attn.o_proj.weight": (dim, heads * head),
        "mlp.gate_proj.weight": (ffn, dim),
        "mlp.up_proj.weight": (ffn, dim),
        "mlp.down_proj.weight": (dim, ffn),
        "input_layernorm.weight": (dim,),
        "post_attention_layernorm.weight": (dim,),
    }
    if family.qkv_bias:
        block["self_attn.q_proj.bias"] = (heads * head,)
        block["self_attn.k_proj.bias"] = block["self_attn.v_proj.bias"] = (kv_heads * head,)
    if family.qk_norm:
        block["self_attn.q_norm.weight"] = block["self_attn.k_norm.weight"] = (head,)
    layers = range(number(settled, "num_hidden_layers"))
    return {
        "embed_tokens.weight": (number(settled, "vocab_size"), dim),
        **{f"layers.{i}.{part}": shape for i in layers for part, shape in block.items()},
        "norm.weight": (dim,),
    }
