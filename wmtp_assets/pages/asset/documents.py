"""The pages of what is fetched, of documents, and of kinds that nothing more is known of."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.own_files import own_files
from wmtp_assets.artifacts.types import Document, Tokenizer
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import short_digests
from wmtp_assets.pages.asset.values import SHOWN_FIELDS, Facts, as_text, numbers, says
from wmtp_assets.pages.text import plain, size
from wmtp_assets.storage.receipts import Receipt


def of_fetched(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """Fetched files: the commit, and how fetching went."""
    facts = receipt.facts
    files = own_files(project.store, artifact, receipt)
    fetching = f"{size(int(facts.get('fetched_bytes', 0)))} fetched"
    if resumed := int(facts.get("resumed_from", 0)):
        fetching += f", after {size(resumed)} that an earlier run had fetched"
    if retries := int(facts.get("retries", 0)):
        fetching += f"; interrupted {'once' if retries == 1 else f'{retries} times'}"
    return {
        "commit": short_digests(str(facts.get("revision", ""))),
        "fetching": fetching,
        "file_count": len(files),
        **numbers(receipt, "fetched_bytes", "resumed_from", "retries"),
    }


def of_raw_view(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """The view of fetched files: how many there are; which, the page says of every artifact."""
    return {"file_count": len(receipt.files)}


def of_document(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A document: what it says, field by field."""
    return says(Document(folder, receipt).value()) | numbers(receipt, "parameters", "tensors")


def of_tokenizer(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A tokenizer: its configuration, and how many pieces it has."""
    config = Tokenizer(folder, receipt).read("tokenizer_config.json")
    return says(config) | numbers(receipt, "vocab_size")


def of_stated(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """Of a kind that nothing more is known of: what its maker states, by names that break."""
    return {
        name.replace("_", " "): fact
        if isinstance(fact, int | float) and not isinstance(fact, bool)
        else plain(as_text(fact))
        for name, fact in list(receipt.facts.items())[:SHOWN_FIELDS]
    }
