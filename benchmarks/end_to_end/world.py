"""Writes a directory mirror and a catalog of a size between the sample's and upstream's.

At scale 1: a multi-token-prediction model of 2.8 GB and a LLaMA of 1.1 GB in float32, a tenth of
code_contests (0.75 GB of parquet), MBPP and HumanEval as the sample has them. Everything grows with
the scale, up to the real sizes. The bytes are synthetic; layouts, names and schemas are upstream's.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.checkpoints import generate
from benchmarks.codecontests.generator import PROBLEMS, write_shards
from wmtp_assets.catalog.reader import load_catalog
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.layouts import expected_shapes
from wmtp_assets.checkpoints.safetensors_file import TensorSpec, header_bytes, in_file_order
from wmtp_assets.sample import write_sample
from wmtp_assets.storage.digests import sha256_file

MTP_BYTES, LLAMA_BYTES = 2_790_000_000, 1_100_000_000
CODE_CONTESTS = 0.1  # of upstream's train split
CONTESTS_BYTES = 7.7e9  # of that split's shards
MTP, LLAMA = "facebook/multi-token-prediction", "princeton-nlp/Sheared-LLaMA-2.7B"
CONTESTS = "deepmind/code_contests"
_SEEDS = {"train": 2026, "valid": 7, "test": 11}


def write_world(folder: Path, scale: float, tokenizer: Path) -> tuple[Path, Path]:
    """The mirror and the catalog below `folder`; `tokenizer` is LLaMA's SentencePiece model."""
    mirror = folder / "hub"
    write_sample(folder / "sample")
    for repository in ("google-research-datasets/mbpp", "openai/openai_humaneval"):
        place = mirror / "datasets" / repository
        shutil.copytree(folder / "sample" / "datasets" / repository, place)
    params = generate.mtp_params(MTP_BYTES * scale)
    config = generate.llama_config(generate.mtp_params(LLAMA_BYTES * scale))
    _write_models(mirror / "models", params, config, tokenizer)
    shards = _write_contests(mirror / "datasets" / CONTESTS / "data", scale)
    catalog = _catalog(params, config, shards, tokenizer)
    path = folder / "catalog.yaml"
    path.write_text(yaml.safe_dump(catalog, sort_keys=False))
    load_catalog(str(path))
    return mirror, path


def bytes_needed(scale: float) -> float:
    """Bytes that the mirror, the storage and what is written for a while take on the disk."""
    shards = CODE_CONTESTS * scale * CONTESTS_BYTES
    fetched = (MTP_BYTES + LLAMA_BYTES) * scale + shards
    # The mirror, its copy, weights at half the size twice (a conversion is measured again), and
    # rows that take up to three times their shards, twice (a build is measured again).
    return 2 * fetched + (MTP_BYTES + LLAMA_BYTES) * scale + 3.6 * shards + 0.4e9


def write_weights(path: Path, size: float) -> Mapping[str, object]:
    """A multi-token-prediction model in float16 of about `size` bytes as one safetensors file, for
    execution alone; returns its params."""
    params = generate.mtp_params(2 * size)
    shapes = expected_shapes("meta-mtp", params)
    specs = in_file_order([TensorSpec(n, DType.FLOAT16, shape) for n, shape in shapes.items()])
    values = np.random.default_rng(7).standard_normal(1 << 22, dtype=np.float32)
    block = (values * np.float32(0.02)).astype(np.float16).view(np.uint8).data
    with path.open("wb") as file:
        file.write(header_bytes(specs))
        for spec in specs:
            for begin in range(0, spec.nbytes, len(block)):
                file.write(block[: spec.nbytes - begin])
    return params


