"""The sample's repositories on the loopback Hub, and a catalog that is pinned to them there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets_tests.hub.world import World

TOKENIZER, EVALSET = "facebook/multi-token-prediction", "openai/openai_humaneval"
KINDS = {TOKENIZER: "model", EVALSET: "dataset"}


def files_of(hub: Path, repository: str) -> dict[str, bytes]:
    """What the directory hub `hub` holds of a repository, by path."""
    folder = hub / f"{KINDS[repository]}s" / repository
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def serve(world: World, hub: Path, gated: Collection[str] = ()) -> dict[str, str]:
    """Put a multi-token-prediction model and an evaluation set on the Hub: their commits."""
    return {
        name: world.commit(kind, name, files_of(hub, name), gated=name in gated)
        for name, kind in KINDS.items()
    }


def write_catalog(path: Path, revisions: Mapping[str, str], **words: object) -> Catalog:
    """One model and one evaluation set of the sample catalog, at `revisions` of the Hub.

    `words` replace fields at the top. The file is like one of a person's own.
    """
    text = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")
    value: dict[str, Any] = yaml.safe_load(text) | {"name": "mine", "hub": "huggingface"} | words
    value["models"] = {"meta-llama-mtp": value["models"]["meta-llama-mtp"]}
    value["datasets"] = {"humaneval": value["datasets"]["humaneval"]}
    for entry in (*value["models"].values(), *value["datasets"].values()):
        upstream = entry["upstream"]
        upstream["revision"] = revisions[upstream["repository"]]
    path.write_text("# mine\n" + yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return load_catalog(path)
