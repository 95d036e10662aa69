"""For each check of each kind of artifact, a fault that makes it fail.

Every artifact here is broken in several ways at once, each of which makes other checks of it fail:
what is printed then has to repair them all. `Fault.checks` names those that must fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.artifact_checks.breaking import (
    Change,
    Header,
    checkpoint,
    document,
    flip,
    index,
    join_checkpoint,
    recommit,
    record,
    rows,
    split_checkpoint,
    values,
    without,
)

MTP, MICRO = "models/meta-llama-mtp", "models/micro-mtp"
REF, REWARD = "models/ref-sheared-llama-2.7b", "models/starling-rm-7b"
CODE, MBPP, HUMANEVAL = (
    "datasets/codecontests_valid",
    "datasets/mbpp_validation",
    "datasets/humaneval_test",
)

# What a person decides, or reads: nothing needs to be done about it.
DECISIONS = {
    "difficulty_in_training_range",
    "labels_hold",
    "no_leaks",
    "overlap_between_splits",
    "references_pass",
    "training_apart_from_evaluation",
    "weights_kept",
}


@dataclass(frozen=True)
class Fault:
    """What is done to one artifact of a sound storage, and the checks of it that must fail then."""

    artifact: str
    apply: Callable[[Project], object]
    checks: tuple[str, ...]


def check_of(artifact: Artifact, name: str) -> tuple[str, str]:
    """What stands for one check of one kind: kinds that name the same checks share them."""
    return kind_of(artifact).checks, name


def every_check(*projects: Project) -> set[tuple[str, str]]:
    """The checks of all artifacts of these projects but those about a person's decisions."""
    return {
        check_of(artifact, one.name)
        for project in projects
        for artifact in project.artifacts.values()
        for one in checks_of(project, artifact)
        if one.name not in DECISIONS
    }


# Faults below a receipt that fits.


def remade(artifact: str, *changes: Change, checks: str) -> Fault:
    """The artifact as a wrong maker would have made it: `changes`, one after the other."""

    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return Fault(artifact, partial(recommit, name=artifact, change=change), tuple(checks.split()))


def made_from_others(artifact: str) -> Fault:
    """The artifact with a receipt of other inputs: nothing but the receipt says so."""

    def apply(project: Project) -> None:
        receipt = project.store.current(artifact)
        assert receipt is not None
        recommit(project, artifact, lambda folder: None, inputs=dict.fromkeys(receipt.inputs, "0"))

    return Fault(artifact, apply, ("inputs_current",))


def miscounted(fault: Fault) -> Fault:
    """`fault`, and a receipt that states a fact more, sealed by its own function."""

    def apply(project: Project) -> None:
        fault.apply(project)
        receipt = project.store.current(fault.artifact)
        assert receipt is not None
        forged = replace(receipt, facts={**receipt.facts, "note": 99})
        (project.store.path(fault.artifact) / "receipt.json").write_bytes(forged.to_bytes())

    return replace(fault, apply=apply, checks=(*fault.checks, "receipt_facts"))


# Faults of the disk.


def also_flipped(fault: Fault, file: str, behind: bytes = b"") -> Fault:
    """`fault`, with a fact more in the receipt, and then a byte of one of the files flipped below
    it: its last digit, so that JSON and YAML stay what they are, or the first one that follows
    `behind`."""
    fault = miscounted(fault)

    def apply(project: Project) -> None:
        fault.apply(project)
        path = project.store.path(fault.artifact) / file
        data = path.read_bytes()
        start = data.rindex(behind) if behind else 0
        digits = [at for at, byte in enumerate(data) if at >= start and byte in b"0123456789"]
        flip(path, digits[0 if behind else -1])

    return replace(fault, apply=apply, checks=(*fault.checks, "files_unchanged"))


def nothing(artifact: str) -> Fault:
    return Fault(artifact, lambda project: None, ())


def flipped_upstream(pattern: str, artifact: str, checks: str) -> Fault:
    def apply(project: Project) -> None:
        (path,) = project.store.upstream.glob(pattern)
        flip(path, 3)

    return Fault(artifact, apply, tuple(checks.split()))


# Changes.


