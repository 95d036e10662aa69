"""Which questions are asked of each artifact, and who answers them from the files.

The table `proofs_of` is what Dagster shows as checks; `prove` answers it. The answers come from the
packages that know (`checkpoints/proofs.py`, `mtp/proofs.py`, `corpora/proofs.py`, ...). Dagster's
checks, `wmtp verify` and the gate all call `prove`, and nothing here reads Dagster's database.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.catalog.artifacts import Artifact, Kind, model_artifact
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.configs import MTP, REWARD, derived_config, prove_configs
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.proofs import ExpectedCheckpoint, prove_checkpoint, prove_header
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.tokenizers import prove_same_tokenizer, prove_tokenizer
from wmtp_assets.corpora.proofs import prove_metadata, prove_split
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.handles import Checkpoint, Document, Fetched, Split, Tokenizer, demand
from wmtp_assets.mtp.proofs import prove_causal_lm, prove_mtp, prove_reward_model
from wmtp_assets.plans import conversion_plan, slice_plan, upstream_config
from wmtp_assets.project import Project
from wmtp_assets.storage.digests import sha256_files
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.upstream import Taken

#: The names by which `corpora/` knows the datasets of each layout of the catalog.
RECORDS = {"code-contests": "codecontests", "mbpp": "mbpp", "humaneval": "humaneval"}


@dataclass(frozen=True)
class Proof:
    """A question that is asked of an artifact; `blocking` when wrong data would flow on."""

    name: str
    description: str
    blocking: bool = True


UNCHANGED = Proof("files_unchanged", "Every file has the size and SHA-256 that its receipt states.")
INPUTS = Proof(
    "inputs_current", "It was made from what its inputs are now, and not from older ones."
)
FETCHED = Proof(
    "fetched_files", "Every fetched file has the SHA-256 recorded on arrival, and the catalog's."
)
CHECKPOINT = (
    Proof("safetensors_readable", "The file's header describes every byte of it."),
    Proof("sha256sums_recomputed", "SHA256SUMS, recomputed, is right."),
    Proof("dtype_of_every_tensor", "Every tensor has the catalog's dtype, by the file's header."),
    Proof("names_and_shapes", "Exactly the tensors that the config demands, in its shapes."),
    Proof("tensor_count", "As many tensors as the catalog expects."),
    Proof("parameter_count", "As many parameters as the catalog expects."),
    Proof("finite_values", "No value is infinite or NaN."),
    Proof("certificate_matches_target", "Every tensor's SHA-256 is the certified one."),
    Proof(
        "sampled_values_equal_source",
        "Values from every tensor equal the source's after the stated cast, bit for bit.",
    ),
)
MICRO_SIZE = Proof("file_size_within_limit", "The file is as small as the catalog demands.")
MTP_LOADS = (
    Proof("mtp_loads_strictly", "The plain-PyTorch transformer loads every tensor, and no other."),
    Proof("mtp_forward_shape", "Logits are (batch, seq, n_future_tokens, vocab), and finite."),
    Proof("mtp_gradients", "A loss over all heads gives every head finite gradients."),
)
LLAMA_LOADS = Proof("causal_lm_loads", "AutoModelForCausalLM loads it with no further argument.")
REWARD_LOADS = Proof("reward_model_scores", "The reward head loads it strictly and scores a text.")
TOKENIZER = (
    Proof("tokenizer_digest", "tokenizer.model is the file that the catalog names."),
    Proof("tokenizer_vocabulary", "It has as many pieces as the catalog expects."),
    Proof("tokenizer_ids", "AutoTokenizer gives SentencePiece's ids on a probe corpus."),
)
CERTIFICATE = Proof("certificate_of_checkpoint", "It certifies the checkpoint that is stored.")
CONFIG = Proof("config_describes_tensors", "The config states the sizes that the tensors have.")
ADAPTER = Proof("meta_adapter_agrees", "meta_adapter.yaml says what params.json and tensors say.")
METADATA = Proof("metadata_agrees", "metadata.json says what config and tensors say.")
SHARED = Proof("tokenizer_shared", "The model's own tokenizer upstream is the shared one.")
SPLIT = (
    Proof("row_counts", "As many rows, per class too, as the catalog expects."),
    Proof("record_schema", "Every record has the fields and types of the schema (pandera)."),
    Proof("class_field", "is_correct is a boolean where it belongs and absent where it does not."),
    Proof("difficulty_known", "Every difficulty is one of upstream's values."),
    Proof("index_describes_lines", "The row index tells offset, length and class of each line."),
    Proof("task_ids_unique", "No task id stands twice."),
    Proof("stats_add_up", "The statistics are those of the rows."),
    Proof("token_sums", "Every row's tokens sum up to the limit at most."),
    Proof("schema_describes_rows", "schema.json describes every row."),
)
TRAINING_RANGE = Proof(
    "difficulty_in_training_range",
    "Difficulties lie within the 1-11 that training samples from. Rows beyond are kept.",
    blocking=False,
)
TESTS = Proof("tests_present", "Every row has its tests.")
SPLIT_METADATA = (
    Proof("metadata_matches_lines", "Entry i describes line i of the JSONL, for every i."),
    Proof("metadata_stats_add_up", "Its statistics are those of the lines."),
)
SCHEMA = Proof("schema_is_ours", "schema.json is the schema that the rows are checked by.")


def proofs_of(project: Project, artifact: Artifact) -> list[Proof]:
    """The questions asked of an artifact, in the order of their answers."""
    asked = [UNCHANGED] if artifact.kind is Kind.RAW else [UNCHANGED, INPUTS]
    match artifact.kind:
        case Kind.RAW:
            asked.append(FETCHED)
        case Kind.CHECKPOINT:
            asked += [*CHECKPOINT, *_loads(project, artifact)]
            if isinstance(project.catalog.models[artifact.owner], MicroModel):
                asked.append(MICRO_SIZE)
        case Kind.TOKENIZER:
            asked += TOKENIZER
        case Kind.CERTIFICATE:
            asked.append(CERTIFICATE)
        case Kind.CONFIG:
            asked.append(CONFIG)
        case Kind.ADAPTER:
            asked.append(ADAPTER)
        case Kind.MODEL_METADATA:
            asked.append(METADATA)
            if _own_tokenizer(project, artifact) is not None:
                asked.append(SHARED)
        case Kind.SPLIT | Kind.SMALL_SPLIT:
            classed = project.catalog.datasets[artifact.owner].layout == "code-contests"
            asked += [*SPLIT, TRAINING_RANGE if classed else TESTS]
        case Kind.SPLIT_METADATA | Kind.SMALL_METADATA:
            asked += SPLIT_METADATA
        case Kind.SCHEMA:
            asked.append(SCHEMA)
    return asked


def prove(project: Project, artifact: Artifact) -> list[Finding]:
    """Answers every question of `proofs_of` from the files, in that order.

    Never raises WmtpError: what cannot be read is a failed finding with the error's words. A
    question that its answerer left open (because an earlier one already failed) has failed too.
    """
    given: dict[str, Finding] = {}
    problem = ""
    try:
        demand(project.store, artifact.name)
        for finding in _answers(project, artifact):
            given[finding.name] = finding
    except (WmtpError, OSError) as error:
        problem = str(error)
    return [
        _with_blocking(given.get(proof.name) or _open(project, artifact, proof, problem), proof)
        for proof in proofs_of(project, artifact)
    ]


def quick(project: Project, artifact: Artifact) -> list[Finding]:
    """What can be told without reading contents: the receipt, sizes, inputs, and headers."""
    try:
        demand(project.store, artifact.name)
        findings = [_files_unchanged(project, artifact, deep=False)]
        if artifact.kind is not Kind.RAW:
            findings.append(_inputs_current(project, artifact))
        if artifact.kind is Kind.CHECKPOINT:
            checkpoint = Checkpoint(*_place(project, artifact.name))
            expected, _ = _expected(project, artifact)
            findings += prove_header(read_header(checkpoint.path), expected)
    except (WmtpError, OSError) as error:
        return [_open(project, artifact, UNCHANGED, str(error))]
    return findings


def published(project: Project) -> list[Finding]:
    """Whether the contract's paths lead to the artifacts' current versions, for every set."""
    findings = []
    for name, wanted in project.sets.items():
        optional = name.startswith("models/") and _status_of_set(project, name) == "optional"
        wrong = project.store.unpublished(wanted)
        if optional and project.store.publication(name) is None:
            continue
        first = wrong[0] if wrong else None
        findings.append(
            Finding(
                "published",
                not wrong,
                "links to the current versions" if first is None else first.expected,
                "as expected" if first is None else first.found,
                name if first is None else str(first.file),
                mend=f"wmtp materialize {name}" if wrong else "",
                blocking=not optional,
            )
        )
    return findings


def _status_of_set(project: Project, name: str) -> str:
    return project.artifacts[name].status


def _with_blocking(finding: Finding, proof: Proof) -> Finding:
    return Finding(
        finding.name,
        finding.passed,
        finding.expected,
        finding.found,
        finding.where,
        proof.blocking,
        finding.mend,
        finding.details,
    )


def _open(project: Project, artifact: Artifact, proof: Proof, problem: str) -> Finding:
    found = problem or "could not be told: an earlier answer failed"
    return Finding(
        proof.name,
        passed=False,
        expected=proof.description,
        found=found,
        where=str(project.storage / next(iter(artifact.links), f"versions/{artifact.name}")),
        mend=f"wmtp materialize {artifact.name} --force",
    )


def _answers(project: Project, artifact: Artifact) -> Iterable[Finding]:
    yield _files_unchanged(project, artifact)
    if artifact.kind is not Kind.RAW:
        yield _inputs_current(project, artifact)
    match artifact.kind:
        case Kind.RAW:
            yield _fetched_files(project, artifact)
        case Kind.CHECKPOINT:
            yield from _checkpoint(project, artifact)
        case Kind.TOKENIZER:
            yield from _tokenizer(project, artifact)
        case Kind.CERTIFICATE:
            yield _certificate(project, artifact)
        case Kind.CONFIG | Kind.ADAPTER | Kind.MODEL_METADATA:
            yield from _documents(project, artifact)
        case Kind.SPLIT | Kind.SMALL_SPLIT:
            yield from _split(project, artifact)
        case Kind.SPLIT_METADATA | Kind.SMALL_METADATA:
            rows = Split(*_place(project, artifact.inputs[0]))
            yield from prove_metadata(Document(*_place(project, artifact.name)).path, rows.jsonl)
        case Kind.SCHEMA:
            yield _schema(project, artifact)


def _place(project: Project, name: str) -> tuple[Path, Receipt]:
    """The folder and the receipt of an artifact that exists; raises StorageError otherwise."""
    receipt = demand(project.store, name)
    return project.store.path(name), receipt


def _files_unchanged(project: Project, artifact: Artifact, deep: bool = True) -> Finding:
    wrong = project.store.mismatches(artifact.name, deep=deep)
    receipt = demand(project.store, artifact.name)
    first = str(wrong[0].file) if wrong else str(project.store.path(artifact.name))
    return Finding(
        UNCHANGED.name,
        not wrong,
        f"{len(receipt.files)} files, {receipt.size} bytes, as their receipt says",
        "; ".join(f"{m.file.name}: {m.found}" for m in wrong) or "as expected",
        first,
        mend=f"wmtp materialize {artifact.name} --force" if wrong else "",
        details={"digest": receipt.digest, "made_at": receipt.made_at},
    )


def _inputs_current(project: Project, artifact: Artifact) -> Finding:
    receipt = demand(project.store, artifact.name)
    now = {name: demand(project.store, name).digest for name in artifact.inputs}
    stale = sorted(name for name, digest in now.items() if receipt.inputs.get(name) != digest)
    return Finding(
        INPUTS.name,
        not stale,
        "the inputs' present digests",
        f"made from another version of {', '.join(stale)}" if stale else "as expected",
        str(project.store.path(artifact.name) / "receipt.json"),
        mend=f"wmtp materialize {artifact.name}" if stale else "",
    )


def _fetched_files(project: Project, artifact: Artifact) -> Finding:
    fetched = _fetched(project, artifact.name)
    listing = fetched.files()
    pinned = {file.path: file.sha256 for file in Taken.by(artifact).files if file.sha256}
    there = {path: at for path, at in fetched.paths().items() if at.is_file()}
    sums = sha256_files(list(there.values()))
    wrong = []
    for path, record in listing.items():
        found = sums[there[path]] if path in there else "no file"
        for source, wanted in (("on arrival", record["sha256"]), ("catalog", pinned.get(path))):
            if wanted is not None and found != wanted:
                wrong.append(f"{path}: {found}, but {source}: {wanted}")
    return Finding(
        FETCHED.name,
        not wrong,
        f"{len(listing)} files with their recorded SHA-256",
        "; ".join(wrong) or "as expected",
        str(fetched.upstream),
        mend=f"wmtp materialize {artifact.name} --force" if wrong else "",
        details={"revision": fetched.revision},
    )


def _loads(project: Project, artifact: Artifact) -> tuple[Proof, ...]:
    layout = layout_of(project.catalog, artifact.owner)
    if layout == MTP:
        return MTP_LOADS
    return (REWARD_LOADS,) if layout == REWARD else (LLAMA_LOADS,)


def _expected(project: Project, artifact: Artifact) -> tuple[ExpectedCheckpoint, Plan]:
    """What catalog and config say of a checkpoint, and the plan that made it."""
    layout = layout_of(project.catalog, artifact.owner)
    model = project.catalog.models[artifact.owner]
    if isinstance(model, MicroModel):
        origin = Checkpoint(*_place(project, artifact.inputs[0]))
        base_config = Document(*_place(project, artifact.inputs[1])).value()
        sliced = slice_plan(model, layout, origin, base_config)
        plan, config = sliced.plan, sliced.config
        dtype = project.catalog.upstream_models()[model.slice_of].dtype
    else:
        raw = _fetched(project, artifact.inputs[0])
        plan, config, dtype = conversion_plan(model, raw), upstream_config(model, raw), model.dtype
    expected = ExpectedCheckpoint(
        layout=layout,
        config=config,
        dtype=DType(dtype),
        parameters=model.expected.parameters,
        tensors=model.expected.tensors,
        max_bytes=model.max_bytes if isinstance(model, MicroModel) else None,
    )
    return expected, plan


def _checkpoint(project: Project, artifact: Artifact) -> Iterable[Finding]:
    checkpoint = Checkpoint(*_place(project, artifact.name))
    expected, plan = _expected(project, artifact)
    layout, config = expected.layout, dict(expected.config)
    certificate = Certificate.from_json(json.loads(checkpoint.certificate.read_bytes()))
    yield from prove_checkpoint(checkpoint.folder, expected, certificate, plan)
    with tempfile.TemporaryDirectory(prefix="wmtp-proof-") as folder:
        document = Path(folder) / "config.json"
        if layout != MTP:
            config = derived_config(layout, config, read_header(checkpoint.path))
        document.write_text(json.dumps(config), encoding="utf-8")
        loads = prove_mtp if layout == MTP else prove_causal_lm
        yield from (prove_reward_model if layout == REWARD else loads)(checkpoint.path, document)


def _certificate(project: Project, artifact: Artifact) -> Finding:
    document = Document(*_place(project, artifact.name))
    checkpoint = Checkpoint(*_place(project, artifact.inputs[0]))
    recorded = checkpoint.receipt.files["model.safetensors"].sha256
    certified = str(document.value().get("target_sha256"))
    same = document.path.read_bytes() == checkpoint.certificate.read_bytes()
    return Finding(
        CERTIFICATE.name,
        same and certified == recorded,
        recorded,
        certified if same else "another certificate than the conversion wrote",
        str(document.path),
        mend="" if same else f"wmtp materialize {artifact.name} --force",
    )


def _fetched(project: Project, name: str) -> Fetched:
    folder, receipt = _place(project, name)
    return Fetched(folder, receipt, project.store.upstream / str(receipt.facts["folder"]))


def _tokenizer(project: Project, artifact: Artifact) -> list[Finding]:
    shared = project.catalog.tokenizer
    file = project.catalog.upstream_models()[shared.from_model].files.tokenizer
    return prove_tokenizer(
        project.store.path(artifact.name),
        vocab_size=shared.vocab_size,
        sha256=file.sha256 if file else None,
    )


def _own_tokenizer(project: Project, artifact: Artifact) -> str | None:
    """The path upstream of a model's own tokenizer, where it is not the one that is shared."""
    model = project.catalog.models[artifact.owner]
    is_origin = artifact.owner == project.catalog.tokenizer.from_model
    if is_origin or not isinstance(model, UpstreamModel) or model.files.tokenizer is None:
        return None
    return model.files.tokenizer.path


