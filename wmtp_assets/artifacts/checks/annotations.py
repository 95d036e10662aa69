"""What checks of annotations have in common: the file, and the rows that it is about."""

from __future__ import annotations

from typing import ClassVar

from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.artifacts.types import Split
from wmtp_assets.corpora.annotations import AnnotationFile, AnnotationKind, about
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.findings import AS_EXPECTED, Outcome, check, lazy


class AnnotationSubject(Subject):
    """An artifact with an annotation of a split's rows; its first input is the split."""

    annotation: ClassVar[AnnotationKind]
    """Which one."""

    @lazy
    def file(self) -> AnnotationFile:
        """The annotation. Raises CorpusError where it is no such file."""
        (name,) = (name for name in self.receipt.files if name.endswith(".parquet"))
        return AnnotationFile(self.folder / name, self.annotation)

    @lazy
    def corpus(self) -> Corpus:
        """The rows of the split as they are now."""
        return Corpus(Split(*self.place(self.artifact.inputs[0])).jsonl)


@check("According to its footer, it describes the present rows of its split.", quick=True)
def annotation_is_of_rows(subject: AnnotationSubject) -> Outcome:
    rows = about(subject.corpus.row_index)
    stated = subject.file.facts["about"]
    passed = stated == rows
    if passed:
        try:
            subject.file.require_rows(rows)
        except CorpusError:
            passed = False
    return Outcome(
        passed,
        f"{rows['rows']:,} rows, SHA-256 {rows['jsonl']['sha256']}",
        AS_EXPECTED if passed else str(stated),
        str(subject.file.path),
        hint="" if passed else subject.again,
    )
