"""The kinds of artifacts: one row per kind, and everything that depends on the kind is in its row.

A new kind is a row here, its functions, and a line in `catalog/artifacts.py` that says which
artifacts are of it. Everything else (staleness, Dagster, the gate, the command line) reads the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wmtp_assets.artifacts import descriptions, facts
from wmtp_assets.artifacts.artifact_kind import ArtifactKind
from wmtp_assets.artifacts.make import (
    cards,
    datasets,
    duplicates,
    evaluation,
    fetched,
    leaks,
    models,
    verdicts,
)
from wmtp_assets.artifacts.make.task import Divided
from wmtp_assets.artifacts.types import (
    LISTING,
    SETTLED,
    Checkpoint,
    Document,
    Fetched,
    Handle,
    Split,
    Tokenizer,
)
from wmtp_assets.catalog import Catalog
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.catalog.tokenizers import published_files
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.corpora.shard_parts import format_shards
from wmtp_assets.execution.tasks import HARNESS
from wmtp_assets.quality.judged_parts import judge_rows
from wmtp_assets.quality.leaks.parts import search_rows


def kind_of(artifact: Artifact) -> ArtifactKind:
    """The row of an artifact's kind."""
    return KINDS[artifact.kind]


def code_version_of(artifact: Artifact) -> str:
    """The version of the code that makes an artifact: its kind's, and its dataset format's."""
    kind = kind_of(artifact)
    if not kind.of_format:
        return kind.code_version
    version = FORMATS[str(artifact.settings["layout"])].of(artifact.contract).version
    return f"{kind.code_version}.{version}" if version else kind.code_version


def _files(*names: str) -> Callable[[Artifact], tuple[str, ...]]:
    return lambda _: names


def _row_schema(catalog: Catalog, artifact: Artifact) -> Mapping[str, Any]:
    return row_schema(format_of(catalog, artifact))


_ROW_METADATA = ArtifactKind(
    make=datasets.describe_rows,
    loaded_as=Document,
    facts=facts.of_row_metadata,
    checks="wmtp_assets.artifacts.checks.datasets:SPLIT_METADATA",
    page="wmtp_assets.pages.asset.rows:of_row_metadata",
    describe=descriptions.of_text(
        "Entry i has the class and difficulty of line i of the JSONL, so that "
        "training can choose rows without reading them."
    ),
    red="entry i does not describe line i of the JSONL",
    icon="json",
    counted="rows",
)

_PROBLEM_METADATA = ArtifactKind(
    make=datasets.describe_problems,
    loaded_as=Document,
    facts=facts.of_problem_metadata,
    checks="wmtp_assets.artifacts.checks.problem_metadata:PROBLEM_METADATA",
    page="wmtp_assets.pages.asset.rows:of_problem_metadata",
    describe=descriptions.of_text(
        "Entry i has the class, difficulty and problem of line i of the JSONL. "
        "problem_index_map has the lines of each problem by class with their tokens: "
        "today's training draws pairs from it."
    ),
    red="it does not agree with the lines of the JSONL",
    icon="json",
    counted="rows",
)

