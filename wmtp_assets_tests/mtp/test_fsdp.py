"""Sharded over two processes (FSDP, gloo, no GPU needed) training is the same as in one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F  # noqa: N812 - the name that every PyTorch reader knows

from wmtp_assets.mtp.loading import from_pretrained
from wmtp_assets.mtp.model import MTPTransformer
from wmtp_assets_tests.mtp.networks import PARAMS, network, random_tokens, write_directory

STEPS = 3


def train(model: MTPTransformer, tokens: torch.Tensor) -> list[float]:
    """Losses of a few steps of plain SGD: from the second on they depend on the gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(STEPS):
        logits = model(tokens[:, :-4]).flatten(0, 2)
        targets = torch.stack([tokens[:, 1 + k : tokens.shape[1] - 3 + k] for k in range(4)], -1)
        loss = F.cross_entropy(logits, targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_sharded(rank: int, directory: Path) -> None:
    """One of two processes: its half of the batch, its half of every parameter."""
    torch.set_num_threads(1)
    rendezvous = f"file://{directory}/rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    model = from_pretrained(directory)
    for block in (*model.layers, *model.extra_heads):
        fully_shard(block)
    fully_shard(model)
    shard = sum(p.to_local().numel() for p in model.parameters())  # type: ignore[attr-defined] - a DTensor since fully_shard
    half = random_tokens(model, batch=4).chunk(2)[rank]
    losses = torch.tensor(train(model, half))
    dist.all_reduce(losses)
    result = {"losses": (losses / 2).tolist(), "shard": shard}
    (directory / f"rank{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_sharded_processes_train_as_one_does(tmp_path: Path) -> None:
    model = network(PARAMS)
    write_directory(model, PARAMS, tmp_path)
    parameters = sum(p.numel() for p in model.parameters())
    multiprocessing.spawn(train_sharded, args=(tmp_path,), nprocs=2)
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    alone = train(model, random_tokens(model, batch=4))
    for rank in ranks:
        assert rank["losses"] == pytest.approx(alone, rel=1e-5)
    assert sum(rank["shard"] for rank in ranks) == parameters, "nothing may be held twice"
    assert alone[-1] < alone[0]
