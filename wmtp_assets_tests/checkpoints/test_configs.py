"""Configs are derived from the tensors, tell the truth about dtype, and are proven to agree."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from wmtp_assets.checkpoints.configs import (
    HF_VIEW,
    check_configs,
    derived_config,
    metadata_facts,
)
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.layout import Described
from wmtp_assets.checkpoints.layouts import LAYOUTS
from wmtp_assets.checkpoints.safetensors_file import Header, TensorInfo
from wmtp_assets.checkpoints.sizes import ConfigError, dtype_of
from wmtp_assets.findings import Finding

MTP = LAYOUTS["meta-mtp"]
NAMED = Described("a-model")

PUBLISHED: Mapping[str, object] = {
    "dim": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_future_tokens": 4,
    "vocab_size": 32000,
    "multiple_of": 256,
    "ffn_dim_multiplier": 1.0,
    "norm_eps": 1e-05,
    "rope_theta": 10000.0,
}
SMALL: Mapping[str, object] = {
    **PUBLISHED,
    "dim": 64,
    "n_layers": 6,
    "n_heads": 4,
    "n_kv_heads": 2,
    "vocab_size": 512,
    "multiple_of": 16,
}
SHEARED: Mapping[str, object] = {
    "_name_or_path": "/scratch/someone/checkpoint",
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 512,
    "rms_norm_eps": 1e-05,
    "max_position_embeddings": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}


def header_of(shapes: Mapping[str, tuple[int, ...]], dtype: DType = DType.FLOAT16) -> Header:
    tensors = {name: TensorInfo(dtype, shape, 0, 0) for name, shape in shapes.items()}
    return Header(Path("model.safetensors"), tensors, 0, 0)


def mtp_shapes(
    dim: int, ffn: int, vocab: int, kv: int, layers: int, heads: int
) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "tok_embeddings.weight": (vocab, dim),
        "norm.weight": (dim,),
        "output.weight": (vocab, dim),
    }
    blocks = [f"layers.{i}" for i in range(layers)] + [f"extra_heads.{i}" for i in range(heads)]
    for block in blocks:
        shapes |= {
            f"{block}.attention.wq.weight": (dim, dim),
            f"{block}.attention.wk.weight": (kv, dim),
            f"{block}.attention.wv.weight": (kv, dim),
            f"{block}.attention.wo.weight": (dim, dim),
            f"{block}.feed_forward.w1.weight": (ffn, dim),
            f"{block}.feed_forward.w2.weight": (dim, ffn),
            f"{block}.feed_forward.w3.weight": (ffn, dim),
            f"{block}.attention_norm.weight": (dim,),
            f"{block}.ffn_norm.weight": (dim,),
        }
    return shapes


def llama_shapes(prefix: str = "model.", layers: int = 4) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}embed_tokens.weight": (512, 64)}
    for block in (f"{prefix}layers.{i}" for i in range(layers)):
        shapes[f"{block}.self_attn.k_proj.weight"] = (64, 64)
        shapes[f"{block}.mlp.gate_proj.weight"] = (176, 64)
    return shapes


SMALL_HEADER = header_of(mtp_shapes(64, 176, 512, 32, 3, 3))


def test_the_adapter_of_the_published_model_states_what_params_json_leaves_unsaid() -> None:
    header = header_of(mtp_shapes(4096, 11008, 32000, 4096, 29, 3))
    assert MTP.adapter(PUBLISHED, header, NAMED) == {
        "model_name": "a-model",
        "n_future_tokens": 4,
        "num_hidden_layers": 32,
        "trunk_layers": 28,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32000,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "dtype": "float16",
        "parameters": 6_738_415_616,
        "cache": False,
    }


@pytest.mark.parametrize(
    ("stated", "in_catalog", "found"),
    [(None, None, 2048), (None, 4096, 4096), (1024, None, 1024), (1024, 1024, 1024)],
)
def test_positions_are_those_of_params_json_or_the_catalog_or_metas_own_code(
    stated: int | None, in_catalog: int | None, found: int
) -> None:
    params = {**SMALL, "max_seq_len": stated}
    described = Described("a-model", max_position_embeddings=in_catalog)
    documents = MTP.documents(params, SMALL_HEADER, described)
    adapter = MTP.adapter(params, SMALL_HEADER, described)
    assert documents["config.json"]["max_position_embeddings"] == found
    assert adapter["max_position_embeddings"] == found


def test_a_catalog_that_contradicts_params_json_on_positions_is_refused() -> None:
    described = Described("a-model", max_position_embeddings=4096)
    with pytest.raises(ConfigError, match=r"max_seq_len of params\.json, 1024.*4096"):
        MTP.adapter({**SMALL, "max_seq_len": 1024}, SMALL_HEADER, described)


def test_only_the_adapter_of_a_micro_model_names_a_device() -> None:
    micro = Described("a-micro-model", target_device="mps")
    assert MTP.adapter(SMALL, SMALL_HEADER, micro)["target_device"] == "mps"
    assert "target_device" not in MTP.adapter(SMALL, SMALL_HEADER, NAMED)
    config = MTP.documents(SMALL, SMALL_HEADER, micro)["config.json"]
    assert config.keys() & {"target_device", "model_name", "cache", "parameters"} == set()


def test_metadata_says_what_training_asks_of_heads_and_sharding() -> None:
    mtp = metadata_facts("meta-mtp", SMALL, SMALL_HEADER)
    assert mtp["value_head"] == {"stored": False, "input_size": 64}
    assert mtp["distributed"] == {"fsdp_compatible": True}
    assert (mtp["n_params"], mtp["format"]) == (mtp["parameters"], "safetensors")
    shapes = {**llama_shapes(prefix=""), "v_head.weight": (1, 64), "v_head.bias": (1,)}
    reward = metadata_facts("llama-reward", SHEARED, header_of(shapes))
    tensors = ["v_head.weight", "v_head.bias"]
    assert reward["value_head"] == {"stored": True, "input_size": 64, "tensors": tensors}
    tied = metadata_facts(
        "llama", {**SHEARED, "tie_word_embeddings": True}, header_of(llama_shapes())
    )
    assert tied["distributed"] == {"fsdp_compatible": False}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dim": 128}, "hidden_size: config says 128, tensors say 64"),
        ({"n_kv_heads": 4}, "key_value_width: config says 64, tensors say 32"),
        ({"n_layers": 7}, "num_hidden_layers: config says 7, tensors say 6"),
        ({"n_future_tokens": 2}, "n_future_tokens: config says 2, tensors say 4"),
        ({"vocab_size": 513}, "vocab_size: config says 513, tensors say 512"),
        ({"multiple_of": 64}, "intermediate_size: config says 192, tensors say 176"),
    ],
)
def test_no_adapter_is_derived_from_params_of_another_model(
    change: dict[str, object], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        MTP.adapter({**SMALL, **change}, SMALL_HEADER, NAMED)


def test_tensors_of_two_dtypes_have_no_dtype_to_state() -> None:
    mixed = dict(SMALL_HEADER.tensors)
    mixed["norm.weight"] = TensorInfo(DType.FLOAT32, (64,), 0, 0)
    with pytest.raises(ConfigError, match="1 of float32"):
        dtype_of(Header(Path("model.safetensors"), mixed, 0, 0))


def test_a_header_of_another_layout_is_refused_by_tensor_name() -> None:
    with pytest.raises(ConfigError, match=r"no tensor|tok_embeddings\.weight"):
        MTP.adapter(SMALL, header_of(llama_shapes()), NAMED)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32])
def test_config_json_states_the_dtype_of_the_tensors_for_old_and_new_readers(dtype: DType) -> None:
    config = derived_config("llama", SHEARED, header_of(llama_shapes(), dtype))
    assert (config["dtype"], config["torch_dtype"]) == (dtype.value, dtype.value)


def test_config_json_keeps_upstreams_fields_but_not_its_authors_paths_or_code() -> None:
    upstream = {**SHEARED, "auto_map": {"AutoModel": "code.Model"}}
    config = derived_config("llama", upstream, header_of(llama_shapes()))
    assert config["max_position_embeddings"] == 4096
    assert config.keys() & {"_name_or_path", "auto_map"} == set()


def test_a_reward_models_config_names_the_trunk() -> None:
    config = derived_config("llama-reward", SHEARED, header_of(llama_shapes(prefix="")))
    assert config["architectures"] == ["LlamaModel"]


def test_no_config_is_derived_from_another_models_config() -> None:
    with pytest.raises(ConfigError, match="num_hidden_layers: config says 4, tensors say 3"):
        derived_config("llama", SHEARED, header_of(llama_shapes(layers=3)))


def test_an_mtp_config_json_is_nothing_that_transformers_would_fill_with_random_weights(
    tmp_path: Path,
) -> None:
    from transformers import AutoModelForCausalLM

    config = MTP.documents(SMALL, SMALL_HEADER, NAMED)["config.json"]
    assert (config["num_hidden_layers"], config["dtype"]) == (6, "float16")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="meta-mtp"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


def test_the_published_micro_model_is_one_layer_and_three_extra_heads() -> None:
    micro = {**PUBLISHED, "dim": 512, "n_layers": 4, "n_heads": 4, "n_kv_heads": 4}
    adapter = MTP.adapter(micro, header_of(mtp_shapes(512, 1536, 32000, 512, 1, 3)), NAMED)
    assert (adapter["trunk_layers"], adapter["parameters"]) == (0, 46_404_096)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder as the contract has it: an MTP model of random float16 weights."""
    from wmtp_assets.checkpoints.safetensors_file import read_header
    from wmtp_assets_tests.mtp.networks import network, write_directory

    directory = write_directory(network(SMALL).half(), SMALL, tmp_path)
    header = read_header(directory / "safetensors" / "model.safetensors")
    adapter = yaml.safe_dump(MTP.adapter(SMALL, header, NAMED))
    (directory / "configs" / "meta_adapter.yaml").write_text(adapter)
    metadata = {"model": "small", **metadata_facts("meta-mtp", SMALL, header)}
    (directory / "metadata.json").write_text(json.dumps(metadata))
    return directory


