"""A storage of either generation, read as training code reads it: with plain libraries, by paths.

Nothing here imports the package but what makes the storage: loaders, verifiers and samplers are
written anew, from the contract's shapes. The network is Meta's arithmetic with complex rotary
factors, which shares no line with ours.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from wmtp_assets.artifacts import Project
from wmtp_assets.mtp.loading import from_pretrained

MODELS = ("meta-llama-mtp", "ref-sheared-llama-2.7b", "starling-rm-7b", "micro-mtp", "micro-ref")
MTP = ("meta-llama-mtp", "micro-mtp")
SPLITS = [
    ("codecontests", "train"),
    ("codecontests", "valid"),
    ("codecontests", "test"),
    ("mbpp", "train"),
    ("mbpp", "validation"),
    ("mbpp", "test"),
    ("humaneval", "test"),
]


class Storage(NamedTuple):
    """Where a generation of training code looks."""

    root: Path
    models: Path
    datasets: Path
    generation: str


def current_of(project: Project) -> Storage:
    root = project.storage
    return Storage(root, root / "models", root / "datasets", "current")


@pytest.fixture(scope="module", params=["phase1 alone", "phase1 of both", "current"])
def storage(request: pytest.FixtureRequest) -> Storage:
    alone = request.param == "phase1 alone"
    project: Project = request.getfixturevalue("project" if alone else "current_project")
    if request.param == "current":
        return current_of(project)
    root = project.storage
    return Storage(root, root / "models_v2", root / "datasets_v2", "phase1")


# Models.


class Sizes(NamedTuple):
    """What a network is built by."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    future: int
    vocab: int
    ffn: int
    eps: float
    theta: float


def from_params(folder: Path) -> Sizes:
    """The sizes that params.json gives; the feed-forward width by LLaMA's rule."""
    p = json.loads((folder / "configs" / "params.json").read_bytes())
    ffn = int(p["ffn_dim_multiplier"] * int(8 * p["dim"] / 3))
    ffn = p["multiple_of"] * -(-ffn // p["multiple_of"])
    kv_heads = p["n_heads"] if p.get("n_kv_heads") is None else p["n_kv_heads"]
    return Sizes(
        p["dim"],
        p["n_layers"],
        p["n_heads"],
        kv_heads,
        p["n_future_tokens"],
        p["vocab_size"],
        ffn,
        p["norm_eps"],
        p["rope_theta"],
    )


def from_words_of_transformers(c: Mapping[str, Any]) -> Sizes:
    """The sizes as config.json and meta_adapter.yaml name them."""
    return Sizes(
        c["hidden_size"],
        c["num_hidden_layers"],
        c["num_attention_heads"],
        c["num_key_value_heads"],
        c["n_future_tokens"],
        c["vocab_size"],
        c["intermediate_size"],
        c["rms_norm_eps"],
        c["rope_theta"],
    )


class Norm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.empty(size)), eps

    def forward(self, x: Tensor) -> Tensor:
        scale = (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return x * scale * self.weight


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=False)


def turned(x: Tensor, factors: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(pairs * factors[None, :, None]).flatten(-2)


class Attention(nn.Module):
    def __init__(self, s: Sizes) -> None:
        super().__init__()
        key_width = s.dim // s.heads * s.kv_heads
        self.wq, self.wo = linear(s.dim, s.dim), linear(s.dim, s.dim)
        self.wk, self.wv = linear(s.dim, key_width), linear(s.dim, key_width)


class FeedForward(nn.Module):
    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.w1, self.w3 = linear(s.dim, s.ffn), linear(s.dim, s.ffn)
        self.w2 = linear(s.ffn, s.dim)


class Block(nn.Module):
    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.size = s.dim // s.heads
        self.repeats = s.heads // s.kv_heads
        self.attention, self.feed_forward = Attention(s), FeedForward(s)
        self.attention_norm, self.ffn_norm = Norm(s.dim, s.eps), Norm(s.dim, s.eps)

    def forward(self, x: Tensor, factors: Tensor) -> Tensor:
        a, f = self.attention, self.feed_forward
        y = self.attention_norm(x)
        q, k, v = (w(y).unflatten(-1, (-1, self.size)) for w in (a.wq, a.wk, a.wv))
        q, k = turned(q, factors), turned(k, factors)
        k, v = (t.repeat_interleave(self.repeats, 2) for t in (k, v))
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / self.size**0.5
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -torch.inf).softmax(-1)
        x = x + a.wo(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))
        y = self.ffn_norm(x)
        out: Tensor = x + f.w2(nn.functional.silu(f.w1(y)) * f.w3(y))
        return out


