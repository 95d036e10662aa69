"""Every check of models, each seen to fail for the thing that it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.checkpoints import CHECKPOINT, MICRO_SIZE
from wmtp_assets.mtp.checks import CHECKS
from wmtp_assets_tests.artifact_checks import breaking
from wmtp_assets_tests.artifact_checks.breaking import (
    Case,
    Change,
    answers,
    checkpoint,
    document,
    failed,
    flip,
    recommit,
    values,
    without,
)

MTP, REF, REWARD = "models/meta-llama-mtp", "models/ref-sheared-llama-2.7b", "models/starling-rm-7b"
MICRO = "models/micro-mtp"
HEAD = "extra_heads.1.feed_forward.w2.weight"


def set_to(value: float, *, at: slice = slice(None)) -> Callable[[np.ndarray[Any, Any]], None]:
    def fill(tensor: np.ndarray[Any, Any]) -> None:
        tensor[at] = value

    return fill


def dtype_of(name: str, dtype: str) -> Change:
    return checkpoint(lambda header, data: header[name].update(dtype=dtype))


def reshaped(name: str) -> Change:
    return checkpoint(lambda header, data: header[name]["shape"].reverse())


def renamed(old: str, new: str) -> Change:
    return checkpoint(lambda header, data: header.update({new: header.pop(old)}))


def sums(folder: Path) -> None:
    text = (folder / "SHA256SUMS").read_text(encoding="utf-8")
    (folder / "SHA256SUMS").write_text("0" * 64 + text[64:], encoding="utf-8")


def trailing(folder: Path) -> None:
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0" * 8)


def certified(value: dict[str, Any]) -> None:
    value["tensors"][3]["digest"] = "0" * 64


EVERYTHING = tuple(check.name for check in CHECKPOINT)
SAMPLED = "sampled_values_equal_source"
CERTIFIED, SURVIVES, DERIVED = (
    "certificate_describes_source",
    "values_survive_cast",
    "derived_from_inputs",
)
CASES = {
    "bytes behind the last tensor": Case(
        MICRO,
        trailing,
        # The first of them is "safetensors_readable"; of a file that is not, nothing can be told.
        (
            *EVERYTHING,
            *(check.name for check in CHECKS["mtp"]),
            MICRO_SIZE.name,
            "receipt_facts",
        ),
        "model.safetensors",
    ),
    "a wrong line in SHA256SUMS": Case(REF, sums, ("sha256sums_recomputed",), "SHA256SUMS"),
    "a dtype rewritten in the header": Case(
        REF,
        dtype_of("model.layers.2.mlp.up_proj.weight", "BF16"),
        ("dtype_of_every_tensor", SAMPLED, CERTIFIED, "causal_lm_loads"),
        "model.layers.2.mlp.up_proj.weight",
    ),
    "a tensor dropped": Case(
        MTP,
        checkpoint(without("layers.2.attention.wk.weight")),
        (
            "names_and_shapes",
            "tensor_count",
            "parameter_count",
            "certificate_matches_target",
            SAMPLED,
            "mtp_loads_strictly",
            "mtp_forward_shape",
            "mtp_gradients",
        ),
        "layers.2.attention.wk.weight is missing",
    ),
    "a tensor of another name": Case(
        MTP,
        renamed("norm.weight", "norms.weight"),
        (
            "names_and_shapes",
            "certificate_matches_target",
            SAMPLED,
            "mtp_loads_strictly",
            "mtp_forward_shape",
            "mtp_gradients",
        ),
        "unexpected tensor norms.weight",
    ),
    "a tensor of another shape": Case(
        REF,
        reshaped("model.layers.1.mlp.down_proj.weight"),
        ("names_and_shapes", SAMPLED, CERTIFIED, "causal_lm_loads"),
        "model.layers.1.mlp.down_proj.weight is [176, 64], not [64, 176]",
    ),
    "a NaN": Case(
        MTP,
        values("tok_embeddings.weight", set_to(np.nan, at=slice(6400, 6401))),
        ("finite_values", SAMPLED),
        "tok_embeddings.weight: 1 NaN",
    ),
    "an infinite value": Case(
        REF,
        values("model.embed_tokens.weight", set_to(np.inf, at=slice(6400, 6401))),
        ("finite_values", SAMPLED),
        "model.embed_tokens.weight: 0 NaN, 1 infinite",
    ),
    "one tensor's certified digest": Case(
        REF, document("certificate.json", certified), ("certificate_matches_target",), "blake3"
    ),
    "a value that the source does not have": Case(
        REF,
        values("model.layers.0.self_attn.q_proj.weight", set_to(0.25, at=slice(5, 6))),
        (SAMPLED,),
        "model.layers.0.self_attn.q_proj.weight",
    ),
    "a value that the slice's base does not have": Case(
        MICRO,
        values("layers.0.attention.wq.weight", set_to(0.25, at=slice(5, 6))),
        (SAMPLED,),
        "layers.0.attention.wq.weight",
    ),
    "logits beyond float16": Case(
        MTP,
        values("output.weight", set_to(60000.0)),
        ("mtp_forward_shape", SAMPLED, "mtp_gradients"),
        "'finite': False",
    ),
    "a head that learns nothing": Case(
        MTP, values(HEAD, set_to(0.0)), ("mtp_gradients", SAMPLED, SURVIVES), "extra_heads.1"
    ),
    "a reference model whose logits are infinite": Case(
        REF,
        values("lm_head.weight", set_to(60000.0)),
        ("causal_lm_loads", SAMPLED),
        "instead of finite",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_checkpoint_fails_exactly_the_checks_about_what_is_broken(
    copied: Project, case: str
) -> None:
    broken = CASES[case]
    recommit(copied, broken.artifact, broken.change)
    found = answers(copied, broken.artifact)
    assert {name for name, finding in found.items() if not finding.passed} == set(broken.wrong)
    first = found[broken.wrong[0]]
    assert broken.says in f"{first.found} {first.where}"
    assert first.blocking


def test_a_reward_head_that_gives_every_text_one_score_is_reported(copied: Project) -> None:
    def blind(header: breaking.Header, data: bytearray) -> None:
        begin, end = header["v_head.weight"]["data_offsets"]
        data[begin:end] = bytes(end - begin)

    recommit(copied, REWARD, checkpoint(blind))
    assert failed(copied, REWARD) == {"reward_model_scores", SAMPLED, SURVIVES}


def with_expected(project: Project, model: str, **numbers: int) -> Project:
    """The same storage, with other numbers expected of `model` by the catalog."""
    entry = project.catalog.models[model]
    changed = entry.model_copy(update={"expected": entry.expected.model_copy(update=numbers)})
    return with_model(project, model, changed)


def with_model(project: Project, name: str, entry: Any) -> Project:
    models = {**project.catalog.models, name: entry}
    return replace(project, catalog=project.catalog.model_copy(update={"models": models}))


@pytest.mark.parametrize(
    ("number", "question"), [("tensors", "tensor_count"), ("parameters", "parameter_count")]
)
def test_another_count_than_the_catalog_expects_is_reported(
    project: Project, number: str, question: str
) -> None:
    there = getattr(project.catalog.models["micro-ref"].expected, number)
    other = with_expected(project, "micro-ref", **{number: there + 1})
    found = answers(other, "models/micro-ref")
    assert {name for name, finding in found.items() if not finding.passed} == {question}
    assert (found[question].expected, found[question].found) == (there + 1, there)


def test_a_micro_model_larger_than_the_catalog_allows_is_reported(project: Project) -> None:
    entry = project.catalog.models["micro-mtp"].model_copy(update={"max_bytes": 1000})
    other = with_model(project, "micro-mtp", entry)
    assert failed(other, MICRO) == {"file_size_within_limit"}


def test_files_that_their_receipt_does_not_describe_are_named(copied: Project) -> None:
    path = copied.store.path("models/tokenizer") / "tokenizer_config.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("\n", " ", 1), encoding="utf-8")
    found = answers(copied, "models/tokenizer")
    assert {name for name, finding in found.items() if not finding.passed} == {
        "files_unchanged",
        DERIVED,
    }
    assert found["files_unchanged"].where == str(path)
    assert "tokenizer_config.json" in str(found[DERIVED].found)


def spaced(file: str) -> Change:
    """Other bytes, the same meaning."""
    return lambda folder: (folder / file).write_text(
        (folder / file).read_text(encoding="utf-8") + "\n", encoding="utf-8"
    )


def test_what_was_made_from_an_older_input_is_reported(copied: Project) -> None:
    recommit(copied, "models/tokenizer", spaced("tokenizer_config.json"))
    for name in ("models/micro-ref_metadata", "datasets/humaneval_test"):
        found = answers(copied, name)
        assert {question for question, f in found.items() if not f.passed} == {"inputs_current"}
        assert "another version of models/tokenizer" in str(found["inputs_current"].found)


# The documents beside a checkpoint, and the one check that each change makes fail.
DOCUMENTS = {
    "params.json of another width": (
        f"{MTP}_config",
        document("params.json", lambda value: value.update(dim=128)),
        "config_describes_tensors",
        "params.json",
    ),
    "params.json of other heads": (
        f"{MTP}_config",
        document("params.json", lambda value: value.update(n_future_tokens=3)),
        "config_describes_tensors",
        "params.json",
    ),
    "config.json of another vocabulary": (
        "models/micro-ref_config",
        document("config.json", lambda value: value.update(vocab_size=511)),
        "config_describes_tensors",
        "config.json",
    ),
    "config.json that lies about the dtype": (
        f"{REF}_config",
        document("config.json", lambda value: value.update(torch_dtype="float32")),
        "config_describes_tensors",
        "torch_dtype",
    ),
    "metadata.json of another dtype": (
        f"{MTP}_metadata",
        document("metadata.json", lambda value: value.update(dtype="float32")),
        "metadata_agrees",
        "dtype",
    ),
    "metadata.json of other counts": (
        f"{REWARD}_metadata",
        document("metadata.json", lambda value: value.update(parameters=1)),
        "metadata_agrees",
        "parameters",
    ),
    "metadata.json without what it says of freqs_cis": (
        "models/micro-mtp_metadata",
        document("metadata.json", lambda value: value.pop("freqs_cis_handling")),
        "metadata_agrees",
        "freqs_cis_handling",
    ),
    "a certificate of something else": (
        f"{MTP}_certificate",
        document("certificate.json", lambda value: value.update(target_sha256="0" * 64)),
        "certificate_of_checkpoint",
        "certificate.json",
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_a_document_that_disagrees_is_named_with_what_it_says(copied: Project, case: str) -> None:
    name, change, question, says = DOCUMENTS[case]
    recommit(copied, name, change)
    found = answers(copied, name)
    # A certificate is a copy of the conversion's, and so derived by its own check.
    both = {question} if name.endswith("_certificate") else {question, DERIVED}
    assert {asked for asked, finding in found.items() if not finding.passed} == both
    assert says in f"{found[question].found} {found[question].where}"


def test_an_adapter_of_another_rope_theta_is_reported(copied: Project) -> None:
    def change(folder: Path) -> None:
        path = folder / "meta_adapter.yaml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("rope_theta: 10000.0", "rope_theta: 500000.0"), "utf-8")

    recommit(copied, f"{MTP}_adapter", change)
    found = answers(copied, f"{MTP}_adapter")
    assert {name for name, f in found.items() if not f.passed} == {"meta_adapter_agrees", DERIVED}
    assert "rope_theta" in str(found["meta_adapter_agrees"].found)


def test_a_tokenizer_of_other_bytes_is_reported_by_its_digest(copied: Project) -> None:
    def unknown_field(folder: Path) -> None:
        with (folder / "tokenizer.model").open("ab") as file:
            file.write(b"\xc2\x3e\x01x")  # protobuf's field 1000: read over by every reader

    recommit(copied, "models/tokenizer", unknown_field)
    assert failed(copied, "models/tokenizer") == {"tokenizer_digest", DERIVED}


def test_a_tokenizer_of_another_vocabulary_is_reported(project: Project) -> None:
    shared = project.catalog.tokenizer.model_copy(update={"vocab_size": 513})
    other = replace(project, catalog=project.catalog.model_copy(update={"tokenizer": shared}))
    found = answers(other, "models/tokenizer")
    # The size is one of the settings that it is made by, so that it is stale as well.
    assert {n for n, f in found.items() if not f.passed} == {
        "tokenizer_vocabulary",
        "inputs_current",
    }
    assert (found["tokenizer_vocabulary"].expected, found["tokenizer_vocabulary"].found) == (
        513,
        512,
    )


def test_a_fast_tokenizer_that_gives_other_ids_is_reported(copied: Project) -> None:
    def fewer_merges(value: dict[str, Any]) -> None:
        value["model"]["merges"] = value["model"]["merges"][1:]

    recommit(copied, "models/tokenizer", document("tokenizer.json", fewer_merges))
    found = answers(copied, "models/tokenizer")
    assert {n for n, f in found.items() if not f.passed} == {"tokenizer_ids", DERIVED}
    assert "other ids on" in str(found["tokenizer_ids"].found)


def test_a_model_whose_own_tokenizer_is_another_is_reported(copied: Project) -> None:
    own = copied.store.upstream / "models/princeton-nlp/Sheared-LLaMA-2.7B/tokenizer.model"
    flip(own, 3)
    found = answers(copied, f"{REF}_metadata")
    wrong = {n for n, f in found.items() if not f.passed}
    assert wrong == {"tokenizer_shared", "tokenizer_file_shared"}
    assert (
        "tokenizer.model" in f"{found['tokenizer_shared'].found}" + found["tokenizer_shared"].where
    )


def test_a_config_of_other_special_ids_than_the_tokenizers_is_reported(copied: Project) -> None:
    change = document("config.json", lambda value: value.update(bos_token_id=7))
    recommit(copied, f"{REF}_config", change)
    found = answers(copied, f"{REF}_metadata")["tokenizer_fits_model"]
    assert not found.passed
    assert "bos_token_id" in str(found.found)


def test_a_shard_that_holds_another_value_is_reported(copied: Project) -> None:
    def change(folder: Path) -> None:
        shard = sorted((folder / "sharded").glob("*.safetensors"))[0]
        header, data = breaking.split_checkpoint(shard)
        data[-1] ^= 1
        breaking.join_checkpoint(shard, header, bytes(data))

    recommit(copied, f"{REF}_shards", change)
    found = answers(copied, f"{REF}_shards")
    assert {n for n, f in found.items() if not f.passed} == {"shards_equal_checkpoint"}
    last = sorted(breaking.split_checkpoint(shard_of(copied))[0])[-1]
    assert last.split(".")[0] in str(found["shards_equal_checkpoint"].found)


def shard_of(project: Project) -> Path:
    return sorted((project.store.path(f"{REF}_shards") / "sharded").glob("*.safetensors"))[0]


def test_what_was_never_made_fails_every_check_with_the_command_that_makes_it(
    copied: Project,
) -> None:
    (copied.store.versions.home(MICRO) / "current").unlink()
    found = answers(copied, MICRO)
    assert all(not finding.passed for finding in found.values())
    assert {str(finding.found) for finding in found.values()} == {
        str(finding.found) for finding in list(found.values())[:1]
    }
    assert "does not exist yet" in str(found["finite_values"].found)
    assert MICRO in found["finite_values"].hint


def test_a_source_of_another_dtype_than_the_catalog_states_is_reported(project: Project) -> None:
    name = REF.removeprefix("models/")
    entry = project.catalog.models[name].model_copy(update={"source_dtype": "bfloat16"})
    other = with_model(project, name, entry)
    found = answers(other, REF)
    # It is one of the catalog's settings, too, by which the checkpoint was not made.
    assert {n for n, f in found.items() if not f.passed} == {
        "source_dtype_stated",
        "inputs_current",
    }
    assert "lm_head.weight is float32, not bfloat16" in str(found["source_dtype_stated"].found)
