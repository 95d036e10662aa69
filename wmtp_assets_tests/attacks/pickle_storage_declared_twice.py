"""Declares one storage as float32 and as bfloat16."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    items = {"a": tensor(), "b": tensor(elements=12, shape=(12,), storage="BFloat16Storage")}
    return Attack([archive(folder, state(items))], "storage of b is declared in two ways")