class Network(nn.Module):
    """Logits (batch, seq, n_future_tokens, vocab) of token ids (batch, seq), in float32."""

    def __init__(self, s: Sizes) -> None:
        super().__init__()
        self.s = s
        self.tok_embeddings = nn.Embedding(s.vocab, s.dim)
        self.layers = nn.ModuleList(Block(s) for _ in range(s.layers - s.future + 1))
        self.extra_heads = nn.ModuleList(Block(s) for _ in range(s.future - 1))
        self.norm, self.output = Norm(s.dim, s.eps), linear(s.dim, s.vocab)

    def forward(self, tokens: Tensor) -> Tensor:
        size = self.s.dim // self.s.heads
        frequencies = 1 / self.s.theta ** (torch.arange(0, size, 2) / size)
        angles = torch.outer(torch.arange(tokens.shape[1]).float(), frequencies)
        factors = torch.polar(torch.ones_like(angles), angles)
        x = self.tok_embeddings(tokens)
        for block in self.layers[:-1]:
            x = block(x, factors)
        heads = [self.layers[-1], *self.extra_heads]
        stacked = torch.stack([head(x, factors) for head in heads], 2)
        logits: Tensor = self.output(self.norm(stacked))
        return logits


@pytest.mark.parametrize("document", ["params.json", "config.json", "meta_adapter.yaml"])
@pytest.mark.parametrize("model", MTP)
def test_a_network_built_by_one_document_alone_loads_strictly_and_gives_our_logits(
    storage: Storage, model: str, document: str
) -> None:
    folder = storage.models / model
    if document == "params.json":
        sizes = from_params(folder)
    else:
        text = (folder / "configs" / document).read_text(encoding="utf-8")
        is_yaml = document.endswith(".yaml")
        sizes = from_words_of_transformers(yaml.safe_load(text) if is_yaml else json.loads(text))
    tensors = load_file(folder / "safetensors" / "model.safetensors")
    network = Network(sizes)
    network.load_state_dict({name: one.float() for name, one in tensors.items()}, strict=True)
    tokens = torch.arange(24)[None] * 37 % sizes.vocab
    with torch.no_grad():
        expected = from_pretrained(folder, dtype=torch.float32)(tokens)
        torch.testing.assert_close(network(tokens), expected, rtol=1e-4, atol=2e-5)


def stated_config(folder: Path) -> dict[str, Any]:
    """What a verifier reads: meta_adapter.yaml where it exists, else config.json."""
    adapter = folder / "configs" / "meta_adapter.yaml"
    if adapter.exists():
        value: dict[str, Any] = yaml.safe_load(adapter.read_bytes())
        return value
    config: dict[str, Any] = json.loads((folder / "configs" / "config.json").read_bytes())
    return config


@pytest.mark.parametrize("model", MODELS)
def test_a_verifier_finds_every_file_and_every_number_right(storage: Storage, model: str) -> None:
    folder = storage.models / model
    weights = folder / "safetensors" / "model.safetensors"
    stated = (folder / "safetensors" / "SHA256SUMS").read_text().strip().split()[0]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == stated
    metadata = json.loads((folder / "metadata.json").read_bytes())
    assert metadata["sha256"]["checkpoint"] == stated
    tensors = load_file(weights)
    assert metadata["n_params"] == sum(tensor.numel() for tensor in tensors.values())
    assert {str(t.dtype) for t in tensors.values()} == {f"torch.{metadata['dtype']}"}
    assert (folder / "tokenizer" / "tokenizer.model").is_file()

    config = stated_config(folder)
    embedding = next(t for name, t in tensors.items() if "embed" in name)
    assert (config["vocab_size"], config["hidden_size"]) == tuple(embedding.shape)
    blocks = {n.rpartition("layers.")[2].split(".")[0] for n in tensors if "layers." in n}
    heads = {name.split(".")[1] for name in tensors if name.startswith("extra_heads.")}
    assert config["num_hidden_layers"] == len(blocks) + len(heads)
    assert config.get("n_future_tokens", 1) == 1 + len(heads)
    wide = next(t for n, t in tensors.items() if n.endswith(("w1.weight", "gate_proj.weight")))
    assert wide.shape == (config["intermediate_size"], config["hidden_size"])
    assert config["max_position_embeddings"] >= 2048
    assert config["rope_theta"] == 10000.0
    for name in ("model_name", "cache") if model in MTP else ():
        assert name in config
    if model == "micro-mtp":
        assert config["target_device"] == "mps"


def test_the_reference_model_and_the_tokenizer_load_from_their_folders(storage: Storage) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    names = ["micro-ref", "micro-reference"] if storage.generation == "current" else ["micro-ref"]
    tokens = torch.tensor([[1, 15, 20, 7]])
    found = []
    for name in names:
        model: Any = AutoModelForCausalLM.from_pretrained(storage.models / name / "hf")
        assert AutoTokenizer.from_pretrained(storage.models / name / "tokenizer")("a")["input_ids"]
        with torch.no_grad():
            found.append(model.float()(tokens).logits)
    assert all(torch.equal(found[0], one) for one in found)


# Rows.


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def problem_of(task: str) -> str:
    for ending in ("_correct_", "_incorrect_"):
        name, found, number = task.rpartition(ending)
        if found and number.isdecimal():
            return name
    return task