def set_to(value: float, *, at: slice = slice(None)) -> Callable[[np.ndarray[Any, Any]], None]:
    def fill(tensor: np.ndarray[Any, Any]) -> None:
        tensor[at] = value

    return fill


def trailing(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(bytes(8))


def wrong_sum(folder: Path) -> None:
    text = (folder / "SHA256SUMS").read_text(encoding="utf-8")
    (folder / "SHA256SUMS").write_text("0" * 64 + text[64:], encoding="utf-8")


def other_dtype(header: Header, data: bytearray) -> None:
    header["model.layers.2.mlp.up_proj.weight"]["dtype"] = "BF16"


def blind(header: Header, data: bytearray) -> None:
    begin, end = header["v_head.weight"]["data_offsets"]
    data[begin:end] = bytes(end - begin)


def other_theta(folder: Path) -> None:
    path = folder / "meta_adapter.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("rope_theta: 10000.0", "rope_theta: 500000.0"), "utf-8")


def one_piece_more(folder: Path) -> None:
    """Adds a piece to SentencePiece's list (field 1): its text, and its score."""
    piece = b"\x0a\x05qqqqq" + b"\x15" + np.float32(-999).tobytes()
    with (folder / "tokenizer.model").open("ab") as file:
        file.write(b"\x0a" + bytes([len(piece)]) + piece)


def fewer_merges(value: dict[str, Any]) -> None:
    value["model"]["merges"] = value["model"]["merges"][1:]


def other_shard(folder: Path) -> None:
    shard = sorted((folder / "sharded").glob("*.safetensors"))[0]
    header, data = split_checkpoint(shard)
    data[-1] ^= 1
    join_checkpoint(shard, header, bytes(data))


def source_in_bfloat16(project: Project) -> None:
    """Upstream's weights are of another dtype than the catalog states, and arrived so: the record
    of what was fetched fits."""
    raw = fetched(project.store, f"{REF}_raw")
    path = next(path for path in raw.files() if path.endswith("00002-of-00002.bin"))
    file = raw.paths()[path]
    tensors = torch.load(file, weights_only=True)
    torch.save({name: tensor.bfloat16() for name, tensor in tensors.items()}, file)
    facts = {"size": file.stat().st_size, "sha256": sha256_file(file)}
    change = document("fetched.json", lambda value: value["files"][path].update(facts))
    recommit(project, raw.name, change)


def other_card(folder: Path) -> None:
    text = (folder / "README.md").read_text("utf-8")
    (folder / "README.md").write_text(text.replace("path: train", "path: ../train"), "utf-8")


def other_licence(folder: Path) -> None:
    text = (folder / "README.md").read_text("utf-8")
    (folder / "README.md").write_text(text.replace("license: other", "license: mit"), "utf-8")


def one_token_more(columns: dict[str, list[Any]]) -> None:
    columns["output_tokens"][7] += 1


def stats_off(value: dict[str, Any]) -> None:
    value["stats"]["correct"] += 1
    value["stats"]["incorrect"] -= 1


# By world, rounds of faults, each in a sound storage. Receipts of other inputs first: of a version
# that a wrong maker left behind, a plain run cannot know that it is wrong, and takes it.

MODELS = [
    [
        made_from_others(f"{MTP}{part}")
        for part in ("_raw", "", "_certificate", "_config", "_adapter", "_metadata", "_card")
    ]
    + [made_from_others("models/tokenizer")],
    [
        # What the raw artifact says is what every other is compared with: its fault first.
        also_flipped(nothing(f"{MTP}_raw"), "fetched.json"),
        also_flipped(
            remade(
                "models/tokenizer",
                one_piece_more,
                document("tokenizer.json", fewer_merges),
                checks="tokenizer_digest tokenizer_vocabulary tokenizer_ids derived_from_inputs",
            ),
            "tokenizer.json",
        ),
        also_flipped(
            remade(
                MTP,
                checkpoint(without("layers.2.attention.wk.weight")),
                values("tok_embeddings.weight", set_to(np.nan, at=slice(6400, 6401))),
                values("extra_heads.1.feed_forward.w2.weight", set_to(0.0)),
                checks="names_and_shapes tensor_count parameter_count certificate_matches_target "
                "finite_values sampled_values_equal_source values_survive_cast "
                "mtp_loads_strictly mtp_forward_shape mtp_gradients",
            ),
            "SHA256SUMS",
        ),
        also_flipped(
            remade(
                f"{MTP}_certificate",
                document("certificate.json", lambda value: value.update(target_sha256="0" * 64)),
                checks="certificate_of_checkpoint",
            ),
            "certificate.json",
        ),
        also_flipped(
            remade(
                f"{MTP}_config",
                document("params.json", lambda value: value.update(dim=128)),
                checks="config_describes_tensors derived_from_inputs",
            ),
            "params.json",
        ),
        also_flipped(
            remade(f"{MTP}_adapter", other_theta, checks="meta_adapter_agrees derived_from_inputs"),
            "meta_adapter.yaml",
        ),
        also_flipped(
            remade(
                f"{MTP}_metadata",
                document("metadata.json", lambda value: value.update(dtype="half")),
                checks="metadata_agrees derived_from_inputs metadata_structure",
            ),
            "metadata.json",
        ),
        also_flipped(
            remade(f"{MTP}_card", other_licence, checks="derived_from_inputs"),
            "README.md",
        ),
        remade(
            MICRO,
            trailing,
            checks="safetensors_readable file_size_within_limit safetensors_round_trip",
        ),
    ],
]
REFERENCES = [
    [
        flipped_upstream(
            "models/princeton-nlp/Sheared-LLaMA-2.7B/tokenizer.model",
            f"{REF}_metadata",
            "tokenizer_shared tokenizer_file_shared",
        ),
        made_from_others(f"{REF}_shards"),
    ],
    [
        Fault(f"{REF}_raw", source_in_bfloat16, ("fetched_files",)),
        remade(
            REF,
            checkpoint(other_dtype),
            wrong_sum,
            checks="dtype_of_every_tensor certificate_describes_source causal_lm_loads "
            "source_dtype_stated sha256sums_recomputed",
        ),
        also_flipped(
            remade(f"{REF}_shards", other_shard, checks="shards_equal_checkpoint"),
            "sharded/config.json",
        ),
        remade(
            f"{REF}_config",
            document("config.json", lambda value: value.update(bos_token_id=7)),
            checks="derived_from_inputs",
        ),
        Fault(f"{REF}_metadata", lambda project: None, ("tokenizer_fits_model",)),
        remade(REWARD, checkpoint(blind), checks="reward_model_scores"),
    ],
]
ROWS = [
    [
        made_from_others(name)
        for name in (
            *(HUMANEVAL, f"{HUMANEVAL}_metadata"),
            *("datasets/humaneval_schema", "datasets/humaneval_card"),
        )
    ],
    [
        also_flipped(
            remade(
                CODE,
                rows(record(5, lambda value: value.update(is_correct="true"))),
                rows(record(9, lambda value: value["metadata"].update(difficulty=99))),
                checks="class_field row_counts record_schema schema_describes_rows "
                "index_describes_lines stats_add_up difficulty_known rows_equal_source",
            ),
            "valid_stats.json",
        ),
        also_flipped(
            remade(
                f"{CODE}_metadata",
                document("valid_metadata.json", stats_off),
                document("valid_metadata.json", lambda value: value["metadata"].pop(0)),
                document("valid_metadata.json", lambda value: value["metadata"][0].update(level=1)),
                checks="metadata_matches_lines metadata_stats_add_up metadata_structure",
            ),
            "valid_metadata.json",
        ),
        also_flipped(
            remade(
                "datasets/codecontests_schema",
                document("schema.json", lambda value: value["properties"].pop("is_correct")),
                other_card,
                checks="schema_is_ours data_files_declared",
            ),
            "README_small.md",
        ),
        also_flipped(
            remade("datasets/codecontests_card", other_licence, checks="derived_from_inputs"),
            "croissant.json",
        ),
        remade(
            MBPP,
            rows(record(1, lambda value: value.update(test_list=[]))),
            checks="tests_present",
        ),
        remade(
            HUMANEVAL,
            rows(record(1, lambda value: value.update(task_id="HumanEval/0"))),
            index(one_token_more),
            checks="task_ids_unique token_sums",
        ),
    ],
]
