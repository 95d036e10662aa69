"""The checks of datasets: splits, small copies, and the first phase's metadata of both."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject
from wmtp_assets.artifacts.identity import identity_of
from wmtp_assets.artifacts.structure import SplitMetadata, structure_fault
from wmtp_assets.artifacts.types import Document, Split, Tokenizer, demand
from wmtp_assets.catalog import Dataset
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.catalog.tokenizers import tokenizer_of
from wmtp_assets.corpora import checks as corpora
from wmtp_assets.corpora.metadata_checks import METADATA_CHECKS, MetadataFile, StoredMetadata
from wmtp_assets.corpora.scanned_rows import (
    TRAINING_DIFFICULTIES,
    ExpectedRows,
    LineFacts,
    ScannedRows,
)
from wmtp_assets.corpora.source_comparison import (
    SplitSource,
    check_rebuilt,
    check_small,
    check_source,
)
from wmtp_assets.findings import Check, Finding, Outcome, check, is_computed, lazy

File = TypeVar("File", bound=MetadataFile)

_CURRENT_DIFFICULTIES = (6, 25)  # of today's training code, both included


class SplitSubject(Subject):
    """A split, or the small copy of one."""

    @property
    def dataset(self) -> Dataset:
        """The catalog's entry."""
        return self.project.catalog.datasets[self.artifact.owner]

    @lazy
    def stored(self) -> corpora.StoredSplit:
        """Its files."""
        return corpora.StoredSplit(
            Split(self.folder, self.receipt).jsonl,
            format_of(self.project.catalog, self.artifact),
            tokenizer=self._tokenizer,
            expected=self._expected,
            max_tokens=self.dataset.max_tokens,
            scanning=self._scanning,
        )

    def _tokenizer(self) -> Path:
        """The file by which its tokens are counted."""
        return Tokenizer(*self.place(tokenizer_of(self.project.catalog, self.artifact.owner))).model

    def _scanning(self, scan: Callable[[], ScannedRows]) -> ScannedRows:
        key = _lines_of(self.project, self.artifact)
        found: ScannedRows = scan() if key is None else self.shared.once(key, scan)
        return found

    def _expected(self) -> ExpectedRows:
        artifact = self.artifact
        difficulties = self._training_difficulties()
        if artifact.is_small:
            whole = demand(self.project.store, artifact.inputs[0])
            asked_for = int(str(artifact.settings["rows"]))
            rows = min(asked_for, int(whole.facts["rows"]))
            return ExpectedRows(rows, training_difficulties=difficulties)
        counts = {name: it.counts(artifact.contract) for name, it in self.dataset.splits.items()}
        expected = counts.pop(str(artifact.split))
        others = {name: one.rows for name, one in counts.items() if one.rows is not None}
        return ExpectedRows(
            expected.rows, expected.correct, expected.incorrect, others, difficulties
        )

    def _training_difficulties(self) -> tuple[int, int]:
        """What the catalog says, or what the generation of training code samples from that reads
        these rows: the first phase's, where several do."""
        stated = self.dataset.training_difficulties
        if stated is not None:
            return stated
        first = self.artifact.contract == "phase1" and "phase1" in self.project.catalog.contract
        return TRAINING_DIFFICULTIES if first else _CURRENT_DIFFICULTIES

    def digests(self) -> dict[str, str]:
        if not is_computed(self, "stored"):
            return {}
        found, stored = {}, self.stored
        if is_computed(stored, "scan"):
            found[stored.jsonl.name] = stored.scan.digest
        if is_computed(stored, "index_sha256"):
            found[stored.index_file.name] = stored.index_sha256
        return found


def split_checks(project: Project, artifact: Artifact) -> list[Check[SplitSubject]]:
    """The checks of a split or small split, beside those of every artifact."""
    dataset_format = format_of(project.catalog, artifact)
    own = [one.on(_stored) for one in corpora.stored_split_checks(dataset_format)]
    return [*own, rows_equal_source]


def _stored(subject: SplitSubject) -> corpora.StoredSplit:
    return subject.stored


@check(
    "The rows are those that follow from upstream's shards: all of a small source, a "
    "sample of a large one.",
    apart=True,
)
def rows_equal_source(subject: SplitSubject) -> Finding:
    return _check_rows_of_source(subject.project, subject.artifact, subject.seed)


