"""Whatever a model's documents name, our own loading asks no server and chooses no code."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wmtp_assets.sample.tokenizer import tokenizer_model

LOAD = """
import json, sys
from pathlib import Path
from wmtp_assets.checkpoints.tokenizers import auto_encoder
from wmtp_assets.mtp.checks import check_model

folder = Path(sys.argv[1])
weights, config = folder / "model.safetensors", json.loads((folder / "config.json").read_text())
reward = folder / "reward.safetensors"
found = [*check_model("causal_lm", weights, config), *check_model("reward_model", reward, config)]
ids = auto_encoder(folder)("def f(x):")
print(json.dumps([[one.name, one.passed, str(one.found)] for one in found] + [len(ids)]))
"""
# Each of these makes transformers look for code at the Hub, or would if it were believed.
HOSTILE = {
    "attn_implementation": "someone/attention",
    "_attn_implementation": "someone/attention@main:kernel",
    "_attn_implementation_internal": "someone/attention",
    "experts_implementation": "someone/experts",
    "auto_map": {
        "AutoConfig": "someone/code--configuration.Config",
        "AutoModelForCausalLM": "someone/code--modeling.Model",
    },
    "_name_or_path": "someone/model",
    "custom_pipelines": {"text-generation": {"impl": "someone/code--pipeline.Pipeline"}},
    "trust_remote_code": True,
    "use_kernels": True,
}


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine in the Hub's place: its address, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def parse_request(self) -> bool:
            asked.append(str(self.raw_requestline))
            return False  # and closes the connection

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


@pytest.mark.slow
def test_loading_a_model_with_hostile_documents_asks_no_server(
    tmp_path: Path, hub: tuple[str, list[str]]
) -> None:
    from wmtp_assets.checkpoints.tokenizers import tokenizer_documents
    from wmtp_assets_tests.mtp.networks import PARAMS, as_llama, network

    address, asked = hub
    model = as_llama(network(PARAMS), head=0).half()
    save_file(model.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    trunk = {name.removeprefix("model."): t for name, t in model.state_dict().items()}
    trunk["v_head.weight"] = trunk.pop("lm_head.weight")[:1].clone()
    save_file(trunk, tmp_path / "reward.safetensors", metadata={"format": "pt"})
    (tmp_path / "tokenizer.model").write_bytes(tokenizer_model())
    for name, document in tokenizer_documents(tmp_path / "tokenizer.model").items():
        (tmp_path / name).write_text(json.dumps(document))
    config = {**model.config.to_dict(), "dtype": "float16", "torch_dtype": "float16", **HOSTILE}
    (tmp_path / "config.json").write_text(json.dumps(config))
    online = {key: value for key, value in os.environ.items() if "OFFLINE" not in key}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(tmp_path)],
        env={**online, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked == []
    assert done.returncode == 0, done.stderr[-2000:]
    *found, ids = json.loads(done.stdout.splitlines()[-1])
    assert [one[:2] for one in found] == [["causal_lm_loads", True], ["reward_model_scores", True]]
    assert ids > 0
    assert torch.isfinite(model.lm_head.weight).all()
