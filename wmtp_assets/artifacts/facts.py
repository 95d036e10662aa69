"""What a receipt must state about an artifact (its `facts`), computed from the artifact's files.

Makers state facts for the page, the report and the tables of a run. A check derives them again with
these functions, one for each kind, from headers and small documents. Other checks verify that these
agree with the rows and tensors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from wmtp_assets.artifacts.documents import certificate_facts, certificate_of
from wmtp_assets.artifacts.evidence.files import stated_licence
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.types import Checkpoint, Document, Fetched, Handle, Split, Tokenizer
from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import evaluation_of, format_of, layout_of
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.ranges import has_ends, largest_names
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.checkpoints.tokenizers import open_tokenizer
from wmtp_assets.corpora.annotations import AnnotationFile
from wmtp_assets.corpora.file_set import stored_stats
from wmtp_assets.corpora.package_file import PackageFile
from wmtp_assets.corpora.tests_file import ProblemTestsFile
from wmtp_assets.storage.receipts import Receipt

Facts = Mapping[str, object]

Ends = dict[str, tuple[float, float]]
"""The least and the greatest value of tensors, by their names."""

ENDS = "value_ends"

COUNTERS = ("fetched_bytes", "resumed_from", "retries", "seconds")
"""Of fetching: how it went, which no file can say. Numbers that are not negative."""


def of_fetched(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of files from upstream: where they are and of which commit; the counters as they are."""
    facts = made.receipt.facts
    wanted = UpstreamFiles.of(artifact)
    counted = {
        name: facts[name]
        for name in COUNTERS
        if type(facts.get(name)) in (int, float) and facts[name] >= 0
    }
    missing = dict.fromkeys(COUNTERS, "a number that is not negative")
    # Which commit it is, is compared with catalog and assets.lock.
    revision = Fetched(made.folder, made.receipt, project.store.upstream).revision
    return {"folder": wanted.repo.folder, "revision": revision, **missing, **counted}