def run_checks(model: Path) -> dict[str, Finding]:
    findings = check_configs(
        "meta-mtp",
        NAMED,
        weights=model / "safetensors" / "model.safetensors",
        config=model / "configs" / "params.json",
        adapter=model / "configs" / "meta_adapter.yaml",
        metadata=model / "metadata.json",
    )
    return {finding.name: finding for finding in findings}


def failed(model: Path) -> set[str]:
    return {name for name, finding in run_checks(model).items() if not finding.passed}


def test_derived_documents_agree_with_the_tensors_and_each_other(model: Path) -> None:
    assert run_checks(model).keys() == {
        "config_describes_tensors",
        "meta_adapter_agrees",
        "metadata_agrees",
    }
    assert failed(model) == set()


@pytest.mark.parametrize(
    "change",
    [{"dtype": "float32"}, {"parameters": 1}, {"implementation": "hf"}, {"n_future_tokens": True}],
)
def test_metadata_that_claims_something_else_is_named(
    model: Path, change: dict[str, object]
) -> None:
    path = model / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert failed(model) == {"metadata_agrees"}
    (name,) = change
    assert name in str(run_checks(model)["metadata_agrees"].found)


@pytest.mark.parametrize("field", ["dtype", "rope_theta", "intermediate_size", "n_future_tokens"])
def test_an_adapter_that_claims_something_else_is_named(model: Path, field: str) -> None:
    path = model / "configs" / "meta_adapter.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {field: 7}))
    assert failed(model) == {"meta_adapter_agrees"}
    assert f"{field}: file says 7" in str(run_checks(model)["meta_adapter_agrees"].found)


