"""Writes docs/checks.md from the table of kinds and the checks themselves.

    python tooling/reference.py          writes it
    python tooling/reference.py --print  prints it

A test compares the committed file with what `checks_page` gives.
"""

from __future__ import annotations

import sys
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import ArtifactCheck, checks_of
from wmtp_assets.artifacts.checks.common import EVERY
from wmtp_assets.catalog import Catalog, UpstreamModel, load_catalog
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.catalog.dataset_entries import Execution, Quality
from wmtp_assets.catalog.upstream_entries import File
from wmtp_assets.generations import CONTRACTS

PAGE = Path(__file__).parents[1] / "docs" / "checks.md"

# What a kind of artifact is, for a heading.
TITLES = {
    Kind.RAW: "Fetched files (`raw`)",
    Kind.TOKENIZER: "Tokenizers (`tokenizer`)",
    Kind.CHECKPOINT: "Checkpoints (`checkpoint`)",
    Kind.SHARDS: "Sharded views of checkpoints (`shards`)",
    Kind.CERTIFICATE: "certificate.json (`certificate`)",
    Kind.CONFIG: "params.json and config.json (`config`)",
    Kind.ADAPTER: "meta_adapter.yaml (`adapter`)",
    Kind.MODEL_METADATA: "metadata.json (`model_metadata`)",
    Kind.MODEL_CARD: "Cards of models (`model_card`)",
    Kind.SPLIT: "Splits (`split`)",
    Kind.SPLIT_METADATA: "Metadata of splits (`split_metadata`)",
    Kind.SPLIT_METADATA_CURRENT: (
        "Metadata of splits for today's training (`split_metadata_current`)"
    ),
    Kind.SCHEMA: "schema.json and cards (`schema`)",
    Kind.DATASET_CARD: "Cards of datasets, and Croissant (`dataset_card`)",
    Kind.SMALL_SPLIT: "Small copies of splits (`small_split`)",
    Kind.SMALL_METADATA: "Metadata of small copies (`small_metadata`)",
    Kind.SMALL_METADATA_CURRENT: (
        "Metadata of small copies for today's training (`small_metadata_current`)"
    ),
    Kind.PACKAGE_FILE: "Files that evaluation packages read (`package_file`)",
    Kind.EVALUATION: "Evaluation files (`eval`)",
    Kind.TESTS: "Tests of whole problems (`tests`)",
    Kind.QUALITY_CARD: "Summaries of the quality analyses (`quality_card`)",
    Kind.RAW_VIEW: "Fetched files under `raw/` (`raw_view`)",
    Kind.VERDICTS: "Executed solutions (`verdicts`)",
    Kind.LEAKS: "Leaks (`leaks`)",
    Kind.DUPLICATES: "Near-duplicates (`duplicates`)",
}

# Which artifacts have a check that not every artifact of the kind has.
ONLY = {
    "weights_kept": "repositories with weights",
    "mtp_loads_strictly": "models of the layout meta-mtp",
    "mtp_forward_shape": "models of the layout meta-mtp",
    "mtp_gradients": "models of the layout meta-mtp",
    "causal_lm_loads": "models of the layout llama",
    "reward_model_scores": "models of the layout llama-reward",
    "file_size_within_limit": "micro models",
    "source_dtype_stated": "fetched models",
    "overflow_waived": "models with `waive_overflow`, and slices of them",
    "tokenizer_shared": "models that share a tokenizer and also have one in their repository",
    "tokenizer_file_shared": "models that share a tokenizer and also have one in their repository",
    "references_pass": "layouts with one solution per task",
    "labels_hold": "layouts whose rows have a class",
    "tests_present": "layouts whose rows have tests: mbpp, humaneval, mbpp-plus and humaneval-plus",
    "difficulty_in_training_range": "layouts whose rows have difficulties: code-contests and "
    "code-contests-plus",
}

HEAD = """\
# The checks

<!-- Written by `python tooling/reference.py` from the checks themselves: do not edit. -->

This page lists every check of every kind of artifact. Dagster shows them on the page of their
asset. `wmtp materialize`, `wmtp verify --deep` and the gate run all of them; plain `wmtp verify`
runs the quick ones, which read only records, sizes and headers.
[How to add a check](how-to-add-a-check.md).

- **blocking**: if it fails, nothing is made from the artifact, the run fails (exit status 1), and
  the gate closes.
- **warning**: a person decides. The gate lists it under its recommended conditions and stays open.

A check that cannot read a file fails with the reader's message. The hint of a failed check is a
command if there is one, and a test executes each of these commands.
"""

