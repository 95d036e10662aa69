"""The checks of evaluation and tests files: their form, and that they are what the source has.

A small source is compared whole, with values that are made the plain way: one dictionary per
problem. Of a large one every problem's name is compared, and the tests of some problems, drawn at
random in each run; making all of it again and comparing digests is `check_made_again`.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, Final

from wmtp_assets.corpora.columns import Integer
from wmtp_assets.corpora.evaluation import SIDES, EvaluationSource
from wmtp_assets.corpora.evaluation_files import Written
from wmtp_assets.corpora.evaluation_source import EvaluatedSplit, PlainProblems
from wmtp_assets.corpora.tests_file import ProblemTestsFile
from wmtp_assets.findings import AS_EXPECTED, Check, Finding, Outcome, check, lazy

_SHOWN = 5
_AGAIN = "Materialize it again."
_BLOCK: Final = 1 << 20


class StoredEvaluation:
    """{split}_eval.jsonl, and what it was made from."""

    def __init__(
        self, path: Path, made_from: Callable[[], EvaluatedSplit], seed: int | None = None
    ) -> None:
        self.path = path
        self._made_from = made_from
        self.seed = secrets.randbits(48) if seed is None else seed

    @lazy
    def made_from(self) -> EvaluatedSplit:
        """The source."""
        return self._made_from()

    @lazy
    def scan(self) -> _ScannedLines:
        """What one pass over the lines finds."""
        return _ScannedLines(self.path, self.made_from.source)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many problems, and tests of each sort."""
        return self.scan.counts

    @property
    def sha256(self) -> str:
        """Of the file, as the pass found it."""
        return self.scan.sha256


class _ScannedLines:
    """The names of an evaluation file's problems, its counts, digest, and faults of its form."""

    def __init__(self, path: Path, source: EvaluationSource) -> None:
        self.names: list[object] = []
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter(dict.fromkeys(("problems", *source.tests), 0))
        digest = hashlib.sha256()
        with path.open("rb") as file:
            for number, line in enumerate(file):
                digest.update(line)
                self.counts["problems"] += 1
                fault = self._line(line, source)
                if fault and len(self.faults) < _SHOWN:
                    self.faults.append(f"line {number}: {fault}")
        self.sha256 = digest.hexdigest()

    def _line(self, line: bytes, source: EvaluationSource) -> str:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            self.names.append(None)
            return f"not JSON: {error}"
        fields = ["task_id", "instruction", "input", "metadata"]
        self.names.append(record.get("task_id") if isinstance(record, dict) else None)
        if not isinstance(record, dict) or list(record) != fields:
            return f"fields other than {', '.join(fields)}"
        metadata = record["metadata"]
        known = [*source.facts, *source.tests]
        if not isinstance(metadata, dict) or list(metadata) != known:
            return f"metadata with fields other than {', '.join(known)}"
        texts = [record["task_id"], record["instruction"]]
        if not all(isinstance(text, str) for text in texts) or record["input"] != "":
            return "a task_id or instruction that is not a string, or an input that is not empty"
        for name, kind in source.facts.items():
            value = metadata[name]
            numbers = [value] if isinstance(kind, Integer) else list((value or {}).values())
            if not all(type(number) is int for number in numbers):
                return f"metadata.{name} is {value!r:.80}"
        for sort in source.tests:
            fault = sides_fault(metadata[sort])
            if fault:
                return f"metadata.{sort}: {fault}"
            self.counts[sort] += len(metadata[sort]["input"])
        if line != (json.dumps(record, ensure_ascii=False) + "\n").encode(errors="replace"):
            return "bytes other than those that json.dumps writes for it"
        return ""


def sides_fault(value: object) -> str:
    """What is wrong with the form of the tests of a sort; empty where nothing is."""
    if not isinstance(value, dict) or list(value) != list(SIDES):
        return "not an object of input and output"
    lists = list(value.values())
    if not all(isinstance(each, list) and set(map(type, each)) <= {str} for each in lists):
        return "not lists of strings"
    sizes = [len(each) for each in lists]
    return "" if sizes[0] == sizes[1] else f"{sizes[0]} inputs and {sizes[1]} outputs"