def _documents(project: Project, artifact: Artifact) -> Iterable[Finding]:
    layout, owner = layout_of(project.catalog, artifact.owner), artifact.owner
    place = Document(*_place(project, artifact.name)).path
    config = Document(*_place(project, model_artifact(owner, "config"))).path
    findings = prove_configs(
        layout,
        weights=Checkpoint(*_place(project, model_artifact(owner))).path,
        config=config,
        adapter=place if artifact.kind is Kind.ADAPTER else None,
        metadata=place if artifact.kind is Kind.MODEL_METADATA else None,
    )
    # The config's own finding comes first and belongs to the config alone.
    yield findings[0 if artifact.kind is Kind.CONFIG else 1]
    own = _own_tokenizer(project, artifact)
    if artifact.kind is Kind.MODEL_METADATA and own is not None:
        raw = _fetched(project, model_artifact(owner, "raw"))
        shared = Tokenizer(*_place(project, "models/tokenizer"))
        yield prove_same_tokenizer(shared.model, raw.paths()[own])


def _split(project: Project, artifact: Artifact) -> Iterable[Finding]:
    dataset = project.catalog.datasets[artifact.owner]
    rows = Split(*_place(project, artifact.name))
    tokenizer = Tokenizer(*_place(project, "models/tokenizer"))
    expected = dataset.splits[str(artifact.split)]
    wanted, correct, incorrect = expected.rows, expected.correct, expected.incorrect
    if artifact.kind is Kind.SMALL_SPLIT:
        whole = demand(project.store, artifact.inputs[0])
        asked_for = int(str(artifact.settings["rows"]))
        wanted, correct, incorrect = min(asked_for, int(whole.facts["rows"])), None, None
    yield from prove_split(
        rows.jsonl,
        RECORDS[dataset.layout],
        tokenizer=tokenizer.model,
        rows=wanted,
        correct=correct,
        incorrect=incorrect,
        max_tokens=dataset.max_tokens,
    )


def _schema(project: Project, artifact: Artifact) -> Finding:
    layout = project.catalog.datasets[artifact.owner].layout
    document = Document(*_place(project, artifact.name))
    same = document.value() == row_schema(RECORDS[layout])
    return Finding(
        SCHEMA.name,
        same,
        f"the schema of {RECORDS[layout]}",
        "as expected" if same else "another schema",
        str(document.path),
        mend="" if same else f"wmtp materialize {artifact.name} --force",
    )
