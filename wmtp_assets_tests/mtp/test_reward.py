"""Starling's reward head: loads the llama-reward layout strictly, and scores text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaModel

from wmtp_assets.mtp.errors import LoadError
from wmtp_assets.mtp.reward import load_reward_model

CONFIG = LlamaConfig(
    hidden_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    intermediate_size=176,
    vocab_size=512,
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """model.safetensors in bfloat16 and config.json, as the llama-reward layout has them."""
    torch.manual_seed(0)
    tensors = {name: t.detach().bfloat16() for name, t in LlamaModel(CONFIG).state_dict().items()}
    tensors["v_head.weight"] = torch.randn(1, 64).bfloat16()
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    return tmp_path / "model.safetensors", tmp_path / "config.json"


def test_a_prompts_score_is_the_heads_value_at_its_last_token(files: tuple[Path, Path]) -> None:
    model = load_reward_model(*files, dtype=torch.float32)
    prompt = torch.arange(2, 22)[None]
    tensors = {name: tensor.float() for name, tensor in load_file(files[0]).items()}
    head = tensors.pop("v_head.weight")
    trunk = LlamaModel(CONFIG).eval()
    trunk.load_state_dict(tensors, strict=True)
    with torch.no_grad():
        expected = trunk(prompt).last_hidden_state[0, -1] @ head[0]
    torch.testing.assert_close(model.score(prompt, torch.tensor([20]))[0], expected)


def test_padding_never_changes_a_score(files: tuple[Path, Path]) -> None:
    model = load_reward_model(*files, dtype=torch.float32)
    texts = [torch.arange(2, 22), torch.arange(100, 107)]
    alone = [model.score(text[None], torch.tensor([len(text)]))[0] for text in texts]
    lengths = torch.tensor([len(text) for text in texts])
    for pad in (0, 2, 511):
        batch = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=pad)
        torch.testing.assert_close(model.score(batch, lengths), torch.stack(alone))


def test_weights_stay_bfloat16_and_scores_are_float32(files: tuple[Path, Path]) -> None:
    model = load_reward_model(*files)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.score(torch.arange(9)[None], torch.tensor([9])).dtype == torch.float32


@pytest.mark.parametrize("name", ["v_head.weight", "norm.weight", "layers.3.mlp.up_proj.weight"])
def test_a_missing_tensor_is_named(files: tuple[Path, Path], name: str) -> None:
    tensors = load_file(files[0])
    del tensors[name]
    save_file(tensors, files[0])
    with pytest.raises(LoadError, match=f"1 missing: .*{name}"):
        load_reward_model(*files)


def test_a_second_trunk_is_refused(files: tuple[Path, Path]) -> None:
    tensors = load_file(files[0])
    tensors["transformer.norm.weight"] = tensors["norm.weight"].clone()
    save_file(tensors, files[0])
    with pytest.raises(LoadError, match=r"1 unexpected: .*transformer\.norm\.weight"):
        load_reward_model(*files)


def test_a_bias_is_loaded_and_added_to_every_score(files: tuple[Path, Path]) -> None:
    prompt, length = torch.arange(2, 22)[None], torch.tensor([20])
    without = load_reward_model(*files, dtype=torch.float32).score(prompt, length)
    tensors = load_file(files[0])
    tensors["v_head.bias"] = torch.tensor([-3.25], dtype=torch.bfloat16)
    save_file(tensors, files[0])
    model = load_reward_model(*files, dtype=torch.float32)
    torch.testing.assert_close(model.score(prompt, length), without - 3.25)


def test_a_bias_of_another_shape_is_refused(files: tuple[Path, Path]) -> None:
    tensors = load_file(files[0])
    tensors["v_head.bias"] = torch.zeros(2, dtype=torch.bfloat16)
    save_file(tensors, files[0])
    with pytest.raises(LoadError, match=r"1 of another shape: v_head\.bias"):
        load_reward_model(*files)