@check(
    "Every line has the fields and types of an evaluation file, and exactly the text "
    "that this package writes."
)
def evaluation_form(stored: StoredEvaluation) -> Outcome:
    faults = stored.scan.faults
    return Outcome(
        not faults,
        "a line per problem: task_id, instruction, an empty input, and metadata with the source's "
        "facts and tests",
        "; ".join(faults) or AS_EXPECTED,
        str(stored.path),
        hint=_AGAIN if faults else "",
    )


@check(
    "Every problem of the source is there, in the source's order, under the name that "
    "its rows have."
)
def evaluation_problems(stored: StoredEvaluation) -> Outcome:
    return _names_compared(stored.path, stored.made_from, stored.scan.names)


@check(
    "Statements, facts and tests agree with upstream's shards: all of a small "
    "source, a sample of a large one.",
    apart=True,
)
def evaluation_equals_source(stored: StoredEvaluation) -> Finding | Outcome:
    def records_of(wanted: Sequence[int] | None) -> Iterator[object]:
        chosen = None if wanted is None else set(wanted)
        with stored.path.open("rb") as lines:
            for number, line in enumerate(lines):
                if chosen is None or number in chosen:
                    yield json.loads(line)

    return _compared(stored.path, stored.made_from, stored.seed, records_of, lambda record: record)


EVALUATION_CHECKS: Final[Sequence[Check[StoredEvaluation]]] = (
    evaluation_form,
    evaluation_problems,
    evaluation_equals_source,
)


class StoredTests:
    """{split}_tests.json with {split}_tests.parquet beside it, and what they were made from."""

    def __init__(
        self, path: Path, made_from: Callable[[], EvaluatedSplit], seed: int | None = None
    ) -> None:
        self.path = path
        self.parquet = path.with_suffix(".parquet")
        self._made_from = made_from
        self.seed = secrets.randbits(48) if seed is None else seed

    @lazy
    def made_from(self) -> EvaluatedSplit:
        """The source."""
        return self._made_from()

    @lazy
    def tests(self) -> ProblemTestsFile:
        """The Parquet file."""
        return ProblemTestsFile(self.parquet)

    @lazy
    def scan(self) -> _ScannedTests:
        """What one pass over both files finds."""
        return _ScannedTests(self.path, self.tests)


class _ScannedTests:
    """A tests file beside its Parquet file: counts, digest, and where they differ."""

    def __init__(self, path: Path, tests: ProblemTestsFile) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(("problems", *tests.sorts), 0))
        self.faults: list[str] = []
        self.size = 0
        self._digest = hashlib.sha256()
        with path.open("rb", buffering=_BLOCK) as file:
            opening = "{"
            for name in tests:
                value = tests[name]
                self._count(name, value, tests.sorts)
                member = f"{opening}{_text(name)}: {_text(value)}"
                self._expect(file, member.encode(), f"of {name!r:.100}")
                opening = ", "
            self._expect(file, b"}" if len(tests) else b"{}", "at the end")
            while rest := file.read(_BLOCK):
                self._read(rest)
                self._note("more than the Parquet file has")
        self.sha256 = self._digest.hexdigest()

    def _count(self, name: str, value: Mapping[str, Any], sorts: Sequence[str]) -> None:
        self.counts["problems"] += 1
        for sort in sorts:
            self.counts[sort] += len(value[sort]["input"])
            if fault := sides_fault(value[sort]):
                self._note(f"{sort} of {name!r:.100}: {fault}")

    def _expect(self, file: BinaryIO, wanted: bytes, where: str) -> None:
        found = file.read(len(wanted))
        self._read(found)
        if found != wanted:
            self._note(f"other bytes {where}")

    def _read(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)

    def _note(self, what: str) -> None:
        if len(self.faults) < _SHOWN and what not in self.faults:
            self.faults.append(what)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@check(
    "Both files have the same problems and tests, and the JSON is exactly the text that "
    "this package writes."
)
def parquet_equals_json(stored: StoredTests) -> Outcome:
    scan, facts = stored.scan, stored.tests.facts
    stated = {"sha256": scan.sha256, "bytes": scan.size}
    faults = list(scan.faults)
    if facts.get("json") != stated:
        faults.append("the Parquet file names another JSON file")
    counts = facts.get("counts")
    known = {name: counts.get(name) for name in scan.counts} if isinstance(counts, dict) else None
    if stored.tests.column_of_names() != list(stored.tests):
        faults.append("the Parquet file's footer has other names than its rows")
    if known != scan.counts:
        faults.append(f"the Parquet file states {counts!r:.200}")
    return Outcome(
        not faults,
        "the same tests of the same problems, twice",
        "; ".join(faults) or AS_EXPECTED,
        str(stored.path),
        hint=_AGAIN if faults else "",
        details=dict(scan.counts),
    )


