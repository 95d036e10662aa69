"""A micro model, sliced from a converted checkpoint as the storage's are, can be trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that every PyTorch reader knows

from wmtp_assets.checkpoints.convert import convert
from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.planning import plan_conversion
from wmtp_assets.checkpoints.sentencepiece_tokenizers import open_processor
from wmtp_assets.checkpoints.slicing import slice_model
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.mtp.checks import check_model
from wmtp_assets.mtp.loading import load_mtp
from wmtp_assets.mtp.model import MTPTransformer
from wmtp_assets.sample import write_sample
from wmtp_assets.sample.corpus import CODE, PROSE

MICRO = MicroShape(layers=4, dim=32, ffn=96)
SEQ = 32


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's models folder."""
    root = tmp_path_factory.mktemp("hub")
    write_sample(root)
    return root / "models"


@pytest.fixture(scope="module")
def micro(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """micro-mtp of the sample: its weights, and its params.json."""
    folder = tmp_path_factory.mktemp("micro")
    upstream = hub / "facebook" / "multi-token-prediction" / "7B_1T_4"
    params = json.loads((upstream / "params.json").read_text())
    source = open_source([upstream / "consolidated.pth"])
    convert(plan_conversion(source, "meta-mtp", params, "float16"), folder / "base.safetensors")
    weights = folder / "micro.safetensors"
    sliced = slice_model("meta-mtp", folder / "base.safetensors", params, MICRO, weights)
    (folder / "params.json").write_text(json.dumps(sliced.config))
    return weights, folder / "params.json"


def losses_of(model: MTPTransformer, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of each head, (n_future_tokens,), at the positions all heads have."""
    future = model.args.n_future_tokens
    logits = model(tokens[:, :-future]).float()
    seq = logits.shape[1]
    targets = torch.stack([tokens[:, 1 + k : 1 + k + seq] for k in range(future)], dim=-1)
    every = F.cross_entropy(logits.flatten(0, 2), targets.flatten(), reduction="none")
    return every.view(-1, future).mean(0)


def test_a_few_hundred_steps_on_the_sample_text_lower_the_loss_of_every_head(
    micro: tuple[Path, Path], hub: Path
) -> None:
    tokenizer = open_processor(hub / "facebook" / "multi-token-prediction" / "tokenizer.model")
    text = torch.tensor(tokenizer.encode(PROSE + CODE))
    model = load_mtp(micro[0], json.loads(micro[1].read_text()), dtype=torch.float32)
    assert (len(model.layers), len(model.extra_heads)) == (1, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    history = []
    for _ in range(250):
        starts = torch.randint(len(text) - SEQ, (8,), generator=generator)
        losses = losses_of(model, torch.stack([text[start : start + SEQ] for start in starts]))
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        history.append(losses.detach())
    first, last = torch.stack(history[:5]).mean(0), torch.stack(history[-20:]).mean(0)
    assert (last < 0.7 * first).all(), (first, last)


def test_micro_mtp_loads_strictly_and_its_heads_receive_gradients(
    micro: tuple[Path, Path],
) -> None:
    findings = check_model("mtp", micro[0], json.loads(micro[1].read_text()))
    assert [finding for finding in findings if not finding.passed] == []


def test_micro_ref_loads_with_transformers(hub: Path, tmp_path: Path) -> None:
    upstream = hub / "princeton-nlp" / "Sheared-LLaMA-2.7B"
    config = json.loads((upstream / "config.json").read_text())
    shards = sorted(upstream.glob("pytorch_model-*.bin"))
    source = open_source(shards, upstream / "pytorch_model.bin.index.json")
    base = tmp_path / "base.safetensors"
    convert(plan_conversion(source, "llama", config, "float16"), base)
    sliced = slice_model("llama", base, config, MICRO, tmp_path / "micro.safetensors")
    stated = {**sliced.config, "dtype": "float16"}
    (finding,) = check_model("causal_lm", tmp_path / "micro.safetensors", stated)
    assert finding.passed, finding.found
