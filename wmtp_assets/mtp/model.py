"""The multi-token-prediction LLaMA in plain PyTorch, and nothing else: no files, no training loop.

The shape of the network, as Meta's reference has it (facts: Gloeckle et al. 2024 and the published
7B_1T_4/params.json):

    tokens -> tok_embeddings -> layers[:-1] (the trunk) -+-> layers[-1]     (next token)
                                                         +-> extra_heads[0] (the token after it)
                                                         +-> extra_heads[1] ...
    every head's hidden state -> the shared norm -> the shared output projection -> logits

`n_layers` of params.json counts every block, the extra heads too: 32 blocks that predict 4 tokens
are 28 of trunk, 1 next-token head and 3 extra heads. Nothing but parameters is in the state dict:
rotary angles are computed when they are needed, on the device of the tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that every PyTorch reader knows

from wmtp_assets.checkpoints.params import check_sizes, ffn_dim_of, integer, positive


@dataclass(frozen=True)
class ModelArgs:
    """The sizes of one network; `n_layers` counts trunk, next-token head and extra heads."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    n_future_tokens: int
    vocab_size: int
    ffn_dim: int
    norm_eps: float
    rope_theta: float

    @classmethod
    def from_params(cls, params: Mapping[str, object], ffn_dim: int | None = None) -> ModelArgs:
        """Read Meta's params.json; `ffn_dim` where the tensors' own width is at hand.

        Raises:
            ParamsError: a field is missing, of the wrong type, or the sizes do not fit together.
        """
        check_sizes(params)
        n_heads = integer(params, "n_heads")
        return cls(
            dim=integer(params, "dim"),
            n_layers=integer(params, "n_layers"),
            n_heads=n_heads,
            n_kv_heads=integer(params, "n_kv_heads", default=n_heads),
            n_future_tokens=integer(params, "n_future_tokens", default=1),
            vocab_size=integer(params, "vocab_size"),
            ffn_dim=ffn_dim_of(params) if ffn_dim is None else ffn_dim,
            norm_eps=positive(params, "norm_eps"),
            rope_theta=positive(params, "rope_theta", default=10000.0),
        )

    @property
    def head_dim(self) -> int:
        return self.dim // self.n_heads

    @property
    def n_extra_heads(self) -> int:
        return self.n_future_tokens - 1


def rotary_angles(seq: int, head_dim: int, theta: float, device: torch.device) -> Tensor:
    """Angle of each (position, pair of channels): float32, (seq, head_dim / 2)."""
    pairs = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device)
    positions = torch.arange(seq, dtype=torch.float32, device=device)
    return torch.outer(positions, theta ** (-pairs / head_dim))


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn neighbouring channel pairs (0,1), (2,3), ... of `x`, (batch, seq, heads, head_dim).

    Meta's layout pairs neighbours; transformers pairs channel i with i + head_dim / 2, which is
    why the rows of wq and wk differ between the two by a permutation. Computed in float32.
    """
    cos, sin = angles.cos()[None, :, None, :], angles.sin()[None, :, None, :]
    even, odd = x.float().reshape(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).type_as(x)


class RMSNorm(nn.Module):
    """Scale to unit root mean square over the last dimension, in float32, then by `weight`."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return wide.type_as(x) * self.weight


class Attention(nn.Module):
    """Causal self-attention; `n_kv_heads` < `n_heads` shares each key-value head in a group."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.head_dim = args.head_dim
        self.group = args.n_heads // args.n_kv_heads
        kv_dim = args.n_kv_heads * args.head_dim
        self.wq = nn.Linear(args.dim, args.dim, bias=False)
        self.wk = nn.Linear(args.dim, kv_dim, bias=False)
        self.wv = nn.Linear(args.dim, kv_dim, bias=False)
        self.wo = nn.Linear(args.dim, args.dim, bias=False)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        q, k, v = (w(x).unflatten(-1, (-1, self.head_dim)) for w in (self.wq, self.wk, self.wv))
        q, k = rotate(q, angles), rotate(k, angles)
        if self.group > 1:
            k, v = (t.repeat_interleave(self.group, dim=2) for t in (k, v))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))  # (batch, heads, seq, head_dim)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.wo(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) * w3 x)."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.w1 = nn.Linear(args.dim, args.ffn_dim, bias=False)
        self.w2 = nn.Linear(args.ffn_dim, args.dim, bias=False)
        self.w3 = nn.Linear(args.dim, args.ffn_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w2(F.silu(self.w1(x)) * self.w3(x))
        return out


class TransformerBlock(nn.Module):
    """One pre-norm block; (batch, seq, dim) to the same. A prediction head is such a block too."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.attention = Attention(args)
        self.feed_forward = FeedForward(args)
        self.attention_norm = RMSNorm(args.dim, args.norm_eps)
        self.ffn_norm = RMSNorm(args.dim, args.norm_eps)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), angles)
        out: Tensor = x + self.feed_forward(self.ffn_norm(x))
        return out


class MTPTransformer(nn.Module):
    """Predicts the next `n_future_tokens` tokens at every position. Names are the checkpoint's."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.args = args
        n_layers = args.n_layers - args.n_extra_heads
        self.tok_embeddings = nn.Embedding(args.vocab_size, args.dim)
        self.layers = nn.ModuleList(TransformerBlock(args) for _ in range(n_layers))
        self.extra_heads = nn.ModuleList(TransformerBlock(args) for _ in range(args.n_extra_heads))
        self.norm = RMSNorm(args.dim, args.norm_eps)
        self.output = nn.Linear(args.dim, args.vocab_size, bias=False)

    def angles(self, tokens: Tensor) -> Tensor:
        args = self.args
        return rotary_angles(tokens.shape[1], args.head_dim, args.rope_theta, tokens.device)

    def trunk(self, tokens: Tensor) -> Tensor:
        """What every head sees: (batch, seq, dim), not yet normalized. For value heads.

        Of a model that is all heads (a micro model of 4 blocks for 4 tokens) it is the embedding.
        Under FSDP, make it an entry point with `register_fsdp_forward_method(model, "trunk")`.
        """
        angles = self.angles(tokens)
        hidden: Tensor = self.tok_embeddings(tokens)
        for layer in self.layers[:-1]:
            hidden = layer(hidden, angles)
        return hidden

    def forward(self, tokens: Tensor, return_all_heads: bool = True) -> Tensor:
        """Logits in the weights' dtype of token ids (batch, seq), int64, positions from 0.

        Returns (batch, seq, n_future_tokens, vocab): entry k at position t is about token t+1+k.
        With `return_all_heads=False` (batch, seq, 1, vocab): the next token only.
        """
        return self.predictions(self.trunk(tokens), tokens, return_all_heads)

    def predictions(self, hidden: Tensor, tokens: Tensor, return_all_heads: bool = True) -> Tensor:
        """The logits of `forward`, from what `trunk` gives for the same tokens."""
        angles = self.angles(tokens)
        heads = [self.layers[-1], *self.extra_heads] if return_all_heads else [self.layers[-1]]
        stacked = torch.stack([head(hidden, angles) for head in heads], dim=-2)
        logits: Tensor = self.output(self.norm(stacked))
        return logits
