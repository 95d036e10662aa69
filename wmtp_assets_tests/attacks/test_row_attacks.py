"""Every attack on rows of this folder: refused by name, read right, or caught by a proof."""

from __future__ import annotations

import importlib
import json
import resource
from pathlib import Path

import pytest

from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets_tests.attacks.rows import SOUND_ROWS, RowAttack
from wmtp_assets_tests.corpora.conftest import CODE_CONTESTS, build_codecontests, train_tokenizer

ATTACKS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem.startswith(("parquet_", "text_"))
)
MEGABYTE = 1 << 10  # of ru_maxrss, which counts kilobytes on Linux


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tokenizer(tmp_path_factory.mktemp("tokenizer"), "small")


@pytest.mark.parametrize("name", ATTACKS)
def test_rows_are_refused_by_name_or_read_right_or_caught(
    name: str, tokenizer: Path, tmp_path: Path
) -> None:
    module = importlib.import_module(f"wmtp_assets_tests.attacks.{name}")
    attack = module.build(tmp_path)
    assert isinstance(attack, RowAttack)
    out = tmp_path / "out"
    out.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if attack.refused is not None:
        with pytest.raises(CorpusError) as refusal:
            build_codecontests([attack.shard], tokenizer, out, "train")
        assert attack.refused in str(refusal.value)
        assert str(attack.shard) in str(refusal.value)
        assert list(out.iterdir()) == []
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * MEGABYTE
        return
    report = build_codecontests([attack.shard], tokenizer, out, "train")
    lines = report.jsonl.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == report.rows == attack.rows
    rows = [json.loads(line) for line in lines]
    # One line each for every reader, whatever it takes for the end of a line.
    assert len(report.jsonl.read_bytes().decode("utf-8").splitlines()) == len(rows)
    for field, value in (attack.fields or {}).items():
        assert rows[0][field] == value
    expected = SOUND_ROWS if attack.caught else attack.rows
    findings = check_split(
        report.jsonl,
        CODE_CONTESTS,
        tokenizer=tokenizer,
        rows=expected,
        correct=expected // 2 if expected > 1 else 1,
        incorrect=expected // 2 if expected > 1 else 0,
    )
    wrong = {
        finding.name: finding for finding in findings if finding.blocking and not finding.passed
    }
    assert set(wrong) == ({attack.caught} if attack.caught else set())
    if attack.caught:
        assert str(attack.rows) in str(wrong[attack.caught].found)