class MetadataSubject(Subject, Generic[File]):
    """A metadata file of a split or small split, and the lines that it describes."""

    file: type[File]
    """What reads the file."""

    @lazy
    def stored(self) -> File:
        """The file."""
        return self.file(
            Document(self.folder, self.receipt).path,
            lambda: Split(*self.place(self.artifact.inputs[0])).jsonl,
            self._facts,
        )

    def _facts(self) -> LineFacts | None:
        """What reading the lines for their split's own checks finds, if they run as well."""
        split = self.project.artifacts[self.artifact.inputs[0]]
        if split.name not in self.shared.together:
            return None
        try:
            return SplitSubject(self.project, split, shared=self.shared).stored.scan.facts
        except Exception:  # whatever it is, the split's checks report it
            return None

    def digests(self) -> dict[str, str]:
        digest = self.stored.digest if is_computed(self, "stored") else None
        return {} if digest is None else {self.stored.path.name: digest}


class FirstPhaseSubject(MetadataSubject[StoredMetadata]):
    """The first phase's metadata file."""

    file = StoredMetadata


def _lines_of(project: Project, split: Artifact) -> Hashable | None:
    """The key of what is read of a split's lines: the same only while no file was touched."""
    identity = identity_of(project, split)
    return None if identity is None else ("lines", split.name, repr(identity))


def metadata_checks(project: Project, artifact: Artifact) -> list[Check[FirstPhaseSubject]]:
    """The checks of a split's metadata file, beside those of every artifact."""
    own = [one.on(_stored_metadata) for one in METADATA_CHECKS]
    return [*own, metadata_structure]


def _stored_metadata(subject: FirstPhaseSubject) -> StoredMetadata:
    return subject.stored


@check("Its fields and their types are those of its schema.", blocking=False)
def metadata_structure(subject: FirstPhaseSubject) -> Outcome:
    fault = structure_fault(SplitMetadata, subject.stored.outline)
    return Outcome(
        not fault,
        "metadata: is_correct and difficulty of each row that has them; stats: total, correct, "
        "incorrect, difficulty_dist",
        fault or "as expected",
        str(subject.stored.path),
        hint=subject.again if fault else "",
    )


def _check_rows_of_source(
    project: Project, artifact: Artifact, seed: int | None = None, rebuild: bool = False
) -> Finding:
    """The rows of a split against upstream's shards, of a small split against the whole one.

    With `rebuild` everything is made again, and the contract's metadata file is compared too.
    """
    rows = Split(*place(project, artifact.name))
    beside = [
        one.name
        for one in project.artifacts.values()
        if one.is_row_metadata and one.contract == "phase1" and one.inputs == (artifact.name,)
    ]
    metadata = Document(*place(project, beside[0])).path if rebuild and beside else None
    if artifact.is_small:
        whole = Split(*place(project, artifact.inputs[0]))
        wanted, draw = (int(str(artifact.settings[key])) for key in ("rows", "seed"))
        return check_small(rows.jsonl, whole.jsonl, whole.index, wanted, draw, metadata)
    dataset = project.catalog.datasets[artifact.owner]
    paths = source(project, artifact.inputs[0]).paths()
    dataset_format = format_of(project.catalog, artifact)
    graded_by = [source(project, name).paths() for name in artifact.inputs[2:]]
    if graded_by:
        shards = [path for files in graded_by for path in files.values()]
        dataset_format = dataset_format.with_difficulties(shards)
    made_from = SplitSource(
        dataset_format,
        str(artifact.split),
        [paths[path] for path in sorted(paths)],
        Tokenizer(*place(project, tokenizer_of(project.catalog, artifact.owner))).model,
        dataset.max_tokens,
    )
    if rebuild:
        return check_rebuilt(rows.jsonl, made_from, metadata)
    return check_source(rows.jsonl, made_from, seed)


def _rows_made_again(project: Project, artifact: Artifact) -> list[Finding]:
    return [_check_rows_of_source(project, artifact, rebuild=True)]


def _compared_with_split(project: Project, artifact: Artifact) -> list[Finding]:
    return []  # its split's comparison includes it


SPLITS = KindChecks(SplitSubject, split_checks, _rows_made_again)
SPLIT_METADATA = KindChecks(FirstPhaseSubject, metadata_checks, _compared_with_split)
