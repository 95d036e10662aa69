"""The table of questions: what is asked of each artifact. Dagster shows them as checks."""

from __future__ import annotations

from dataclasses import dataclass

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.released_weights import checkpoint_of
from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.checkpoints.configs import MTP, REWARD
from wmtp_assets.corpora.formats import FORMATS


@dataclass(frozen=True)
class Check:
    """A question that is asked of an artifact; `blocking` when wrong data would flow on."""

    name: str
    description: str
    blocking: bool = True


UNCHANGED = Check("files_unchanged", "Every file has the size and SHA-256 that its receipt states.")
INPUTS = Check(
    "inputs_current",
    "It was made from what its inputs are now, by what the catalog says of it now, and by this "
    "version of the code.",
)
FETCHED = Check(
    "fetched_files",
    "Every fetched file has the SHA-256 recorded on arrival, and the catalog's; of its commit.",
)
KEPT = Check(
    "weights_kept",
    "What the checkpoint was converted from is still here (gc --raw lets it go).",
    blocking=False,
)
CHECKPOINT = (
    Check("safetensors_readable", "The file's header describes every byte of it."),
    Check("sha256sums_recomputed", "SHA256SUMS, recomputed, is right."),
    Check("dtype_of_every_tensor", "Every tensor has the catalog's dtype, by the file's header."),
    Check("names_and_shapes", "Exactly the tensors that the config demands, in its shapes."),
    Check("tensor_count", "As many tensors as the catalog expects."),
    Check("parameter_count", "As many parameters as the catalog expects."),
    Check("finite_values", "No value is infinite or NaN."),
    Check("certificate_matches_target", "Every tensor's SHA-256 is the certified one."),
    Check(
        "sampled_values_equal_source",
        "Values from every tensor, drawn at random, equal the source's after the stated cast, bit "
        "for bit.",
    ),
    Check(
        "values_survive_cast",
        "No tensor that has values at the source is all zeros; what became zero is counted.",
    ),
    Check(
        "certificate_describes_source",
        "The certificate says of the source what the source and the catalog say.",
    ),
)
SOURCE_DTYPE = Check(
    "source_dtype_stated", "Every tensor that was converted has the catalog's source_dtype."
)
# What is answered by the source of a converted checkpoint.
OF_SOURCE = (*(check.name for check in CHECKPOINT[-3:]), SOURCE_DTYPE.name)
WAIVED = Check(
    "overflow_waived",
    "Values that became infinite in tensors for which the catalog waives it (waive_overflow).",
    blocking=False,
)
DERIVED = Check(
    "derived_from_inputs", "Derived from its inputs again, every file is the same, byte for byte."
)
MICRO_SIZE = Check("file_size_within_limit", "The file is as small as the catalog demands.")
MTP_LOADS = (
    Check("mtp_loads_strictly", "The plain-PyTorch transformer loads every tensor, and no other."),
    Check("mtp_forward_shape", "Logits are (batch, seq, n_future_tokens, vocab), and finite."),
    Check("mtp_gradients", "A loss over all heads gives every head finite gradients."),
)
LLAMA_LOADS = Check("causal_lm_loads", "AutoModelForCausalLM loads it with no further argument.")
REWARD_LOADS = Check("reward_model_scores", "The reward head loads it strictly and scores a text.")
TOKENIZER = (
    Check("tokenizer_digest", "tokenizer.model is the file that the catalog names."),
    Check("tokenizer_vocabulary", "It has as many pieces as the catalog expects."),
    Check("tokenizer_ids", "AutoTokenizer gives SentencePiece's ids on a probe corpus."),
)
CERTIFICATE = Check("certificate_of_checkpoint", "It certifies the checkpoint that is stored.")
SHARDS = Check("shards_equal_checkpoint", "The shards hold the single file's tensors, bit for bit.")
CONFIG = Check("config_describes_tensors", "The config states the sizes that the tensors have.")
ADAPTER = Check("meta_adapter_agrees", "meta_adapter.yaml says what params.json and tensors say.")
METADATA = Check("metadata_agrees", "metadata.json says what config and tensors say.")
FITS = Check(
    "tokenizer_fits_model", "The tokenizer has the embedding's size and the config's special ids."
)
SHARED = Check("tokenizer_shared", "The model's own tokenizer upstream is the shared one.")
SPLIT = (
    Check("row_counts", "As many rows, per class too, as the catalog expects."),
    Check("record_schema", "Every record has the fields and types of the schema (pandera)."),
    Check("class_field", "is_correct is a boolean where it belongs and absent where it does not."),
    Check("difficulty_known", "Every difficulty is one of upstream's values."),
    Check("index_describes_lines", "The row index tells offset, length and class of each line."),
    Check("task_ids_unique", "No task id stands twice."),
    Check("stats_add_up", "The statistics are those of the rows."),
    Check("token_sums", "Every row's tokens sum up to the limit at most."),
    Check("schema_describes_rows", "schema.json describes every row."),
    Check(
        "rows_equal_source",
        "The rows are what upstream's shards give: all of a small source, a sample of a large one.",
    ),
)
SPLIT_METADATA = (
    Check("metadata_matches_lines", "Entry i describes line i of the JSONL, for every i."),
    Check("metadata_stats_add_up", "Its statistics are those of the lines."),
)
SCHEMA = Check("schema_is_ours", "schema.json is the schema that the rows are checked by.")
CARDS = Check("data_files_declared", "README.md declares the rows' files to `load_dataset`.")


