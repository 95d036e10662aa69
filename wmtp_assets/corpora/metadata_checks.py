"""The checks of the contract's metadata file, computed from the lines it describes."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from wmtp_assets.corpora.file_set import json_object
from wmtp_assets.corpora.metadata import MetadataText
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.corpora.scanned_rows import LINES_OWN, LineFacts
from wmtp_assets.findings import AS_EXPECTED, Finding, Outcome, check, is_computed, lazy

_BATCH = 8192
_REST = 1 << 20  # bytes
_SHORT = 256  # bytes of a line's end that is remembered
_SHOWN = 5
_AGAIN = "Materialize the metadata again."
_SPLIT_AGAIN = "Materialize the split again."


class MetadataFile:
    """A metadata file of a split, and the lines of the split that it describes.

    `facts` gives what is known of the lines because they were all just read (None: they are read).
    """

    compared: Any
    """The file, read once, beside what the lines require; `sha256` is its digest."""

    def __init__(
        self,
        path: Path,
        jsonl: Callable[[], Path],
        facts: Callable[[], LineFacts | None] = lambda: None,
    ) -> None:
        self.path = path
        self._jsonl, self._facts = jsonl, facts

    @lazy
    def jsonl(self) -> Path:
        """The lines."""
        return self._jsonl()

    @property
    def digest(self) -> str | None:
        """SHA-256 of the file; None as long as nothing has read it."""
        return str(self.compared.sha256) if is_computed(self, "compared") else None


@dataclass(frozen=True)
class _Document:
    """A metadata file beside its lines: whether it is, byte for byte, what they give, its SHA-256,
    and the statistics and different entries of the lines."""

    same: bool
    sha256: str
    stats: dict[str, object]
    entries: list[dict[str, object]]


class StoredMetadata(MetadataFile):
    """The first phase's metadata file of a split."""

    @lazy
    def compared(self) -> _Document:
        """The file, read once, beside what the lines require."""
        known = self._facts()
        text = MetadataText()
        wanted = _text_of_lines(text, self.jsonl) if known is None else _text_of(text, known)
        with self.path.open("rb", buffering=_REST) as document:
            same, digest = _read_beside(document, wanted)
        return _Document(same, digest, text.stats(), text.entries_seen())

    @property
    def stats(self) -> dict[str, object]:
        """The statistics of the lines."""
        return self.compared.stats

    @lazy
    def parsed(self) -> dict[str, Any] | None:
        """The document, where it is not, byte for byte, what the lines give."""
        return None if self.compared.same else json_object(self.path)

    @property
    def outline(self) -> dict[str, Any]:
        """The document, with equal entries once where it is what the lines give: millions of rows
        have few different ones."""
        if self.parsed is not None:
            return self.parsed
        return {"metadata": self.compared.entries, "stats": self.stats}


def check_metadata(metadata: Path, jsonl: Path) -> list[Finding]:
    """The checks of the contract's metadata file of `jsonl`. Of one that cannot be read that is the
    only finding."""
    stored = StoredMetadata(metadata, lambda: jsonl)
    try:
        return [one.of(stored) for one in METADATA_CHECKS]
    except (OSError, ValueError, KeyError) as error:
        name, hint = metadata_matches_lines.name, _AGAIN
        return [Finding(name, False, "an entry per line", str(error), str(metadata), hint=hint)]


@check("Entry i describes line i of the JSONL, for every i.")
def metadata_matches_lines(stored: StoredMetadata) -> Outcome:
    parsed = stored.parsed
    differences = [] if parsed is None else _differences(parsed, stored.jsonl)
    hint = _AGAIN
    if not differences and (described := _unlike_described(stored)):
        differences, hint = [described], _SPLIT_AGAIN
    return Outcome(
        passed=not differences,
        expected="entry i describes line i, for every i",
        found="as expected" if not differences else differences[0],
        where=str(stored.path),
        hint=hint,
        details={"first_failures": differences},
    )


