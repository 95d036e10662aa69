"""The lines of Python that load a published model, as cards and the report show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wmtp_assets.checkpoints.layout import Network

# Three lines each, with {folder} for the model's folder below the storage.
LOADING: Final[Mapping[Network, str]] = {
    "mtp": """\
from wmtp_assets.mtp.loading import from_pretrained
model = from_pretrained("storage/{folder}")
logits = model(tokens)  # (batch, seq, n_future_tokens, vocab)""",
    "causal_lm": """\
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("storage/{folder}/hf")
model = AutoModelForCausalLM.from_pretrained("storage/{folder}/hf", dtype="auto")""",
    "reward_model": """\
from pathlib import Path; from wmtp_assets.mtp.reward import load_reward_model
folder = Path("storage/{folder}")
model = load_reward_model(folder / "safetensors/model.safetensors", folder / "configs/config.json")\
""",
}