TAIL = """\
## What is published (`published`)

This is not a check of one artifact: `wmtp verify` and the gate also verify every path that readers
open.

| check | severity | quick | it verifies |
| --- | --- | --- | --- |
| `published` | blocking; a warning for optional models and for other files beside published \
folders \
| yes | The contract's paths lead to the versions that were verified, and no other file is among \
them. |

## The gate

The gate (`phase2_readiness.json`, `wmtp gate`, the asset at the end of the lineage) is open when
every required condition is met. Each is recomputed from the files; Dagster's database is not read.

| condition | required | in the first phase | met if |
| --- | --- | --- | --- |
| `<name>_ready` | yes; for each required model and dataset (the tokenizer is part of the model \
that it \
comes from) | meta-llama-mtp, codecontests | every file of it exists and passes its blocking \
checks |
| `metadata_files` | yes | yes | entry i of every metadata file describes line i of its JSONL |
| `sha256_verified` | yes | yes | every file has the SHA-256 that its receipt and SHA256SUMS state |
| `dtype_kept` | yes | yes | every tensor has the dtype that the catalog states (float16 in both \
shipped catalogs) |
| `published` | yes | | the contract's paths lead to what was verified |
| `catalog_shipped` | no | | the catalog is one that this package ships, unchanged |
| `safetensors_round_trip` | no | yes | every tensor is the same after the safetensors library \
loads, saves and loads it again: the check of that name |
| `tokenizer_shared` | no | yes | for every model that shares a tokenizer (the reference model \
is one), the tokenizer in its repository is the shared file: `tokenizer_shared` and \
`tokenizer_file_shared` |
| `metadata_structure` | no | yes | every metadata file of a model or split has the fields and \
types of its schema: the check of that name |
| `recommended` | no | | there is no other warning |

The first phase's contract requires five conditions and recommends three; the gate has them
under the same names, and has further ones. If a recommended condition is not met, the gate warns
and stays open. For each condition, the gate's report states the checks from which it is computed
(`computed_from`), the number of their results (`results`), and every reason why it is not met. The
check `tokenizer_shared` is stricter than the first phase requires: a model whose tokenizer gives
other ids is not ready.
"""


def checks_page() -> str:
    """docs/checks.md: a table of the checks of each kind of artifact.

    Raises LookupError where a kind has no title, or where it is not stated which artifacts have a
    check that the others of their kind do not have.
    """
    parts = [HEAD, f"## Every artifact\n\n{_table(list(EVERY), set())}"]
    for kind in Kind:
        found, partial = _of_kind(kind)
        parts.append(f"## {TITLES[kind]}\n\n{_table(found, partial)}")
    return "\n".join([*parts, TAIL])


def _of_kind(kind: Kind) -> tuple[list[ArtifactCheck], set[str]]:
    """The checks of a kind beside those of every artifact, and the names of those that some of its
    artifacts do not have."""
    widest = _widest(load_catalog("full"))
    # Small copies are those of the newest generation that is served.
    served = [widest.model_copy(update={"contract": (one,)}) for one in CONTRACTS]
    listed = [
        [one for one in checks_of(project, artifact) if one not in EVERY]
        for project in (Project(catalog, Path()) for catalog in served)
        for artifact in project.artifacts.values()
        if artifact.kind is kind
    ]
    found = {one.name: one for checks in listed for one in checks}
    partial = {n for n in found if any(n not in {one.name for one in own} for own in listed)}
    return list(found.values()), partial


def _widest(catalog: Catalog) -> Catalog:
    """The catalog with everything that an entry may ask for: shards, a waiver, a package's file."""
    models = dict(catalog.models)
    for name, model in models.items():
        if isinstance(model, UpstreamModel) and model.layout == "llama":
            asked = {"shard_bytes": 1 << 30, "waive_overflow": ("lm_head.weight",)}
            models[name] = model.model_copy(update=asked)
    plus = {"layout": "humaneval-plus", "package_file": File(path="test.jsonl")}
    datasets = {**catalog.datasets, "plus": catalog.datasets["humaneval"].model_copy(update=plus)}
    executed = Execution(rows={"test": "all"})
    asked_of_rows = {
        "codecontests": Quality(execute=executed, leaks=("train",), duplicates=("train",)),
        "mbpp": Quality(execute=executed),
    }
    for name, asked_for in asked_of_rows.items():
        datasets[name] = datasets[name].model_copy(update={"quality": asked_for})
    return catalog.model_copy(update={"models": models, "datasets": datasets})


def _table(checks: list[ArtifactCheck], partial: set[str]) -> str:
    lines = ["| check | severity | quick | it verifies |", "| --- | --- | --- | --- |"]
    for one in checks:
        severity = "blocking" if one.blocking else "warning"
        only = f" Only for {ONLY[one.name]}." if one.name in partial else ""
        quick = "yes" if one.quick else ""
        lines.append(f"| `{one.name}` | {severity} | {quick} | {one.description}{only} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(checks_page(), end="")
    else:
        PAGE.write_text(checks_page(), encoding="utf-8")
