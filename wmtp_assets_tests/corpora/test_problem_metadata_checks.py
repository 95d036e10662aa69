"""The checks of the current contract's metadata: each names the first thing that is not so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmtp_assets.corpora import problem_metadata_checks as checks
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.problem_metadata import write_problem_metadata
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.corpora.row_scan import scan_rows
from wmtp_assets.findings import Finding
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.corpora.conftest import build_codecontests, problem, write_shard

ENTRIES, MAP, STATS = (one.name for one in checks.PROBLEM_METADATA_CHECKS)
Document = dict[str, Any]


@pytest.fixture(scope="module")
def split(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> SplitReport:
    """A split of 4 problems and 14 lines, its metadata beside it."""
    folder = tmp_path_factory.mktemp("split")
    rows = [
        problem(name="x_correct_1", solutions=[(3, "1"), (3, "2 2")]),
        problem(name="é", difficulty=12, incorrect_solutions=[(3, f"{at}") for at in range(5)]),
        problem(name="only right", incorrect_solutions=[]),
        problem(name="many", solutions=[(3, f"{at} {at}") for at in range(3)]),
    ]
    shard = write_shard(folder / "shard.parquet", rows)
    report = build_codecontests([shard], small_tokenizer, folder, "train")
    write_problem_metadata(report.index, report.jsonl, folder / "train_metadata.json")
    assert report.rows == 14
    return report


def found_of(split: SplitReport, data: bytes, path: Path) -> dict[str, Finding]:
    path.write_bytes(data)
    return {one.name: one for one in checks.check_problem_metadata(path, split.jsonl)}


def test_what_was_written_passes_whether_the_lines_were_read_before_or_not(
    split: SplitReport, tmp_path: Path
) -> None:
    metadata = split.jsonl.with_name("train_metadata.json")
    found = checks.check_problem_metadata(metadata, split.jsonl)
    assert [(one.name, one.found) for one in found if not one.passed] == []
    scanned = scan_rows(split.jsonl, FORMATS["code-contests"], RowIndex(split.index)).facts
    assert scanned is not None
    stored = checks.StoredProblemMetadata(metadata, lambda: split.jsonl, lambda: scanned)
    assert stored.compared.differences == {}
    assert stored.compared.sha256 == sha256_file(metadata)
    read = checks.line_facts(split.jsonl)
    assert read.is_correct.tolist() == scanned.is_correct.tolist()
    assert read.difficulty.tolist() == scanned.difficulty.tolist()
    assert list(read.problems) == list(scanned.problems)


def entry(at: int, **values: Any) -> Callable[[Document], object]:
    return lambda document: document["metadata"][at].update(values)


def in_map(name: str, key: str, change: Callable[[list[int]], object]) -> Callable[[Document], Any]:
    return lambda document: change(document["problem_index_map"][name][key])


def moved(document: Document) -> None:
    """The first problem comes last."""
    problems = document["problem_index_map"]
    name = next(iter(problems))
    problems[name] = problems.pop(name)


def swapped(document: Document) -> None:
    """A line is in the other class."""
    of = document["problem_index_map"]["many"]
    of["correct_indices"][0], of["incorrect_indices"][0] = (
        of["incorrect_indices"][0],
        of["correct_indices"][0],
    )


CHANGES: dict[str, tuple[Callable[[Document], object], set[str], str]] = {
    "a class": (entry(3, is_correct=False), {ENTRIES}, "entry 3: expected {'is_correct': True"),
    "a class as a number": (entry(3, is_correct=1), {ENTRIES}, "found {'is_correct': 1"),
    "a difficulty": (entry(5, difficulty=11), {ENTRIES}, "entry 5"),
    "a problem": (entry(0, problem_id="x"), {ENTRIES}, "entry 0: expected"),
    "the order of keys": (
        lambda document: document["metadata"].__setitem__(
            2, dict(reversed(document["metadata"][2].items()))
        ),
        {ENTRIES},
        "entry 2",
    ),
    "an entry less": (
        lambda document: document["metadata"].pop(),
        {ENTRIES},
        "13 entries in place of 14",
    ),
    "an entry more": (
        lambda document: document["metadata"].append(document["metadata"][-1]),
        {ENTRIES},
        "more entries than the 14",
    ),
    "no entries": (
        lambda document: document["metadata"].clear(),
        {ENTRIES},
        "other text at byte",
    ),
    "an index": (
        in_map("é", "incorrect_indices", lambda lines: lines.__setitem__(1, 13)),
        {MAP},
        "problem 'é': incorrect_indices: expected 5 at 1, found 13 at 1",
    ),
    "an index less": (
        in_map("é", "incorrect_indices", lambda lines: lines.pop()),
        {MAP},
        "expected 8 at 4, found 4 elements",
    ),
    "a length": (
        in_map("many", "correct_token_lengths", lambda lengths: lengths.__setitem__(2, 1)),
        {MAP},
        "problem 'many': correct_token_lengths: expected",
    ),
    "a line of the other class": (swapped, {MAP}, "problem 'many': correct_indices"),
    "the difficulty of a problem": (
        lambda document: document["problem_index_map"]["é"].update(difficulty=None),
        {MAP},
        "problem 'é': difficulty: expected 12, found None",
    ),
    "a field more": (
        lambda document: document["problem_index_map"]["é"].update(tag=1),
        {MAP},
        "problem 'é': tag: expected 'nothing', found 1",
    ),
    "a problem less": (
        lambda document: document["problem_index_map"].pop("many"),
        {MAP},
        "3 problems in place of 4",
    ),
    "a problem more": (
        lambda document: document["problem_index_map"].update(more={}),
        {MAP},
        "more problems than the 4",
    ),
    "another order": (moved, {MAP}, "problem 'x_correct_1': found é in its place"),
    "a name": (
        lambda document: document["problem_index_map"].update(
            y=document["problem_index_map"].pop("many")
        ),
        {MAP},
        "problem 'many': found y in its place",
    ),
    "pairs": (
        lambda document: document["stats"].update(total_possible_pairs=1),
        {STATS},
        "total_possible_pairs",
    ),
    "a flag": (
        lambda document: document["stats"].update(has_difficulty=1),
        {STATS},
        "has_difficulty",
    ),
    "no statistics": (
        lambda document: document.pop("stats"),
        {MAP, STATS},
        "otherwise written",
    ),
    "an entry and a length": (
        lambda document: (
            entry(13, is_correct=True)(document),
            in_map("é", "correct_token_lengths", lambda lengths: lengths.append(1))(document),
        ),
        {ENTRIES, MAP},
        "entry 13",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_difference_is_named_by_the_part_that_has_it(
    what: str, split: SplitReport, tmp_path: Path
) -> None:
    change, failed, said = CHANGES[what]
    document = json.loads(split.jsonl.with_name("train_metadata.json").read_bytes())
    change(document)
    data = json.dumps(document, indent=2).encode()
    found = found_of(split, data, tmp_path / "train_metadata.json")
    assert {name for name, one in found.items() if not one.passed} == failed
    first = next(one for one in found.values() if not one.passed)
    assert said in str(first.found), first.found
    assert first.where == str(tmp_path / "train_metadata.json")
    assert first.blocking


BYTES: dict[str, tuple[Callable[[bytes], bytes], set[str], str]] = {
    "other spaces": (
        lambda data: json.dumps(json.loads(data)).encode(),
        {ENTRIES, MAP, STATS},
        "not where json.dump(indent=2) puts it",
    ),
    "another layout of an entry": (
        lambda data: data.replace(
            b'"is_correct": true,\n      "diff', b'"is_correct": true, "diff'
        ),
        {ENTRIES},
        "otherwise written than json.dump(indent=2)",
    ),
    "non-ASCII as it is": (
        lambda data: data.replace(b"\\u00e9", "é".encode()),
        {ENTRIES, MAP},
        "entry 3",
    ),
    "something before": (lambda data: b"[\n" + data, {ENTRIES}, "2 bytes before it"),
    "something behind": (lambda data: data + b"\n", {STATS}, "more after its end"),
    "something between": (
        lambda data: data.replace(
            b'],\n  "problem_index_map"',
            b'],\n  "problem_index_map"'[:2] + b' \n  "problem_index_map"',
        ),
        {MAP},
        "1 bytes before it",
    ),
    "cut in the map": (
        lambda data: data[: data.index(b'"many": {') + 30],
        {MAP, STATS},
        "problem 'many': no JSON object",
    ),
    "cut in an entry": (lambda data: data[:40], {ENTRIES, MAP, STATS}, "entry 0: expected"),
    "nothing": (lambda data: b"", {ENTRIES, MAP, STATS}, "not where"),
}


@pytest.mark.parametrize("what", BYTES)
@pytest.mark.parametrize("block", [37, 1 << 20])
def test_other_bytes_are_told_whatever_is_read_at_once(
    what: str, block: int, split: SplitReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_BLOCK", block)
    change, failed, said = BYTES[what]
    data = change(split.jsonl.with_name("train_metadata.json").read_bytes())
    found = found_of(split, data, tmp_path / "train_metadata.json")
    assert {name for name, one in found.items() if not one.passed} == failed
    first = next(one for one in found.values() if not one.passed)
    assert said in str(first.found), first.found


def test_every_flipped_byte_is_found(split: SplitReport, tmp_path: Path) -> None:
    data = split.jsonl.with_name("train_metadata.json").read_bytes()
    path = tmp_path / "train_metadata.json"
    rows = checks.StoredProblemMetadata(path, lambda: split.jsonl).rows
    for at in np.random.default_rng(5).integers(0, len(data), 300).tolist():
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        stored = checks.StoredProblemMetadata(path, lambda: split.jsonl)
        stored.__dict__["rows"] = rows
        assert stored.compared.differences, at


def test_an_index_of_other_lines_is_refused(
    split: SplitReport, small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem()])
    other = build_codecontests([shard], small_tokenizer, tmp_path, "train")
    other.jsonl.write_bytes(split.jsonl.read_bytes())
    with pytest.raises(CorpusError, match=r"14 rows.*Found: 2"):
        checks.check_problem_metadata(split.jsonl.with_name("train_metadata.json"), other.jsonl)


# Readers.


def test_a_corpus_takes_either_generations_metadata(split: SplitReport) -> None:
    corpus = Corpus(split.jsonl)
    corpus.verify()
    document = json.loads(corpus.metadata.read_bytes())
    assert dict(corpus.problem_index_map) == document["problem_index_map"]


@pytest.mark.parametrize(
    ("old", "new", "at_once"),
    [
        (b'"total": 14', b'"total": 15', True),
        (b'"stats"', b'"state"', True),
        (b'"difficulty": 12', b'"difficulty": 11', False),
        (b"        8\n", b"        9\n", False),
    ],
)
def test_a_corpus_refuses_metadata_of_other_rows(
    old: bytes, new: bytes, at_once: bool, split: SplitReport, tmp_path: Path
) -> None:
    for path in (split.jsonl, split.index, split.jsonl.with_name("train_metadata.json")):
        data = path.read_bytes()
        if path.name == "train_metadata.json":
            assert old in data
            data = data.replace(old, new, 1)
        (tmp_path / path.name).write_bytes(data)
    if at_once:
        with pytest.raises(CorpusError, match=r"train_metadata|no statistics"):
            Corpus(tmp_path / "train.jsonl")
        return
    corpus = Corpus(tmp_path / "train.jsonl")
    with pytest.raises(CorpusError, match="not what its rows give"):
        corpus.verify()