def checks_of(project: Project, artifact: Artifact) -> list[Check]:
    """The questions asked of an artifact, in the order of their answers."""
    asked = [UNCHANGED, INPUTS]
    match artifact.kind:
        case Kind.RAW:
            asked.append(FETCHED)
            if checkpoint_of(project, artifact.name) is not None:
                asked.append(KEPT)
        case Kind.CHECKPOINT:
            asked += [*CHECKPOINT, *_loads(project, artifact)]
            if isinstance(project.catalog.models[artifact.owner], MicroModel):
                asked.append(MICRO_SIZE)
            else:
                asked.append(SOURCE_DTYPE)
            if waiver_of(project, artifact.owner):
                asked.append(WAIVED)
        case Kind.TOKENIZER:
            asked += [*TOKENIZER, DERIVED]
        case Kind.CERTIFICATE:
            asked.append(CERTIFICATE)
        case Kind.SHARDS:
            asked.append(SHARDS)
        case Kind.CONFIG:
            asked += [CONFIG, DERIVED]
        case Kind.ADAPTER:
            asked += [ADAPTER, DERIVED]
        case Kind.MODEL_METADATA:
            asked += [METADATA, DERIVED, FITS]
            if own_tokenizer(project, artifact) is not None:
                asked.append(SHARED)
        case Kind.SPLIT | Kind.SMALL_SPLIT:
            own = FORMATS[project.catalog.datasets[artifact.owner].layout].checks
            asked += [*SPLIT, *(Check(it.name, it.description, it.blocking) for it in own)]
        case Kind.SPLIT_METADATA | Kind.SMALL_METADATA:
            asked += SPLIT_METADATA
        case Kind.SCHEMA:
            asked += [SCHEMA, CARDS]
    return asked


def _loads(project: Project, artifact: Artifact) -> tuple[Check, ...]:
    layout = layout_of(project.catalog, artifact.owner)
    if layout == MTP:
        return MTP_LOADS
    return (REWARD_LOADS,) if layout == REWARD else (LLAMA_LOADS,)


def waiver_of(project: Project, owner: str) -> frozenset[str]:
    """The tensors for which the catalog waives overflow: a model's, or those of a slice's base."""
    model = project.catalog.models[owner]
    base = project.catalog.models[model.slice_of] if isinstance(model, MicroModel) else model
    return frozenset(base.waive_overflow) if isinstance(base, UpstreamModel) else frozenset()


def own_tokenizer(project: Project, artifact: Artifact) -> str | None:
    """The path upstream of a model's own tokenizer, where it is not the one that is shared."""
    model = project.catalog.models[artifact.owner]
    is_origin = artifact.owner == project.catalog.tokenizer.from_model
    if is_origin or not isinstance(model, UpstreamModel) or model.files.tokenizer is None:
        return None
    return model.files.tokenizer.path
