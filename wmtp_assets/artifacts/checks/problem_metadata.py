"""The checks of the current contract's metadata files: entries, and the lines of each problem."""

from __future__ import annotations

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.datasets import MetadataSubject
from wmtp_assets.artifacts.checks.inputs import place
from wmtp_assets.artifacts.checks.subject import KindChecks
from wmtp_assets.artifacts.structure import ProblemMetadata, structure_fault
from wmtp_assets.artifacts.types import Document, Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.corpora import problem_metadata_checks as corpora
from wmtp_assets.corpora.problem_map import ProblemRows
from wmtp_assets.corpora.problem_metadata import is_document_of
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.findings import Check, Finding, Outcome, check

_STRUCTURE = (
    "metadata: is_correct, difficulty and problem_id of each row that has them; "
    "problem_index_map: difficulty, indices and token lengths of each problem; stats"
)


class ProblemMetadataSubject(MetadataSubject[corpora.StoredProblemMetadata]):
    """The current contract's metadata file of a split or small split."""

    file = corpora.StoredProblemMetadata


def problem_metadata_checks(
    project: Project, artifact: Artifact
) -> list[Check[ProblemMetadataSubject]]:
    """The checks of such a file, beside those of every artifact."""
    own = [one.on(_stored) for one in corpora.PROBLEM_METADATA_CHECKS]
    return [*own, metadata_structure]


def _stored(subject: ProblemMetadataSubject) -> corpora.StoredProblemMetadata:
    return subject.stored


@check("Its fields and their types are those of its schema.", blocking=False)
def metadata_structure(subject: ProblemMetadataSubject) -> Outcome:
    outline = subject.stored.outline
    fault = (
        "not examined: it is not what the lines give, and too large to be read whole"
        if outline is None
        else structure_fault(ProblemMetadata, outline)
    )
    return Outcome(
        not fault,
        _STRUCTURE,
        fault or "as expected",
        str(subject.stored.path),
        hint=subject.again if fault else "",
    )


def _written_again(project: Project, artifact: Artifact) -> list[Finding]:
    """The file beside the document that the rows, by their index, give again."""
    rows = Split(*place(project, artifact.inputs[0]))
    path = Document(*place(project, artifact.name)).path
    same = is_document_of(path, ProblemRows.of_index(RowIndex(rows.index), rows.jsonl))
    return [
        Finding(
            "equals_its_source",
            same,
            "the bytes that its rows give when it is written again",
            "the same bytes" if same else "other bytes",
            str(path),
            hint="" if same else ProblemMetadataSubject(project, artifact).again,
        )
    ]


PROBLEM_METADATA = KindChecks(ProblemMetadataSubject, problem_metadata_checks, _written_again)
