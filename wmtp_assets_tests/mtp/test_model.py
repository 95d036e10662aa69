"""The transformer: equal to transformers' LLaMA, causal, without buffers, in every dtype."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from wmtp_assets.mtp.model import ModelArgs, MTPTransformer, rotary_angles, rotate
from wmtp_assets_tests.mtp.networks import (
    GROUPED,
    MICRO,
    PARAMS,
    as_llama,
    network,
    random_tokens,
)

SHAPES = pytest.mark.parametrize(
    "params",
    [PARAMS, MICRO, GROUPED, {**PARAMS, "rope_theta": 500000.0}],
    ids=["trunk", "micro", "grouped", "theta"],
)


@SHAPES
def test_the_next_token_head_is_the_llama_of_transformers(params: Mapping[str, object]) -> None:
    model = network(params)
    tokens = random_tokens(model)
    with torch.no_grad():
        ours = model(tokens, return_all_heads=False)[:, :, 0]
        theirs = as_llama(model, head=0)(tokens).logits
    assert theirs.std() > 0.1, "logits near zero would agree whatever the network does"
    assert (ours - theirs).abs().max() <= 1e-5


@SHAPES
@pytest.mark.parametrize("head", [1, 2, 3])
def test_every_extra_head_is_the_trunk_with_that_head_as_last_layer(
    params: Mapping[str, object], head: int
) -> None:
    model = network(params)
    tokens = random_tokens(model)
    with torch.no_grad():
        ours = model(tokens)[:, :, head]
        theirs = as_llama(model, head)(tokens).logits
        other = as_llama(model, head=0)(tokens).logits
    assert (ours - theirs).abs().max() <= 1e-5
    assert (ours - other).abs().max() > 0.1, "the heads must not all be the same"


@SHAPES
def test_logits_have_the_shape_of_all_heads_or_of_one(params: Mapping[str, object]) -> None:
    model = network(params)
    tokens = random_tokens(model, batch=3, seq=5)
    assert model(tokens).shape == (3, 5, 4, 512)
    assert model(tokens, return_all_heads=False).shape == (3, 5, 1, 512)


def test_the_next_token_head_alone_gives_the_same_logits_as_among_all() -> None:
    model = network(PARAMS)
    tokens = random_tokens(model)
    alone, among = model(tokens, return_all_heads=False), model(tokens)[:, :, :1]
    torch.testing.assert_close(alone, among)


@SHAPES
@pytest.mark.parametrize("changed", [1, 16, 32])
def test_a_changed_token_never_changes_an_earlier_logit(
    params: Mapping[str, object], changed: int
) -> None:
    model = network(params)
    tokens = random_tokens(model)
    other = tokens.clone()
    other[:, changed] = (other[:, changed] + 1) % 512
    before, after = model(tokens), model(other)
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert not torch.equal(before[:, changed], after[:, changed])


def test_the_trunk_is_what_every_head_sees() -> None:
    model = network(PARAMS)
    tokens = random_tokens(model)
    hidden = model.trunk(tokens)
    assert hidden.shape == (2, 33, 64)
    head = model.extra_heads[1](hidden, model.angles(tokens))
    torch.testing.assert_close(model.output(model.norm(head)), model(tokens)[:, :, 2])


def test_a_micro_model_has_the_embedding_for_a_trunk() -> None:
    model = network(MICRO)
    tokens = random_tokens(model)
    assert len(model.layers) == 1
    assert torch.equal(model.trunk(tokens), model.tok_embeddings(tokens))


def test_the_state_dict_holds_the_checkpoints_names_and_no_buffer() -> None:
    model = network(PARAMS)
    block = [
        *(f"attention.w{letter}.weight" for letter in "qkvo"),
        *(f"feed_forward.w{number}.weight" for number in (1, 2, 3)),
        "attention_norm.weight",
        "ffn_norm.weight",
    ]
    blocks = [f"layers.{i}" for i in range(5)] + [f"extra_heads.{i}" for i in range(3)]
    expected = {f"{name}.{tensor}" for name in blocks for tensor in block}
    expected |= {"tok_embeddings.weight", "norm.weight", "output.weight"}
    assert set(model.state_dict()) == expected
    assert list(model.buffers()) == []


def test_the_published_models_have_the_published_number_of_parameters() -> None:
    published = {**PARAMS, "dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 32}
    published |= {"vocab_size": 32000, "multiple_of": 256}
    micro = {**published, "dim": 512, "n_layers": 4, "n_heads": 4, "n_kv_heads": 4}
    for params, expected in ((published, 6_738_415_616), (micro, 46_404_096)):
        with torch.device("meta"):
            model = MTPTransformer(ModelArgs.from_params(params))
        assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.02), (torch.bfloat16, 0.15)])
def test_half_precision_stays_near_float32(dtype: torch.dtype, tolerance: float) -> None:
    model = network(PARAMS)
    tokens = random_tokens(model)
    with torch.no_grad():
        exact = model(tokens)
        half = model.to(dtype)(tokens)
    assert half.dtype == dtype
    assert (half.float() - exact).abs().max() < tolerance


def test_rotary_angles_are_float32_at_far_positions_whatever_the_weights_are() -> None:
    angles = rotary_angles(4096, 128, 10000.0, torch.device("cpu"))
    exact = torch.outer(
        torch.arange(4096, dtype=torch.float64),
        10000.0 ** (-torch.arange(0, 128, 2, dtype=torch.float64) / 128),
    )
    assert angles.dtype == torch.float32
    assert (angles - exact).abs().max() < 1e-3  # bfloat16 would be off by 16 radians
    x = torch.randn(1, 4096, 2, 128, dtype=torch.bfloat16)
    in_half, in_full = rotate(x, angles), rotate(x.float(), angles)
    assert in_half.dtype == torch.bfloat16
    assert torch.equal(in_half, in_full.bfloat16())


def test_rotation_depends_on_the_distance_of_two_positions_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 64, dtype=torch.float32, generator=generator)
    angles = rotary_angles(40, 64, 10000.0, torch.device("cpu"))
    score = {
        (i, j): (rotate(q, angles[i : i + 1]) * rotate(k, angles[j : j + 1])).sum().item()
        for i, j in ((3, 1), (33, 31), (3, 2))
    }
    assert score[3, 1] == pytest.approx(score[33, 31], abs=1e-4)
    assert score[3, 1] != pytest.approx(score[3, 2], abs=1e-4)


def test_every_parameter_of_every_head_and_of_the_trunk_receives_a_gradient() -> None:
    model = network(PARAMS)
    tokens = random_tokens(model)
    model(tokens).float().logsumexp(-1).sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_an_accelerator_gives_the_same_logits_as_the_cpu(device: str) -> None:
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present[device]:
        pytest.skip(f"no {device} on this machine")
    model = network(PARAMS)
    tokens = random_tokens(model)
    with torch.no_grad():
        expected = model(tokens)
        found = model.to(device)(tokens.to(device)).cpu()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


def test_no_device_is_assumed_anywhere() -> None:
    with torch.device("meta"):
        model = MTPTransformer(ModelArgs.from_params(PARAMS))
        tokens = torch.zeros(2, 3, dtype=torch.int64)
    assert model(tokens).device.type == "meta"
