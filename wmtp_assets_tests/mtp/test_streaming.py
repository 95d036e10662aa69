"""A network that is executed from its file gives what the loaded one gives, and its gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the name that every PyTorch reader knows
from transformers import AutoConfig, AutoModelForCausalLM

from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.tensors import Bytes
from wmtp_assets.mtp import streaming
from wmtp_assets.mtp.model import MTPTransformer
from wmtp_assets.mtp.streaming import Gradient, StreamedWeights, rebuilt_buffers
from wmtp_assets.storage import page_cache
from wmtp_assets_tests.mtp.networks import GROUPED, MICRO, PARAMS, network, random_tokens

TINY: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}


def on_meta(model: MTPTransformer) -> MTPTransformer:
    with torch.device("meta"):
        return MTPTransformer(model.args)


def stored(model: nn.Module, path: Path, dtype: torch.dtype) -> None:
    """The model at `dtype` in a file, and itself holding the very values of the file."""
    model.to(dtype)
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, path)
    model.float()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("params", [PARAMS, MICRO, GROUPED], ids=["trunk", "micro", "grouped"])
def test_logits_are_those_of_the_loaded_network(
    params: dict[str, object], dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network(params)
    stored(model, tmp_path / "model.safetensors", dtype)
    tokens = random_tokens(model)
    monkeypatch.setattr(streaming, "_BLOCK_ELEMENTS", 1000)  # several blocks, the last one shorter
    with StreamedWeights(on_meta(model), read_header(tmp_path / "model.safetensors"), {}) as run:
        found = run.model(tokens)
    torch.testing.assert_close(found, model(tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fits", [True, False], ids=["mapped", "read"])
def test_a_file_is_mapped_where_it_fits_into_memory(
    fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = network(PARAMS), tmp_path / "model.safetensors"
    stored(model, path, torch.float16)
    monkeypatch.setattr(page_cache, "fits", lambda size: fits)
    asked: list[int] = []

    def read_exactly(descriptor: int, offset: int, into: Bytes) -> None:
        asked.append(len(into))
        before(descriptor, offset, into)

    before = streaming.read_exactly
    monkeypatch.setattr(streaming, "read_exactly", read_exactly)
    data, tokens = path.read_bytes(), random_tokens(model)
    with StreamedWeights(on_meta(model), read_header(path), {}) as run:
        run.watch("layers.")
        found = run.model(tokens)
        found.sum().backward()
    torch.testing.assert_close(found, model(tokens), rtol=1e-4, atol=1e-5)
    assert bool(asked) is not fits
    assert path.read_bytes() == data


def test_large_values_are_finite_and_infinite_ones_are_not() -> None:
    largest = torch.full((4, 4), 3e38)
    gradient = Gradient()
    gradient.add(largest)  # whose sum is infinite
    assert gradient.finite
    for value in (float("inf"), float("-inf"), float("nan")):
        gradient = Gradient()
        gradient.add(torch.tensor([value, 1.0, -value]))
        assert not gradient.finite


def test_gradients_are_those_of_the_loaded_network(tmp_path: Path) -> None:
    model = network(PARAMS)
    stored(model, tmp_path / "model.safetensors", torch.float16)
    tokens = random_tokens(model, seq=5)
    targets = torch.arange(2 * 5) % 512
    inputs = model.trunk(tokens).detach().requires_grad_()
    head, angles = model.extra_heads[1], model.angles(tokens)
    F.cross_entropy(
        model.output(model.norm(head(inputs, angles))).flatten(0, 1), targets
    ).backward()

    with StreamedWeights(on_meta(model), read_header(tmp_path / "model.safetensors"), {}) as run:
        lazy: Any = run.model
        run.watch("extra_heads.1.")
        below = lazy.trunk(tokens).detach().requires_grad_()
        logits = lazy.output(lazy.norm(lazy.extra_heads[1](below, angles)))
        F.cross_entropy(logits.flatten(0, 1), targets).backward()
        norm = lazy.extra_heads[1].ffn_norm.weight
    torch.testing.assert_close(below.grad, inputs.grad, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(norm.grad, head.ffn_norm.weight.grad, rtol=1e-3, atol=1e-5)
    watched = run.gradients()
    assert set(watched) == {f"extra_heads.1.{name}" for name, _ in head.named_parameters()}
    assert all(gradient.finite and gradient.nonzero for gradient in watched.values())


def test_a_gradient_that_is_zero_or_not_finite_is_seen(tmp_path: Path) -> None:
    model = network(MICRO)
    with torch.no_grad():
        model.extra_heads[0].feed_forward.w2.weight.zero_()  # so nothing reaches w1 and w3
    stored(model, tmp_path / "model.safetensors", torch.float32)
    with StreamedWeights(on_meta(model), read_header(tmp_path / "model.safetensors"), {}) as run:
        run.watch("extra_heads.0.")
        tokens = random_tokens(model, seq=4)
        run.model(tokens).logsumexp(-1).sum().backward()
        seen = run.gradients()
    assert not seen["extra_heads.0.feed_forward.w1.weight"].nonzero
    assert seen["extra_heads.0.feed_forward.w2.weight"].nonzero


@pytest.mark.parametrize(
    ("model_type", "more"),
    [
        ("llama", {}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0}}),
        ("mistral", {"sliding_window": None}),
        (
            "granite",
            {"embedding_multiplier": 3.0, "logits_scaling": 2.0},
        ),
        ("gemma", {}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3", {}),
        ("smollm3", {"pad_token_id": 0}),
    ],
)
def test_transformers_own_networks_run_from_a_file(
    model_type: str, more: dict[str, Any], tmp_path: Path
) -> None:
    config = AutoConfig.for_model(model_type, **{**TINY, **more})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    names = dict(model.named_parameters())
    tied = {n: "model.embed_tokens.weight" for n in model.state_dict() if n not in names}
    path = tmp_path / "model.safetensors"
    save_file({name: parameter.detach().half() for name, parameter in names.items()}, path)
    model.load_state_dict({n: p.detach().half().float() for n, p in names.items()}, strict=False)
    tokens = torch.arange(24)[None] * 7 % config.vocab_size
    with torch.no_grad():
        expected = model(tokens).logits
        with torch.device("meta"):
            lazy = AutoModelForCausalLM.from_config(config).eval()
        rebuilt_buffers(lazy, config)
        with StreamedWeights(lazy, read_header(path), tied):
            found = lazy(tokens).logits
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
