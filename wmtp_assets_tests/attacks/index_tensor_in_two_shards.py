"""Ships one tensor in two shards, with different bytes."""

from __future__ import annotations

import json
from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, places, state, tensor, two_shards


def build(folder: Path) -> Attack:
    files = two_shards(folder)
    again = {"0": bytes(24)}
    archive(folder, state({"a": tensor(), "b": tensor()}), again, name=files[1].name)
    path = folder / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": places()}))
    return Attack(files, "tensor a is in two files", path)
