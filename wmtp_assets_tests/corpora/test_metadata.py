"""The contract's metadata file, byte for byte as json.dump(indent=2) writes it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import build_codecontests, problem, write_shard


def test_metadata_is_what_json_dump_writes_of_the_lines(
    trap_shards: list[Path], small_tokenizer: Path, tmp_path: Path
) -> None:
    report = build_codecontests(trap_shards, small_tokenizer, tmp_path, "train")
    out = tmp_path / "train_metadata.json"
    written = write_metadata(report.index, out)
    lines = report.jsonl.read_bytes().splitlines(keepends=True)
    assert out.read_bytes() == reference.metadata(lines)
    assert written["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    document = json.loads(out.read_bytes())
    for entry, line in zip(document["metadata"], lines, strict=True):
        row = json.loads(line)
        assert entry == {
            "is_correct": row["is_correct"],
            "difficulty": row["metadata"]["difficulty"],
        }


def test_the_build_already_knows_the_metadatas_digest(
    trap_shards: list[Path], small_tokenizer: Path, tmp_path: Path
) -> None:
    report = build_codecontests(trap_shards, small_tokenizer, tmp_path, "train")
    written = write_metadata(report.index, tmp_path / "train_metadata.json")
    promised = RowIndex(report.index).facts["metadata"]
    assert promised == {"sha256": written["sha256"], "bytes": written["bytes"]}


def test_a_split_without_rows_has_metadata_without_entries(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = write_shard(
        tmp_path / "shard.parquet", [problem(solutions=[], incorrect_solutions=None)]
    )
    report = build_codecontests([shard], small_tokenizer, tmp_path, "valid")
    out = tmp_path / "valid_metadata.json"
    write_metadata(report.index, out)
    assert report.rows == 0
    assert out.read_bytes() == reference.metadata([])


def test_what_is_not_a_row_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no row index"):
        write_metadata(tmp_path / "absent.parquet", tmp_path / "out.json")
    other = write_shard(tmp_path / "other.parquet", [problem()])
    with pytest.raises(CorpusError, match="not a row index"):
        write_metadata(other, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
