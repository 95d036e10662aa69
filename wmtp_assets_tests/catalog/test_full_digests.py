"""full.yaml carries every digest that is known of upstream's files, row by row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog

META = "facebook/multi-token-prediction"
SHEARED = "princeton-nlp/Sheared-LLaMA-2.7B"
STARLING = "berkeley-nest/Starling-RM-7B-alpha"

#: What the Hub says of the files that are taken and whose digest it shows to everybody (Git LFS).
KNOWN = {
    (META, "tokenizer.model"): "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347",
    # The same file as Meta's.
    (SHEARED, "tokenizer.model"): (
        "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347"
    ),
    (SHEARED, "pytorch_model-00001-of-00002.bin"): (
        "ee766e6759aa2cdd4d3749b25d37b38614c95bfa9cada724a1ba76b04117a9df"
    ),
    (SHEARED, "pytorch_model-00002-of-00002.bin"): (
        "c9fde8a274acfc664a1e726dfd001ce43d86909629f666fd14544fe4d36f4b6d"
    ),
    (STARLING, "pytorch_model.bin"): (
        "e822738b1730aee4bcd4695d25836907dd3b98dff1ac112260d89c2085c0a743"
    ),
}
REVISIONS = {"deepmind/code_contests": "802411c3010cb00d1b05bad57ca77365a3c699d6"}


def test_every_known_digest_is_in_the_full_catalog_beside_its_own_file(tmp_path: Path) -> None:
    wanted = Project(load_catalog("full"), tmp_path).upstream_files()
    carried = {(one.repo.name, file.path): file.sha256 for one in wanted for file in one.files}
    assert {key: carried[key] for key in KNOWN} == KNOWN
    assert {one.repo.name: one.revision for one in wanted}.items() >= REVISIONS.items()


def test_the_table_above_holds_every_digest_of_the_facts_that_the_project_was_given() -> None:
    facts = Path(__file__).parents[3] / "shared" / "upstream.md"
    if not facts.is_file():
        pytest.skip("the sheet of facts about upstream does not lie beside this checkout")
    stated = re.findall(r"\b[0-9a-f]{40,64}\b", facts.read_text(encoding="utf-8"))
    assert set(stated) == {*KNOWN.values(), *REVISIONS.values()}
