"""The answers on datasets: splits, small copies and schema."""

from __future__ import annotations

from collections.abc import Iterable

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.table import CARDS, SCHEMA
from wmtp_assets.artifacts.schemas import schema_documents
from wmtp_assets.artifacts.types import Document, Split, Tokenizer, demand
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact, Kind
from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.corpora.source_comparison import (
    SplitSource,
    check_rebuilt,
    check_small,
    check_source,
)
from wmtp_assets.findings import Finding


def check_rows(project: Project, artifact: Artifact, seed: int | None = None) -> Iterable[Finding]:
    dataset = project.catalog.datasets[artifact.owner]
    rows = Split(*place(project, artifact.name))
    tokenizer = Tokenizer(*place(project, TOKENIZER))
    expected = dataset.splits[str(artifact.split)]
    wanted, correct, incorrect = expected.rows, expected.correct, expected.incorrect
    if artifact.kind is Kind.SMALL_SPLIT:
        whole = demand(project.store, artifact.inputs[0])
        asked_for = int(str(artifact.settings["rows"]))
        wanted, correct, incorrect = min(asked_for, int(whole.facts["rows"])), None, None
    yield check_rows_of_source(project, artifact, seed)
    yield from check_split(
        rows.jsonl,
        FORMATS[dataset.layout],
        tokenizer=tokenizer.model,
        rows=wanted,
        correct=correct,
        incorrect=incorrect,
        max_tokens=dataset.max_tokens,
    )


def check_rows_of_source(
    project: Project, artifact: Artifact, seed: int | None = None, rebuild: bool = False
) -> Finding:
    """The rows of a split against upstream's shards, of a small split against the whole one.

    With `rebuild` everything is made again, and the contract's metadata file is compared too.
    """
    rows = Split(*place(project, artifact.name))
    name = f"{artifact.name}_metadata"
    metadata = Document(*place(project, name)).path if rebuild else None
    if artifact.kind is Kind.SMALL_SPLIT:
        whole = Split(*place(project, artifact.inputs[0]))
        wanted, draw = (int(str(artifact.settings[key])) for key in ("rows", "seed"))
        return check_small(rows.jsonl, whole.jsonl, whole.index, wanted, draw, metadata)
    dataset = project.catalog.datasets[artifact.owner]
    paths = source(project, artifact.inputs[0]).paths()
    made_from = SplitSource(
        FORMATS[dataset.layout],
        str(artifact.split),
        [paths[path] for path in sorted(paths)],
        Tokenizer(*place(project, TOKENIZER)).model,
        dataset.max_tokens,
    )
    if rebuild:
        return check_rebuilt(rows.jsonl, made_from, metadata)
    return check_source(rows.jsonl, made_from, seed)


def check_schema(project: Project, artifact: Artifact) -> Iterable[Finding]:
    dataset_format = FORMATS[str(artifact.settings["layout"])]
    document = Document(*place(project, artifact.name))
    hint = f"wmtp materialize {artifact.name} --force"
    same = document.value() == row_schema(dataset_format)
    yield Finding(
        SCHEMA.name,
        same,
        f"the schema of {dataset_format.label}",
        "as expected" if same else "another schema",
        str(document.path),
        hint="" if same else hint,
    )
    documents = schema_documents(project.store, artifact).files
    cards = {name: data for name, data in documents.items() if name[-3:] == ".md"}
    wrong = [name for name, data in cards.items() if (document.folder / name).read_bytes() != data]
    yield Finding(
        CARDS.name,
        not wrong,
        "cards that declare the file of every split with rows, and the types of its fields",
        f"another {', '.join(wrong)}" if wrong else "as expected",
        str(document.folder / (wrong or list(cards))[0]),
        hint=hint if wrong else "",
    )