def _unlike_described(stored: StoredMetadata) -> str:
    """What the row index says of the metadata file otherwise than it is; readers go by it."""
    index = RowIndex(stored.jsonl.with_name(f"{stored.jsonl.stem}.index.parquet"))
    file = {"sha256": stored.compared.sha256, "bytes": stored.path.stat().st_size}
    described = index.facts.get("metadata")
    return "" if described == file else f"the row index describes another file: {described}"


@check("Its statistics agree with the lines.")
def metadata_stats_add_up(stored: StoredMetadata) -> Outcome:
    stats = stored.stats if stored.parsed is None else stored.parsed.get("stats")
    passed = stats == stored.stats
    found = stats if isinstance(stats, dict) else {"stats": stats}
    names = sorted(found.keys() | stored.stats.keys())
    wrong = [name for name in names if found.get(name) != stored.stats.get(name)]
    return Outcome(
        passed,
        expected=LINES_OWN if passed else {name: stored.stats.get(name) for name in wrong},
        found=AS_EXPECTED if passed else {name: found.get(name) for name in wrong},
        where=str(stored.path),
        hint=_AGAIN,
    )


METADATA_CHECKS = (metadata_matches_lines, metadata_stats_add_up)


def _line_facts(jsonl: Path) -> Iterator[list[tuple[bool | None, int | None]]]:
    """(is_correct, difficulty) of every line, in batches, from the lines' ends alone."""
    # Few ends differ, but for those that hold tests, which are long.
    known: dict[bytes, tuple[bool | None, int | None]] = {}
    with jsonl.open("rb", buffering=1 << 20) as file:
        while lines := list(itertools.islice(file, _BATCH)):
            facts = []
            for line in lines:
                # Quotes within JSON text are escaped, so neither mark can be part of a text.
                at = line.rfind(b', "metadata": {')
                first = line.rfind(b', "is_correct": ', max(0, at - 64))
                end = line[(first if 0 <= first < at or at < 0 else at) + 2 :]
                fact = known.get(end)
                if fact is None:
                    value = json.loads(b"{" + end)
                    fact = value.get("is_correct"), value["metadata"].get("difficulty")
                    if len(end) <= _SHORT:
                        if len(known) >= _BATCH:
                            known.clear()
                        known[end] = fact
                facts.append(fact)
            yield facts


def _text_of_lines(text: MetadataText, jsonl: Path) -> Iterator[bytes]:
    """The metadata file that the lines require, piece by piece."""
    yield from map(text.of, _line_facts(jsonl))
    yield text.end()


def _text_of(text: MetadataText, facts: LineFacts) -> Iterator[bytes]:
    """The same, of lines that were read already."""
    for first in range(0, facts.is_correct.size, _BATCH):
        some = slice(first, first + _BATCH)
        yield text.of_arrays(facts.is_correct[some], facts.difficulty[some])
    yield text.end()


def _read_beside(document: BinaryIO, wanted: Iterable[bytes]) -> tuple[bool, str]:
    """Whether `document` holds these bytes and no more, and its SHA-256."""
    digest = hashlib.sha256()
    same = True
    for piece in wanted:
        found = document.read(len(piece)) if same else b""
        digest.update(found)
        same = same and found == piece
    while rest := document.read(_REST):
        digest.update(rest)
        same = False
    return same, digest.hexdigest()


def _differences(parsed: Mapping[str, Any], jsonl: Path) -> list[str]:
    """The first few entries of a metadata document that are not what their lines say."""
    entries = parsed.get("metadata", [])
    found: list[str] = []
    place = 0
    for facts in _line_facts(jsonl):
        for is_correct, difficulty in facts:
            wanted = {"is_correct": is_correct, "difficulty": difficulty}
            wanted = {name: value for name, value in wanted.items() if value is not None}
            entry = entries[place] if place < len(entries) else "no entry"
            if entry != wanted and len(found) < _SHOWN:
                found.append(f"entry {place}: expected {wanted}, found {entry}")
            place += 1
    if place != len(entries) and len(found) < _SHOWN:
        found.append(f"{len(entries):,} entries for {place:,} lines")
    return found or ["the same entries, in another layout than json.dump(indent=2)"]