def _write_models(
    models: Path, params: dict[str, object], config: dict[str, object], tokenizer: Path
) -> None:
    mtp, llama = models / MTP, models / LLAMA
    (mtp / "7B_1T_4").mkdir(parents=True)
    (mtp / "7B_1T_4" / "params.json").write_text(json.dumps(params))
    generate.write_checkpoint("meta-mtp", params, mtp / "7B_1T_4" / "consolidated.pth")
    llama.mkdir(parents=True)
    generate.write_shards(config, llama)
    for model in (mtp, llama):
        shutil.copy(tokenizer, model / "tokenizer.model")


def _write_contests(data: Path, scale: float) -> int:
    """All three splits under upstream's names; how many train shards there are."""
    count = 0
    for split, seed in _SEEDS.items():
        problems = CODE_CONTESTS * scale if split == "train" else 30 / PROBLEMS
        written = write_shards(data / split, problems, seed)
        for number, shard in enumerate(written):
            shard.rename(data / f"{split}-{number:05d}-of-{len(written):05d}-0a1b2c3d.parquet")
        (data / split).rmdir()
        if split == "train":
            count = len(written)
    return count


def _catalog(
    params: Mapping[str, object], config: Mapping[str, object], shards: int, tokenizer: Path
) -> dict[str, Any]:
    """The sample's catalog with these models and this code_contests in it."""
    sample: dict[str, Any] = load_catalog("sample").model_dump(mode="json", exclude_none=True)
    sample |= {"name": "benchmark", "hub": "huggingface"}
    sample["tokenizer"]["vocab_size"] = 32000
    models = sample["models"]
    del models["starling-rm-7b"]
    for name, layout, sizes in (
        ("meta-llama-mtp", "meta-mtp", params),
        ("ref-sheared-llama-2.7b", "llama", config),
    ):
        model = models[name]
        model["expected"] = _expected(layout, sizes)
        model.pop("shard_bytes", None)
        for file in [*model["files"]["weights"], *_others(model["files"])]:
            file.pop("sha256", None)
        model["files"]["tokenizer"]["sha256"] = sha256_file(tokenizer)
    heads = int(str(params["n_future_tokens"]))
    width, layers = min(512, int(str(params["dim"])), int(str(config["hidden_size"]))), 4
    for name, layout, sizes in (
        ("micro-mtp", "meta-mtp", params),
        ("micro-ref", "llama", config),
    ):
        models[name] |= {"layers": layers, "dim": width, "ffn": 3 * width}
        models[name]["expected"] = _expected(layout, _micro(layout, sizes, width, layers, heads))
    contests = sample["datasets"]["codecontests"]["splits"]
    contests["train"] = {
        "files": [{"path": f"data/train-*-of-{shards:05d}-*.parquet", "count": shards}]
    }
    for split in ("valid", "test"):
        contests[split] = {"files": [f"data/{split}-*.parquet"]}
    for dataset in sample["datasets"].values():
        dataset["upstream"]["revision"] = "main"
    for model in models.values():
        if "upstream" in model:
            model["upstream"]["revision"] = "main"
    return sample


def _others(files: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [files[name] for name in ("config", "index", "tokenizer") if name in files]


def _micro(
    layout: str, sizes: Mapping[str, object], width: int, layers: int, heads: int
) -> dict[str, object]:
    """The config of a slice of `width` and `layers`, whose feed-forward is 3 x width."""
    if layout == "llama":
        head = int(str(sizes["hidden_size"])) // int(str(sizes["num_attention_heads"]))
        return {
            **sizes,
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": width // head,
            "num_key_value_heads": width // head,
        }
    head = int(str(sizes["dim"])) // int(str(sizes["n_heads"]))
    return {
        **sizes,
        "dim": width,
        "n_layers": layers,
        "n_future_tokens": heads,
        "n_heads": width // head,
        "n_kv_heads": width // head,
        "multiple_of": 3 * width,
    }


def _expected(layout: Any, config: Mapping[str, object]) -> dict[str, int]:
    shapes = expected_shapes(layout, config)
    return {"parameters": sum(map(math.prod, shapes.values())), "tensors": len(shapes)}
