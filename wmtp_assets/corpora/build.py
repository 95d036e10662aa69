"""The builds: upstream's shards of one split become its JSONL, row index and statistics."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.formatting import Formatted
from wmtp_assets.corpora.parquet_file import ColumnsError, Shard
from wmtp_assets.corpora.recognition import recognized
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.row_index import SCHEMA
from wmtp_assets.corpora.units import units
from wmtp_assets.corpora.worker_pool import format_in_order
from wmtp_assets.corpora.writer import SplitWriter
from wmtp_assets.progress import following

MAX_TOKENS = 2048
_MOST_TOKENS = (1 << SCHEMA.field("output_tokens").type.bit_width) - 1


def build_split(
    dataset_format: DatasetFormat,
    shards: Sequence[Path],
    tokenizer: Path,
    out: Path,
    split: str,
    max_tokens: int = MAX_TOKENS,
    processes: int | None = None,
    log: Callable[[str], None] | None = None,
    keep_lines: bool = True,
    blocks: Iterable[Formatted] | None = None,
) -> SplitReport:
    """Write {split}.jsonl, {split}.index.parquet and {split}_stats.json into the folder `out`.

    Reads upstream's `shards`, given in upstream's order, as `dataset_format` says, and keeps the
    rows of at most `max_tokens` tokens by the SentencePiece model at `tokenizer`. `processes` None
    uses every core where the split is large enough to pay for starting them; the bytes are the same
    for any number. `log` gets a line about progress every ten seconds. Without `keep_lines` the
    JSONL is digested and counted, but not written. `blocks` are the rows of these shards where
    others have formatted them.

    Raises CorpusError if a shard is not what upstream publishes.
    """
    dataset = dataset_format.label
    if not shards:
        raise CorpusError(
            f"No shards were given for {dataset} {split}",
            expected="at least one parquet file",
            hint="Fetch the dataset first.",
        )
    if not 0 < max_tokens <= _MOST_TOKENS:
        raise CorpusError(
            "max_tokens is out of range",
            expected=f"1 to {_MOST_TOKENS:,}: the row index holds token counts in 16 bits",
            found=max_tokens,
            hint="Correct the dataset's max_tokens in the catalog.",
        )
    try:
        expected = sum(Shard(path, dataset_format.columns).rows for path in shards)
    except ColumnsError as error:
        raise recognized(error, dataset_format, FORMATS.values()) from error
    tokenizer_digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    done = 0
    with (
        SplitWriter(out, dataset, split, keep_lines=keep_lines) as writer,
        following(f"{dataset} {split}", expected, log or _unsaid, "problems") as at,
    ):
        if blocks is None:
            problems = dataset_format.problems(shards)
            blocks = format_in_order(units(problems), tokenizer, max_tokens, processes)
        for block in blocks:
            writer.add(block)
            done += block.funnel["problems"]
            at(done)
        return writer.finish({"max_tokens": max_tokens, "tokenizer_sha256": tokenizer_digest})


def _unsaid(_: str) -> None:
    """Where nobody asked for progress."""
