"""The checks of a dataset's schema and cards, and of what its splits have in common."""

from __future__ import annotations

from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.overlap import (
    SplitsSubject,
    beside_schema,
    overlap_between_splits,
    training_apart_from_evaluation,
)
from wmtp_assets.artifacts.checks.subject import KindChecks
from wmtp_assets.artifacts.schemas import schema_documents
from wmtp_assets.artifacts.types import Document
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.findings import Check, Finding, Outcome, check
from wmtp_assets.storage.atomic import json_bytes


class SchemaSubject(SplitsSubject):
    """schema.json of a dataset, and the cards beside it."""

    @property
    def document(self) -> Document:
        """schema.json."""
        return Document(self.folder, self.receipt)


def schema_checks(project: Project, artifact: Artifact) -> list[Check[Any]]:
    """The checks of a dataset's schema, beside those of every artifact."""
    return [
        schema_is_ours,
        data_files_declared,
        overlap_between_splits,
        training_apart_from_evaluation,
    ]


@check("schema.json is the schema that the rows are checked by.")
def schema_is_ours(subject: SchemaSubject) -> Outcome:
    dataset_format = format_of(subject.project.catalog, subject.artifact)
    path = subject.document.path
    same = path.name == "schema.json"
    same = same and path.read_bytes() == json_bytes(row_schema(dataset_format))
    return Outcome(
        same,
        f"the schema of {dataset_format.label}",
        "as expected" if same else "another schema",
        str(path),
        hint="" if same else f"wmtp materialize {subject.artifact.name} --force",
    )


@check("README.md declares the rows' files to `load_dataset`.")
def data_files_declared(subject: SchemaSubject) -> Outcome:
    folder = subject.folder
    files = schema_documents(subject.project.store, subject.artifact).files
    cards = {name: data for name, data in files.items() if name.endswith(".md")}
    wrong = [name for name, data in cards.items() if (folder / name).read_bytes() != data]
    return Outcome(
        not wrong,
        "cards that declare the file of every split with rows, and the types of its fields",
        f"another {', '.join(wrong)}" if wrong else "as expected",
        str(folder / (wrong or list(cards))[0]),
        hint=f"wmtp materialize {subject.artifact.name} --force" if wrong else "",
    )


def _schema_made_again(project: Project, artifact: Artifact) -> list[Finding]:
    subject = SchemaSubject(project, artifact)
    return [one.of(subject) for one in (schema_is_ours, data_files_declared)]


SCHEMAS = KindChecks(SchemaSubject, schema_checks, _schema_made_again, beside_schema)