def of_tokenizer(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a tokenizer: how many pieces it has. Raises TokenizerError."""
    return {"vocab_size": open_tokenizer(Tokenizer(made.folder, made.receipt).model, {}).size}


def of_conversion(certificate: Certificate, parameters: int, tensors: int) -> Facts:
    """Of a checkpoint of so many parameters and tensors, with its certificate."""
    warnings = {"warnings": list(certificate.warnings)} if certificate.warnings else {}
    return {
        "parameters": parameters,
        "tensors": tensors,
        "dtype": str(certificate.dtype),
        "dropped": len(certificate.dropped),
        **warnings,
    }


def ends_as_facts(ends: Ends) -> dict[str, object]:
    """The ends of the values of the largest tensors as a receipt states them: as text, which also
    says what JSON has no number for."""
    return {ENDS: {name: list(map(repr, both)) for name, both in ends.items()}} if ends else {}


def stated_ends(receipt: Receipt) -> Ends:
    """The ends of values that a receipt states; none where an earlier version made it.

    Raises ValueError or TypeError where it states something else.
    """
    stated = receipt.facts.get(ENDS, {})
    return {name: (float(least), float(most)) for name, (least, most) in stated.items()}


def of_checkpoint(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a checkpoint: counts by its header, the rest by its certificate.

    Raises CheckpointError.
    """
    checkpoint = Checkpoint(made.folder, made.receipt)
    header = read_header(checkpoint.path)
    found = of_conversion(certificate_of(checkpoint), header.parameters, len(header.tensors))
    return {**found, **_ends_in_form(header, made.receipt)}


def _ends_in_form(header: Header, receipt: Receipt) -> Facts:
    """What the receipt says of values, if it is about the largest tensors and of this form; whether
    it is true takes reading them, which the check does that reads all (`receipt_facts`)."""
    if ENDS not in receipt.facts:
        return {}
    largest = [name for name in largest_names(header) if has_ends(header.tensors[name].dtype)]
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        ends = stated_ends(receipt)
        if ends.keys() <= set(largest) and ends_as_facts(ends) == {ENDS: receipt.facts[ENDS]}:
            return {ENDS: receipt.facts[ENDS]}
    return {ENDS: f"the ends of the values of {', '.join(largest)}"}


def of_shards(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of the sharded view: how many shards."""
    return {"shards": sum(name.endswith(".safetensors") for name in made.receipt.files)}


def of_certificate(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a published certificate: what it counts. Raises CheckpointError."""
    return certificate_facts(Certificate.from_json(made.read("certificate.json")))


def of_config(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a model's config: which of its files is the document."""
    known = layout_named(layout_of(project.catalog, artifact.owner))
    return {"document": known.config_files[0]}


def of_adapter(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of meta_adapter.yaml: all of it."""
    return Document(made.folder, made.receipt).value()


def of_model_metadata(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a model's metadata.json: its counts."""
    document = made.read("metadata.json")
    return {key: document.get(key) for key in ("parameters", "tensors", "dtype")}


def of_card(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a card: the licence of the whole folder."""
    return stated_licence(artifact)


def of_dataset_card(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a dataset's card: its licence, and which of its files is the document."""
    return {**of_card(project, artifact, made), "document": "croissant.json"}


def of_quality_card(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of what was found out about rows: which of its files is the document."""
    return {"document": "figures.json"}


def of_split(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a split: its statistics, and the counts among them."""
    rows = Split(made.folder, made.receipt)
    stats = made.read(rows.statistics.name)
    classes = {key: stats.get(key) for key in ("correct", "incorrect")}
    counted = classes if classes["correct"] is not None else {}
    return {"rows": stats["rows"], **counted, "stats": stats}


def of_row_metadata(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a split's metadata file: the counts, which the split's statistics have as well."""
    rows = Split.load(project.store, artifact.inputs[0])
    stats = rows.read(rows.statistics.name)
    counts = {key: stats[key] for key in ("total", "correct", "incorrect", "difficulty_dist")}
    return {"rows": counts["total"], **counts}


def of_problem_metadata(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of the current contract's metadata file: the statistics at its end. Raises CorpusError."""
    stats = stored_stats(Document(made.folder, made.receipt).path)
    return {"rows": stats["total"], **stats}


def of_schema(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a dataset's schema: its layout, and which of its files is the document."""
    return {"layout": cast("str", artifact.settings["layout"]), "document": "schema.json"}


def of_package_file(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of a file that an evaluation package reads: which package, and how it finds it."""
    return package_facts(format_of(project.catalog, artifact).package)


def package_facts(package: PackageFile | None) -> Facts:
    """What reads a file, and the environment variable that names it."""
    return {"package": package.package, "variable": package.variable} if package else {}


def of_evaluation(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of an evaluation file: how many problems and tests it has, if the receipt says so in this
    form; whether it is true takes reading them, which the checks do."""
    names = ("problems", *evaluation_of(project.catalog, artifact).tests)
    stated = made.receipt.facts
    return {
        name: stated[name]
        if type(stated.get(name)) is int and stated[name] >= 0
        else "a number that is not negative"
        for name in names
    }


def of_tests(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of tests files: the counts in the Parquet file's footer. Raises CorpusError."""
    (name,) = (name for name in made.receipt.files if name.endswith(".parquet"))
    counts = ProblemTestsFile(made.folder / name).facts.get("counts")
    return counts if isinstance(counts, dict) else {}


def of_leaks(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of leaks: what the file states of them. Raises CorpusError."""
    (name,) = made.receipt.files
    return leak_facts(made.folder / name)


def leak_facts(path: Path) -> Facts:
    """The statistics in the footer of a file of leaks: rows and pairs, by set and kind."""
    stated = AnnotationFile(path, "leaks").facts.get("statistics")
    return stated if isinstance(stated, dict) else {}


def of_verdicts(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of executed rows: what the rates state."""
    (name,) = (name for name in made.receipt.files if name.endswith(".json"))
    return verdict_facts(made.read(name))


def verdict_facts(rates: Mapping[str, Any]) -> Facts:
    """How many rows were drawn, what was found of them by class, whether anything ran, how many
    rows are Python 2, and which interpreter ran those ("": none)."""
    return {
        "rows": rates["drawn"],
        "executed": rates["executed"],
        "verdicts": rates["verdicts"],
        "python2_rows": sum(rates["apart"]["python2"].values()),
        "python2": rates["protocol"].get("python2", ""),
    }


def of_raw_view(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of the view of fetched files: how many there are."""
    return {"files": len(made.receipt.files)}


def of_duplicates(project: Project, artifact: Artifact, made: Handle) -> Facts:
    """Of near-duplicates: the statistics in the file's footer. Raises CorpusError."""
    (name,) = made.receipt.files
    stated = AnnotationFile(made.folder / name, "duplicates").facts.get("statistics")
    return stated if isinstance(stated, dict) else {}