@check(
    "Every problem of the source is there, in the source's order, under the name that "
    "its rows have."
)
def tests_problems(stored: StoredTests) -> Outcome:
    return _names_compared(stored.parquet, stored.made_from, list(stored.tests))


@check(
    "The tests agree with upstream's shards: all of a small source, a sample of a large one.",
    apart=True,
)
def tests_equal_source(stored: StoredTests) -> Outcome:
    def values(wanted: Sequence[int] | None) -> Iterator[object]:
        names = list(stored.tests)
        for ordinal in range(len(names)) if wanted is None else wanted:
            yield stored.tests[names[ordinal]] if ordinal < len(names) else None

    def expected(record: Mapping[str, Any]) -> object:
        tests = {sort: record["metadata"][sort] for sort in stored.made_from.source.tests}
        return {"task_name": record["task_id"], **tests}

    return _compared(stored.parquet, stored.made_from, stored.seed, values, expected)


TESTS_CHECKS: Final[Sequence[Check[StoredTests]]] = (
    parquet_equals_json,
    tests_problems,
    tests_equal_source,
)


def _names_compared(path: Path, made_from: EvaluatedSplit, found: Sequence[object]) -> Outcome:
    wanted = PlainProblems(made_from).names
    pairs = zip_longest(wanted, found)
    wrong = next(((at, *pair) for at, pair in enumerate(pairs) if pair[0] != pair[1]), None)
    return Outcome(
        wrong is None,
        f"the {len(wanted):,} problems of the source, in its order"
        if wrong is None
        else f"{len(wanted):,} problems, and {wrong[1]!r:.100} as number {wrong[0]}",
        AS_EXPECTED if wrong is None else f"{len(found):,}, and there {wrong[2]!r:.100}",
        str(path),
        hint=_AGAIN if wrong else "",
    )


def _compared(
    path: Path,
    made_from: EvaluatedSplit,
    seed: int,
    stored: Callable[[Sequence[int] | None], Iterator[object]],
    expected: Callable[[Mapping[str, Any]], object],
) -> Outcome:
    """What is stored of all problems, or of a sample that `seed` draws, beside the source's."""
    plain = PlainProblems(made_from)
    wanted = None if made_from.is_small else plain.sample(random.Random(seed))  # noqa: S311
    drawn = "" if wanted is None else f" (drawn with seed {seed})"
    different: list[str] = []
    compared = 0
    for pair, value in zip_longest(plain.problems(wanted), stored(wanted)):
        if pair is None:
            different.append("more problems than the source has")
            break
        compared += 1
        ordinal, record = pair
        if expected(record) != value:
            different.append(
                f"problem {ordinal} ({record['task_id']!r:.100}){_where(record, value)}"
            )
        if len(different) >= _SHOWN:
            break
    how = "all of them" if wanted is None else f"a sample of {len(plain.names):,}{drawn}"
    return Outcome(
        not different,
        "what upstream's shards have of each problem",
        "; ".join(different) + drawn if different else f"{compared:,} problems ({how}) as there",
        str(path),
        hint=_AGAIN if different else "",
        details={"seed": seed, "problems": compared},
    )


def _where(record: Mapping[str, Any], value: object) -> str:
    """Which part of a problem is another."""
    if not isinstance(value, dict):
        return ": missing"
    of_source = {**record, **record["metadata"]}
    there = {**value, **(value.get("metadata") or {})}
    names = [name for name in there if name in of_source and there[name] != of_source[name]]
    return f": other {', '.join(name for name in names if name != 'metadata') or 'fields'}"


def check_made_again(
    path: Path, made_from: EvaluatedSplit, write: Callable[..., Written]
) -> Finding:
    """Make the file at `path` again from its source by `write`, digested and written nowhere, and
    compare. That the Parquet file beside tests has the same ones is `parquet_equals_json`."""
    made = write(made_from.source, made_from.shards, None, made_from.split)
    with path.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == made.files[path.name]
    return Finding(
        "equals_its_source",
        same,
        "what the source gives when it is made again",
        "the same bytes" if same else f"{path.name} is not what the source gives",
        str(path),
        hint="" if same else _AGAIN,
    )
