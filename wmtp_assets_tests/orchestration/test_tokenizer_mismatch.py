"""A model whose tokenizer is not its own is never published; with the right one the gate opens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import Catalog
from wmtp_assets.cli import main
from wmtp_assets.sample.tokenizer import VOCABULARY, tokenizer_model
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.orchestration.tiny import VARIABLES, catalog_text, contract, empty

NAME = "ref-sheared-llama-2.7b"


def with_another_piece() -> bytes:
    piece = b"\x0a\x06zzzzzz" + b"\x15\x00\x00\x7f\xc3" + b"\x18\x01"  # text, score, normal
    return tokenizer_model() + b"\x0a" + bytes([len(piece)]) + piece


def with_swapped_ids() -> bytes:
    """<s> is piece 2 and </s> piece 1."""
    model = tokenizer_model()
    begin, end = (b"\x0a" + bytes([len(text)]) + text for text in (b"<s>", b"</s>"))
    at = model.index(begin) - 2  # a message begins with its field's number and its length
    sizes = [len(each) + 2 + 5 + 2 for each in (begin, end)]
    one, other = model[at : at + sizes[0]], model[at + sizes[0] : at + sum(sizes)]
    assert begin in one
    assert end in other
    return model[:at] + other + one + model[at + sum(sizes) :]


def edition(project: Project, folder: Path, tokenizer: bytes, pieces: int, commit: str) -> Catalog:
    """Makes the mirror hold the model with this tokenizer, as of `commit`; its catalog."""
    model = project.catalog.models[NAME]
    repo = f"models/{model.upstream.repository}"
    mirror = folder / repo
    if not mirror.exists():
        shutil.copytree(Path(str(project.hub_spec)) / repo, mirror)
    (mirror / "tokenizer.model").write_bytes(tokenizer)
    lock = json.loads((Path(str(project.hub_spec)) / "assets.lock").read_bytes())
    lock["repos"] = {repo: lock["repos"][repo]}
    lock["repos"][repo]["commit"] = commit
    lock["repos"][repo]["files"]["tokenizer.model"] |= {
        "size": len(tokenizer),
        "sha256": sha256_file(mirror / "tokenizer.model"),
    }
    (folder / "assets.lock").write_text(json.dumps(lock), encoding="utf-8")
    value: dict[str, Any] = project.catalog.model_dump(mode="json", by_alias=True)
    entry = value["models"][NAME]
    entry["upstream"]["revision"] = commit
    del entry["files"]["tokenizer"]["sha256"]
    value |= {"models": {NAME: entry}, "datasets": {}, "commits_only": False}
    value["tokenizer"] = {"from_model": NAME, "vocab_size": pieces}
    return Catalog.model_validate(value)


@pytest.mark.slow
def test_a_model_is_not_published_with_a_tokenizer_that_is_not_its_own(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub = tmp_path / "hub"
    right = edition(project, hub, tokenizer_model(), VOCABULARY, "0" * 40)
    world = empty(tmp_path / "world", right, hub)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.folder)

    def materialized(tokenizer: Callable[[], bytes], pieces: int, commit: str) -> tuple[int, str]:
        catalog = edition(project, hub, tokenizer(), pieces, commit)
        world.catalog.write_text(catalog_text(catalog), encoding="utf-8")
        status = main(["materialize", "--json"])
        return status, json.dumps(json.loads(capsys.readouterr().out)["failures"])

    size = f"the embedding has {VOCABULARY} rows, the tokenizer {VOCABULARY + 1} pieces"
    ids = "the config's bos_token_id is 1, the tokenizer's 2"
    status, failures = materialized(with_another_piece, VOCABULARY + 1, "1" * 40)
    assert (status, size in failures, contract(world)) == (1, True, {}), failures
    assert not world.opens()
    status, failures = materialized(tokenizer_model, VOCABULARY, "2" * 40)
    assert (status, failures, world.opens()) == (0, "[]", True)
    published = contract(world)
    assert f"models_v2/{NAME}/tokenizer/tokenizer.model" in published
    status, failures = materialized(with_swapped_ids, VOCABULARY, "3" * 40)
    assert (status, ids in failures, contract(world)) == (1, True, published), failures
