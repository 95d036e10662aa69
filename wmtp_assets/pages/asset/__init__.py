"""What an asset's page says of an artifact: facts and pictures first, then numbers, then files.

    values        what a page is made of
    rows          splits, their metadata and schemas
    quality       what is found out about rows
    checkpoints   checkpoints, certificates and shards
    documents     fetched files, documents and the tokenizer

Everything comes from what its maker or its checks have computed: the receipt, the statistics, the
certificate, the header, the row index. Of rows a few lines are read, of tensors none. The table of
kinds names the function that gives a kind's page. How values look on Dagster's pages is decided in
`orchestration/presentation.py`; the report shows the same facts from the same functions (`facts`,
`charts_of_rows`).
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from pathlib import PurePosixPath
from pkgutil import resolve_name
from typing import Final

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.own_files import own_files
from wmtp_assets.errors import WmtpError, printable
from wmtp_assets.findings import short_digests
from wmtp_assets.pages.asset.values import WORD_BESIDE, Cell, Facts, Table, narrow
from wmtp_assets.pages.text import below, plain, size
from wmtp_assets.storage.receipts import Receipt

SHOWN_FILES: Final = 20
_LOG = logging.getLogger(__name__)
_NOT_SHOWN = "Only showing it failed: whether the files are sound, its checks say."


def asset_facts(project: Project, receipt: Receipt, log: logging.Logger = _LOG) -> Facts:
    """What the artifact is, in the version that `receipt` describes: pictures first.

    A page must not make a run fail: where it cannot be made, that is all that it says, and `log`
    gets a warning, and the traceback at level DEBUG.
    """
    artifact = project.artifacts[receipt.artifact]
    folder = project.store.versions.home(receipt.artifact) / receipt.version
    try:
        found: Facts = resolve_name(kind_of(artifact).page)(project, artifact, folder, receipt)
        return found
    except Exception as error:  # damaged bytes may raise any error
        what = error.what() if isinstance(error, WmtpError) else f"{type(error).__name__}: {error}"
        log.warning("%s cannot be shown on its page: %s", artifact.name, printable(what))
        log.debug("%s", traceback.format_exc())
        said = narrow(here(project, what).rstrip(". "), 400)
        return {"not shown": f"{said}. {_NOT_SHOWN}"}


def here(project: Project, text: str) -> str:
    """A text with paths relative to the storage, and digests of twelve digits."""
    return short_digests(below(project.store.root, text))


def file_facts(project: Project, receipt: Receipt) -> Facts:
    """How much every artifact is, how fast it was made, and its files: where, and which."""
    artifact = project.artifacts[receipt.artifact]
    files = own_files(project.store, artifact, receipt)
    total = sum(one.size for one in files.values())
    several = len(files) > 1  # of a single file, the size is said already
    rows: list[Mapping[str, Cell]] = [
        {
            "file": narrow(name, 120, WORD_BESIDE),
            f"SHA-256{', size' * several}": f"{one.sha256[:12]} {size(one.size) * several}".strip(),
        }
        for name, one in list(files.items())[:SHOWN_FILES]
    ]
    left = len(files) - len(rows)
    # The names of files come below; Dagster does not break a line behind a slash.
    folder = f"versions/{artifact.name}"
    if artifact.links:
        folder = str(PurePosixPath(next(iter(artifact.links))).parent)
    elif artifact.is_fetched:
        folder = f"upstream/{plain(str(receipt.facts.get('folder', '')))}"
    seconds = receipt.facts.get("seconds") if artifact.is_fetched else receipt.seconds
    moved = receipt.facts.get("fetched_bytes") if artifact.is_fetched else receipt.size
    speed: Facts = {}
    if isinstance(seconds, int | float) and isinstance(moved, int) and seconds > 0 and moved:
        speed["bytes_per_s"] = round(moved / seconds)
    return {
        "size_bytes": total,
        **speed,
        "seconds": float(receipt.seconds),
        "folder": folder,
        "digest": receipt.digest[:12],
        "files": Table(rows),
        **({"more_files": left} if left else {}),
    }