def test_params_of_another_model_fail_every_document(model: Path) -> None:
    (model / "configs" / "params.json").write_text(json.dumps({**SMALL, "n_layers": 9}))
    assert failed(model) == set(run_checks(model))


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("metadata.json", "{", {"metadata_agrees"}),
        ("metadata.json", '{"dtype": 1, "dtype": 2}', {"metadata_agrees"}),
        ("configs/meta_adapter.yaml", "a: [", {"meta_adapter_agrees"}),
        ("configs/meta_adapter.yaml", "- 1", {"meta_adapter_agrees"}),
    ],
)
def test_an_unreadable_document_is_a_finding_and_no_crash(
    model: Path, file: str, content: str, expected: set[str]
) -> None:
    (model / file).write_text(content)
    assert failed(model) == expected


def test_a_missing_document_is_a_finding_and_no_crash(model: Path) -> None:
    (model / "metadata.json").unlink()
    assert failed(model) == {"metadata_agrees"}


def test_a_llama_config_that_calls_float16_float32_is_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from wmtp_assets_tests.mtp.networks import PARAMS, as_llama, network

    llama = as_llama(network(PARAMS), head=0).half()
    save_file(llama.state_dict(), tmp_path / "model.safetensors")
    config = {**llama.config.to_dict(), "dtype": "float16", "torch_dtype": "float32"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (finding,) = check_configs(
        "llama",
        NAMED,
        weights=tmp_path / "model.safetensors",
        config=tmp_path / "config.json",
        adapter=None,
        metadata=None,
    )
    assert not finding.passed
    assert "torch_dtype: file says 'float32'" in str(finding.found)


def test_transformers_loads_model_and_tokenizer_from_the_view_with_no_further_argument(
    tmp_path: Path,
) -> None:
    import torch
    from safetensors.torch import save_file
    from sentencepiece import SentencePieceProcessor
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from wmtp_assets.checkpoints.safetensors_file import read_header
    from wmtp_assets.checkpoints.tokenizers import tokenizer_documents
    from wmtp_assets.sample.tokenizer import tokenizer_model
    from wmtp_assets_tests.mtp.networks import PARAMS, as_llama, network

    for folder in ("safetensors", "configs", "tokenizer", HF_VIEW):
        (tmp_path / folder).mkdir()
    llama = as_llama(network(PARAMS), head=0).half()
    weights = tmp_path / "safetensors" / "model.safetensors"
    save_file(llama.state_dict(), weights)
    upstream = {**llama.config.to_dict(), "torch_dtype": "float32"}
    config = derived_config("llama", upstream, read_header(weights))
    (tmp_path / "configs" / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer" / "tokenizer.model").write_bytes(tokenizer_model())
    for name, document in tokenizer_documents(tmp_path / "tokenizer" / "tokenizer.model").items():
        (tmp_path / "tokenizer" / name).write_text(json.dumps(document))
    for name, target in LAYOUTS["llama"].hf_view.items():
        (tmp_path / HF_VIEW / name).symlink_to(os.path.join("..", target))  # noqa: PTH118 - the text of a link, not a path

    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / HF_VIEW)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / HF_VIEW)
    text = "  if (n <= k) <s> {\n        return;"
    truth = SentencePieceProcessor(model_file=str(tmp_path / "tokenizer" / "tokenizer.model"))
    assert tokenizer(text)["input_ids"] == [1, *truth.encode(text)]
    assert loaded.dtype == torch.float16
    state = loaded.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in llama.state_dict().items())


def test_an_mtp_model_has_no_view_because_transformers_knows_no_such_architecture() -> None:
    assert MTP.hf_view == {}