@pytest.mark.parametrize(("dataset", "split"), SPLITS)
def test_entry_i_describes_line_i_and_the_statistics_are_those_of_the_lines(
    storage: Storage, dataset: str, split: str
) -> None:
    folder = storage.datasets / dataset / "processed"
    rows = lines_of(folder / f"{split}.jsonl")
    document = json.loads((folder / f"{split}_metadata.json").read_bytes())
    entries, stats = document["metadata"], document["stats"]
    assert len(entries) == len(rows) == stats["total"] > 0
    for entry, row in zip(entries, rows, strict=True):
        assert entry.get("is_correct") == row.get("is_correct")
        assert entry.get("difficulty") == row["metadata"].get("difficulty")
        assert "difficulty" not in entry or entry["difficulty"] is not None
        if storage.generation == "current" and "is_correct" in row:
            assert entry["problem_id"] == problem_of(row["task_id"])
    if dataset == "codecontests":
        assert stats["correct"] == sum(row["is_correct"] for row in rows)
        assert stats["correct"] + stats["incorrect"] == stats["total"]


def test_pairs_are_drawn_from_the_map_and_only_their_lines_are_read(
    current_project: Project,
) -> None:
    """As the sampler of today: unique pairs of one problem, then those lines of the JSONL alone."""
    from sentencepiece import SentencePieceProcessor

    storage = current_of(current_project)
    processor = SentencePieceProcessor(
        model_file=str(storage.models / "meta-llama-mtp" / "tokenizer" / "tokenizer.model")
    )
    folder = storage.datasets / "codecontests" / "processed"
    document = json.loads((folder / "train_metadata.json").read_bytes())
    problems, stats = document["problem_index_map"], document["stats"]
    both = {
        p: one for p, one in problems.items() if one["correct_indices"] and one["incorrect_indices"]
    }
    assert (stats["n_problems"], stats["n_valid_problems"]) == (len(problems), len(both))
    assert stats["total_possible_pairs"] == sum(
        len(one["correct_indices"]) * len(one["incorrect_indices"]) for one in both.values()
    )
    assert [stats[f"has_{key}"] for key in ("is_correct", "difficulty", "problem_id")] == [True] * 3
    draw = random.Random(7)
    pairs = {
        name: (draw.choice(one["correct_indices"]), draw.choice(one["incorrect_indices"]))
        for name, one in both.items()
    }
    wanted = {line: name for name, pair in pairs.items() for line in pair}
    with (folder / "train.jsonl").open(encoding="utf-8") as file:
        read = {n: json.loads(line) for n, line in enumerate(file) if n in wanted}
    for name, (good, bad) in pairs.items():
        assert (read[good]["is_correct"], read[bad]["is_correct"]) == (True, False)
        for key, line in (("correct", good), ("incorrect", bad)):
            row, one = read[line], problems[name]
            assert problem_of(row["task_id"]) == name
            assert row["input"] == ""
            assert one["difficulty"] == row["metadata"]["difficulty"]
            place = one[f"{key}_indices"].index(line)
            counted = len(processor.encode(row["output"]))
            assert one[f"{key}_token_lengths"][place] == counted


def test_tests_of_evaluation_sets_are_in_metadata(storage: Storage) -> None:
    for row in lines_of(storage.datasets / "mbpp" / "processed" / "test.jsonl"):
        metadata = row["metadata"]
        assert metadata.keys() >= {"source", "test_list", "test_setup_code", "has_tests"}
        assert metadata["test_list"], row["task_id"]
        assert all(isinstance(test, str) for test in metadata["test_list"])
        named = "The function should be named '" in row["instruction"]
        assert named is (storage.generation == "current")
    for row in lines_of(storage.datasets / "humaneval" / "processed" / "test.jsonl"):
        metadata = row["metadata"]
        assert metadata.keys() >= {"source", "test", "entry_point", "has_tests"}
        assert f"def {metadata['entry_point']}" in row["instruction"] + row["output"]
        assert "def check" in metadata["test"]


def test_inputs_are_those_of_the_generation(storage: Storage) -> None:
    rows = lines_of(storage.datasets / "codecontests" / "processed" / "train.jsonl")
    assert any(row["input"] for row in rows) is (storage.generation == "phase1")
    assert all(row["instruction"] and row["output"] for row in rows)


@pytest.mark.parametrize(("split", "most"), [("train", 100), ("valid", 32), ("test", 32)])
def test_small_copies_are_where_both_generations_look(
    storage: Storage, split: str, most: int
) -> None:
    folder = storage.root / "datasets_local_small" / "codecontests_small"
    rows = lines_of(folder / f"{split}_small.jsonl")
    document = json.loads((folder / f"{split}_small_metadata.json").read_bytes())
    assert len(rows) == len(document["metadata"]) == most
    # Where both generations are served, these are the current one's rows, which have no input.
    is_both = (storage.root / "datasets").exists()
    origin = storage.root / ("datasets" if is_both else "datasets_v2")
    path = origin / "codecontests" / "processed" / f"{split}.jsonl"
    assert {row["task_id"] for row in rows} <= {row["task_id"] for row in lines_of(path)}
    assert any(row["input"] for row in rows) is not is_both