KINDS: Mapping[Kind, ArtifactKind] = {
    Kind.RAW: ArtifactKind(
        make=fetched.fetch_files,
        loaded_as=Fetched,
        facts=facts.of_fetched,
        checks="wmtp_assets.artifacts.checks.fetched:FETCHED",
        page="wmtp_assets.pages.asset.documents:of_fetched",
        describe=descriptions.of_fetched_files,
        red="a fetched file is missing, or is not the file of this commit",
        icon="huggingface",
        beside=_files(LISTING),
    ),
    Kind.TOKENIZER: ArtifactKind(
        make=models.write_tokenizer,
        loaded_as=Tokenizer,
        facts=facts.of_tokenizer,
        checks="wmtp_assets.artifacts.checks.models:TOKENIZERS",
        page="wmtp_assets.pages.asset.documents:of_tokenizer",
        describe=descriptions.of_tokenizer,
        red="a file is not upstream's, or gives other ids",
        icon="llama",
        code_version="2",  # model_input_names
        beside=lambda artifact: published_files(artifact.settings),
    ),
    Kind.CHECKPOINT: ArtifactKind(
        make=models.make_checkpoint,
        loaded_as=Checkpoint,
        facts=facts.of_checkpoint,
        checks="wmtp_assets.artifacts.checks.checkpoints:CHECKPOINTS",
        page="wmtp_assets.pages.asset.checkpoints:of_checkpoint",
        describe=descriptions.of_checkpoint,
        red="a dtype, shape, count or value differs from the source",
        icon="pytorch",  # Dagster has none for safetensors
        code_version="3",  # the certificate digests tensors with BLAKE3
        counted="parameters",
        long_checks=True,
        beside=_files("certificate.json", "slice.json", SETTLED),
    ),
    Kind.SHARDS: ArtifactKind(
        make=models.write_shards,
        loaded_as=Handle,  # no artifact is made from shards
        facts=facts.of_shards,
        checks="wmtp_assets.artifacts.checks.models:SHARDS",
        page="wmtp_assets.pages.asset.checkpoints:of_shards",
        describe=descriptions.of_shards,
        red="the shards do not have the checkpoint's tensors",
        icon="pytorch",
        code_version="2",  # as of the checkpoint
        long_checks=True,
        beside=_files("sharded/"),
    ),
    Kind.CERTIFICATE: ArtifactKind(
        make=models.write_certificate,
        loaded_as=Document,
        facts=facts.of_certificate,
        checks="wmtp_assets.artifacts.checks.models:CERTIFICATES",
        page="wmtp_assets.pages.asset.checkpoints:of_certificate",
        describe=descriptions.of_text(
            "The conversion, tensor by tensor: names, shapes, dtypes and digests "
            "before and after, the greatest cast error, and the reason for every "
            "entry left out."
        ),
        red="it does not describe the stored tensors",
        icon="json",
    ),
    Kind.CONFIG: ArtifactKind(
        make=models.write_config,
        loaded_as=Document,
        facts=facts.of_config,
        checks="wmtp_assets.artifacts.checks.models:CONFIGS",
        page="wmtp_assets.pages.asset.documents:of_document",
        describe=descriptions.of_text(
            "The model's config: upstream's known settings, with the sizes and dtype "
            "of the tensors."
        ),
        red="it does not describe the stored tensors",
        icon="json",
        code_version="3",  # of meta-mtp, config.json states max_position_embeddings
    ),
    Kind.ADAPTER: ArtifactKind(
        make=models.write_adapter,
        loaded_as=Document,
        facts=facts.of_adapter,
        checks="wmtp_assets.artifacts.checks.models:ADAPTERS",
        page="wmtp_assets.pages.asset.documents:of_document",
        describe=descriptions.of_text(
            "What training needs and params.json does not state, derived from it and the tensors."
        ),
        red="it does not follow from config and tensors",
        icon="yaml",
        code_version="2",  # model_name, num_hidden_layers, max_position_embeddings, cache
    ),
    Kind.MODEL_METADATA: ArtifactKind(
        make=models.write_metadata,
        loaded_as=Document,
        facts=facts.of_model_metadata,
        checks="wmtp_assets.artifacts.checks.models:METADATA",
        page="wmtp_assets.pages.asset.documents:of_document",
        describe=descriptions.of_text(
            "What this model is: counts, dtype, digests, where it came from and what was done."
        ),
        red="it does not agree with the files",
        icon="json",
        code_version="3",  # model_name, version, files, source and what else training reads
        loads=models.metadata_inputs,
    ),
    Kind.MODEL_CARD: ArtifactKind(
        make=cards.write_model_card,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_card,
        checks="wmtp_assets.artifacts.checks.cards:MODEL_CARDS",
        describe=descriptions.of_text(
            "README.md in the Hub's format: what this model is, where it comes from, "
            "how to load it, digests and terms."
        ),
        red="it does not agree with metadata.json and the catalog",
        icon="markdown",
    ),
    Kind.SPLIT: ArtifactKind(
        make=datasets.build_rows,
        loaded_as=Split,
        facts=facts.of_split,
        checks="wmtp_assets.artifacts.checks.datasets:SPLITS",
        page="wmtp_assets.pages.asset.rows:of_rows",
        describe=descriptions.of_rows,
        red="rows, counts or order do not follow from upstream's files",
        icon="dataset",  # Dagster has none for JSONL
        code_version="3",  # rows with a blank instruction or output are flagged
        of_format=True,
        counted="rows",
        long_checks=True,
        divided=Divided(datasets.shards_to_format, format_shards, datasets.can_be_divided),
    ),
    Kind.SPLIT_METADATA: _ROW_METADATA,
    Kind.SPLIT_METADATA_CURRENT: _PROBLEM_METADATA,
    Kind.SCHEMA: ArtifactKind(
        make=datasets.write_schema,
        loaded_as=Document,
        facts=facts.of_schema,
        checks="wmtp_assets.artifacts.checks.schemas:SCHEMAS",
        page="wmtp_assets.pages.asset.rows:of_schema",
        describe=descriptions.of_text(
            "JSON Schema of a row, and the cards that declare the rows' files to "
            "Hugging Face's library datasets."
        ),
        red="it does not describe the stored rows",
        row_schema=_row_schema,
        icon="json",
        code_version="4",  # cards name the rows' digest
        of_format=True,
        loads=lambda _: (),
        beside=_files("README.md", "README_small.md"),
    ),
    Kind.DATASET_CARD: ArtifactKind(
        make=cards.write_dataset_card,
        code_version="2",  # what every field means
        loaded_as=Handle,
        facts=facts.of_dataset_card,
        checks="wmtp_assets.artifacts.checks.cards:DATASET_CARDS",
        describe=descriptions.of_text(
            "README.md in the Hub's format and croissant.json: splits, fields, counts, digests, "
            "what was left out, and terms."
        ),
        red="it does not agree with the splits and the catalog",
        icon="markdown",
        of_format=True,
        loads=lambda _: (),
    ),
    Kind.SMALL_SPLIT: ArtifactKind(
        make=datasets.choose_rows,
        loaded_as=Split,
        facts=facts.of_split,
        checks="wmtp_assets.artifacts.checks.datasets:SPLITS",
        page="wmtp_assets.pages.asset.rows:of_rows",
        describe=descriptions.of_chosen_rows,
        red="its rows are not those that the seed selects",
        icon="dataset",
        counted="rows",
        beside=lambda artifact: (f"{artifact.split}_small_stats.json",),
    ),
    Kind.SMALL_METADATA: _ROW_METADATA,
    Kind.SMALL_METADATA_CURRENT: _PROBLEM_METADATA,
    Kind.PACKAGE_FILE: ArtifactKind(
        make=datasets.copy_package_file,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_package_file,
        checks="wmtp_assets.artifacts.checks.package_file:PACKAGE_FILES",
        describe=descriptions.of_package_file,
        red="the evaluation package would not read upstream's file",
        icon="json",
        loads=lambda artifact: artifact.inputs[:1],
    ),
    Kind.EVALUATION: ArtifactKind(
        make=evaluation.write_problems,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_evaluation,
        checks="wmtp_assets.artifacts.checks.evaluation:EVALUATION",
        describe=descriptions.of_text(
            "One line per problem, including problems without rows: statement, "
            "limits, and all of its tests."
        ),
        red="its problems or tests differ from upstream's files",
        icon="json",
    ),
    Kind.TESTS: ArtifactKind(
        make=evaluation.write_all_tests,
        loaded_as=Handle,
        facts=facts.of_tests,
        checks="wmtp_assets.artifacts.checks.evaluation:TESTS",
        describe=descriptions.of_text(
            "The public, private and generated tests of every problem, as JSON and "
            "as Parquet, from which those of one problem can be read alone."
        ),
        red="its tests differ from upstream's files",
        icon="parquet",
        long_checks=True,
    ),
    Kind.LEAKS: ArtifactKind(
        make=leaks.search_rows,
        loaded_as=Handle,
        facts=facts.of_leaks,
        checks="wmtp_assets.artifacts.checks.leaks:LEAKS",
        page="wmtp_assets.pages.asset.quality:of_leaks",
        describe=descriptions.of_text(
            "The rows that contain tasks that models are evaluated on: verbatim, "
            "reformatted or renamed, with both texts."
        ),
        red="its lines are not what a new search of the rows finds",
        icon="parquet",
        long_checks=True,
        divided=Divided(leaks.rows_to_search, search_rows),
    ),
    Kind.QUALITY_CARD: ArtifactKind(
        make=cards.write_quality_card,
        code_version="2",  # what verdicts mean, the protocol, rows per cluster and class
        loaded_as=Handle,
        facts=facts.of_quality_card,
        checks="wmtp_assets.artifacts.checks.cards:QUALITY_CARDS",
        describe=descriptions.of_text(
            "A summary of what executing and comparing rows found: rates with "
            "intervals, leaks and clusters as Markdown, and every figure as JSON."
        ),
        red="it does not agree with the files about rows",
        icon="markdown",
        loads=lambda _: (),
    ),
    Kind.VERDICTS: ArtifactKind(
        make=verdicts.execute_rows,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_verdicts,
        checks="wmtp_assets.artifacts.checks.verdicts:VERDICTS",
        describe=descriptions.of_executed_rows,
        red="the verdicts are not about these rows, or do not follow from executing them",
        icon="python",
        page="wmtp_assets.pages.asset.quality:of_verdicts",
        code_version=str(HARNESS),
        fit=verdicts.fit,
        counted="rows",
        long_checks=True,
        divided=Divided(verdicts.rows_to_execute, judge_rows),
    ),
    Kind.RAW_VIEW: ArtifactKind(
        make=fetched.show_files,
        loaded_as=Handle,
        facts=facts.of_raw_view,
        checks="wmtp_assets.artifacts.checks.raw_view:RAW_VIEW",
        page="wmtp_assets.pages.asset.documents:of_raw_view",
        describe=descriptions.of_text(
            "Upstream's files as they were fetched, except a model's weights; their "
            "bytes are stored only once."
        ),
        red="a file is not the one that was fetched",
        icon="huggingface",
        beside=_files("raw/"),
    ),
    Kind.DUPLICATES: ArtifactKind(
        make=duplicates.cluster_rows,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_duplicates,
        checks="wmtp_assets.artifacts.checks.duplicates:DUPLICATES",
        page="wmtp_assets.pages.asset.quality:of_duplicates",
        describe=descriptions.of_text(
            "Which rows of a problem are nearly the same text: the cluster of each "
            "row, so that a sample can take one per cluster."
        ),
        red="rows are in one cluster that are not nearly the same, or in different "
        "clusters although they are",
        icon="parquet",
        counted="rows",
        long_checks=True,
    ),
}
