"""The kinds of artifacts: one row per kind, and everything that depends on the kind is in its row.

A new kind is a row here, its functions, and a line in `catalog/artifacts.py` that says which
artifacts are of it. Everything else (staleness, Dagster, the gate, the command line) reads the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from wmtp_assets.artifacts import facts
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
from wmtp_assets.artifacts.make.task import Divided, Maker
from wmtp_assets.artifacts.project import Project
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
from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.catalog import Catalog, MicroModel
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact, Kind
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.catalog.tokenizers import published_files
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.corpora.shard_parts import format_shards
from wmtp_assets.execution.tasks import HARNESS
from wmtp_assets.quality.judged_parts import judge_rows
from wmtp_assets.quality.leaks.parts import search_rows
from wmtp_assets.storage.receipts import Receipt


def _every_input(artifact: Artifact) -> tuple[str, ...]:
    return artifact.inputs


def _no_file(_: Artifact) -> tuple[str, ...]:
    return ()


def _always(_: Receipt) -> bool:
    return True


@dataclass(frozen=True)
class ArtifactKind:
    """What is the same for all artifacts of a kind.

    `make` fills the artifact's folder from the inputs that `loads` names (the others count for
    staleness only); `beside` gives the files in it that no published path leads to, a folder as
    `name/`. `loaded_as` is the handle that readers get, `facts` gives what the
    receipt must state by what the files hold, `checks` names its `KindChecks` (by
    "module:name": checks compare artifacts with their recipes, which need this table).
    `code_version` gets a new number when `make` gives other bytes for the same inputs: what the old
    code made is then made again; where `of_format`, the version of the dataset's format counts as
    well (`code_version_of`). `describe` (one sentence), `red` (what it means that a check
    failed), `icon` (one that Dagster has), `row_schema` (the JSON Schema whose fields Dagster
    lists as columns, above all pictures) and `page` are for the page of the asset; `page` names the
    function that gives what is shown there (by "module:name": `pages/` is built upon this package).
    `fit` says of a receipt with the artifact's recipe whether it will do on this machine; if not,
    it is stale. `counted` is for the table of a run; `long_checks` says that its checks read what
    may be gigabytes: they come after those of other kinds. `divided`: how an engine works on it in
    parts; None where one process makes it.
    """

    make: Maker
    loaded_as: type[Handle]
    facts: Callable[[Project, Artifact, Handle], Mapping[str, object]]
    checks: str
    describe: Callable[[Catalog, Artifact], str]
    red: str
    icon: str
    page: str = "wmtp_assets.pages.asset.documents:of_stated"
    code_version: str = "1"
    of_format: bool = False
    loads: Callable[[Artifact], tuple[str, ...]] = _every_input
    beside: Callable[[Artifact], tuple[str, ...]] = _no_file
    fit: Callable[[Receipt], bool] = _always
    counted: Literal["parameters", "rows"] | None = None
    long_checks: bool = False
    row_schema: Callable[[Catalog, Artifact], Mapping[str, Any]] | None = None
    divided: Divided | None = None


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


def _text(description: str) -> Callable[[Catalog, Artifact], str]:
    return lambda _catalog, _artifact: description


def _files_of_repository(_: Catalog, artifact: Artifact) -> str:
    return f"The files taken from {UpstreamFiles.of(artifact).repo.name}, verified on arrival."


def _tokenizer(_: Catalog, artifact: Artifact) -> str:
    is_json = published_files(artifact.settings)[0] == "tokenizer.json"
    file = "A tokenizer.json" if is_json else "LLaMA's SentencePiece model"
    whose = (
        "Every model shares it."
        if artifact.name == TOKENIZER
        else f"{artifact.owner} has it, and what names that model."
    )
    return (
        f"{file}, and the documents with which transformers' AutoTokenizer gives the same ids. "
        f"{whose}"
    )


def _converted_or_sliced(catalog: Catalog, artifact: Artifact) -> str:
    model = catalog.models[artifact.owner]
    if isinstance(model, MicroModel):
        return (
            f"{model.layers} layers of {model.slice_of}, {model.dim} wide, cut head by head: small "
            f"enough for {model.target_device}."
        )
    return (
        f"{model.upstream.repository} as one safetensors file, {model.source_dtype} to "
        f"{model.dtype}, each tensor once."
    )


def _shards(_: Catalog, artifact: Artifact) -> str:
    return (
        f"The same tensors as shards of at most {int(str(artifact.settings['shard_bytes'])):,} "
        "bytes with an index, for readers that want them so."
    )


def _rows(catalog: Catalog, artifact: Artifact) -> str:
    dataset = catalog.datasets[artifact.owner]
    return f"{dataset.upstream.repository} {artifact.split}, one Alpaca record per line."


def _chosen_rows(_: Catalog, artifact: Artifact) -> str:
    return (
        f"{artifact.settings['rows']} rows of {artifact.owner} {artifact.split}, chosen over many "
        "problems, difficulties and both classes; the same seed gives the same rows."
    )


def _executed_rows(_: Catalog, artifact: Artifact) -> str:
    rows = artifact.settings["rows"]
    which = "All rows" if rows == "all" else f"{int(str(rows)):,} rows"
    return (
        f"{which} of {artifact.owner} {artifact.split}, executed against their tests: a verdict "
        "for each, and how often labels hold."
    )


def _package_file(catalog: Catalog, artifact: Artifact) -> str:
    package = format_of(catalog, artifact).package
    by = f"{package.package}, which finds it by {package.variable}" if package else "a package"
    return f"Upstream's {artifact.settings['file']} as it is, read offline by {by}."


def _row_schema(catalog: Catalog, artifact: Artifact) -> Mapping[str, Any]:
    return row_schema(format_of(catalog, artifact))


_ROW_METADATA = ArtifactKind(
    make=datasets.describe_rows,
    loaded_as=Document,
    facts=facts.of_row_metadata,
    checks="wmtp_assets.artifacts.checks.datasets:SPLIT_METADATA",
    page="wmtp_assets.pages.asset.rows:of_row_metadata",
    describe=_text(
        "Entry i holds class and difficulty of line i of the JSONL, so that training picks rows "
        "without reading them."
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
    describe=_text(
        "Entry i holds class, difficulty and problem of line i of the JSONL, and problem_index_map "
        "each problem's lines by class with their tokens: today's training draws pairs from it."
    ),
    red="it does not list the lines of the JSONL as they are",
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
        describe=_files_of_repository,
        red="a fetched file is missing, or is not the one that this commit has",
        icon="huggingface",
        beside=_files(LISTING),
    ),
    Kind.TOKENIZER: ArtifactKind(
        make=models.write_tokenizer,
        loaded_as=Tokenizer,
        facts=facts.of_tokenizer,
        checks="wmtp_assets.artifacts.checks.models:TOKENIZERS",
        page="wmtp_assets.pages.asset.documents:of_tokenizer",
        describe=_tokenizer,
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
        describe=_converted_or_sliced,
        red="a dtype, shape, count or value is not that of the source",
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
        describe=_shards,
        red="the shards do not hold the checkpoint's tensors",
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
        describe=_text(
            "What came out of what, tensor by tensor: names, shapes, dtypes and digests before and "
            "after, the greatest cast error, and the reason for every entry left out."
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
        describe=_text(
            "The model's config: upstream's known settings, with sizes and dtype that the tensors "
            "show."
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
        describe=_text(
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
        describe=_text(
            "What this model is: counts, dtype, digests, where it came from and what was done."
        ),
        red="it states something else than the files hold",
        icon="json",
        code_version="3",  # model_name, version, files, source and what else training reads
        loads=models.metadata_inputs,
    ),
    Kind.MODEL_CARD: ArtifactKind(
        make=cards.write_model_card,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_card,
        checks="wmtp_assets.artifacts.checks.cards:MODEL_CARDS",
        describe=_text(
            "README.md in the Hub's format: what this model is, from where, how it is loaded, "
            "digests and terms."
        ),
        red="it states something else than metadata.json and the catalog",
        icon="markdown",
    ),
    Kind.SPLIT: ArtifactKind(
        make=datasets.build_rows,
        loaded_as=Split,
        facts=facts.of_split,
        checks="wmtp_assets.artifacts.checks.datasets:SPLITS",
        page="wmtp_assets.pages.asset.rows:of_rows",
        describe=_rows,
        red="rows, counts or order are not what upstream's files give",
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
        describe=_text(
            "JSON Schema of a row, and the cards that declare the rows' files to Hugging Face's "
            "datasets."
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
        describe=_text(
            "README.md in the Hub's format and croissant.json: splits, fields, counts, digests, "
            "what was left out, and terms."
        ),
        red="it states something else than the splits and the catalog",
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
        describe=_chosen_rows,
        red="its rows are not those that the seed chooses",
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
        describe=_package_file,
        red="the evaluation package would read something else than upstream's file",
        icon="json",
        loads=lambda artifact: artifact.inputs[:1],
    ),
    Kind.EVALUATION: ArtifactKind(
        make=evaluation.write_problems,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_evaluation,
        checks="wmtp_assets.artifacts.checks.evaluation:EVALUATION",
        describe=_text(
            "Every problem on a line of its own, whether or not it gave rows: statement, limits, "
            "and all of its tests."
        ),
        red="its problems or tests are not what upstream's files have",
        icon="json",
    ),
    Kind.TESTS: ArtifactKind(
        make=evaluation.write_all_tests,
        loaded_as=Handle,
        facts=facts.of_tests,
        checks="wmtp_assets.artifacts.checks.evaluation:TESTS",
        describe=_text(
            "The public, private and generated tests of every problem: as JSON, and as Parquet, "
            "from which one problem's are read alone."
        ),
        red="its tests are not what upstream's files have",
        icon="parquet",
        long_checks=True,
    ),
    Kind.LEAKS: ArtifactKind(
        make=leaks.search_rows,
        loaded_as=Handle,
        facts=facts.of_leaks,
        checks="wmtp_assets.artifacts.checks.leaks:LEAKS",
        page="wmtp_assets.pages.asset.quality:of_leaks",
        describe=_text(
            "The rows that hold what models are evaluated on: verbatim, reformatted or renamed, "
            "with both texts."
        ),
        red="its lines are not what searching the rows finds",
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
        describe=_text(
            "What executing and comparing rows found, to be quoted: rates with intervals, leaks "
            "and clusters as Markdown, and every figure as JSON."
        ),
        red="it states something else than the files about rows",
        icon="markdown",
        loads=lambda _: (),
    ),
    Kind.VERDICTS: ArtifactKind(
        make=verdicts.execute_rows,
        loaded_as=Handle,  # no artifact is made from it
        facts=facts.of_verdicts,
        checks="wmtp_assets.artifacts.checks.verdicts:VERDICTS",
        describe=_executed_rows,
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
        describe=_text(
            "Upstream's files as they were fetched, without a model's weights; their bytes are "
            "stored once."
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
        describe=_text(
            "Which rows of a problem are nearly the same text: the cluster of each, so that a "
            "sample can have one of them."
        ),
        red="rows are together that are not nearly the same, or apart that are",
        icon="parquet",
        counted="rows",
        long_checks=True,
    ),
}
