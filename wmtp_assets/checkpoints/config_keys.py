# ruff: noqa: SIM905 - a list with one name on each line would be four pages
"""The keys of config.json that are known, by what becomes of them: `settings.py` uses them."""

from __future__ import annotations

from collections.abc import Mapping

# Kept, or read into what is kept.
KNOWN = frozenset(
    """
    model_type architectures vocab_size hidden_size intermediate_size num_hidden_layers
    num_attention_heads num_key_value_heads head_dim max_position_embeddings rms_norm_eps
    initializer_range attention_dropout use_cache tie_word_embeddings hidden_act
    bos_token_id eos_token_id pad_token_id rope_theta rope_scaling rope_parameters
    partial_rotary_factor sliding_window use_sliding_window layer_types max_window_layers
    """.split()
)
KNOWN_BY_TYPE: Mapping[str, frozenset[str]] = {
    "gemma": frozenset(["hidden_activation"]),
    "smollm3": frozenset(["no_rope_layers", "no_rope_layer_interval"]),
}
# Accepted at these values only, at which they change nothing, and left out.
NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "bias": (False,),
    "use_bias": (False,),
    "qkv_bias": (False,),
    "attention_out_bias": (False,),
    "qk_norm": (False,),
    "use_qk_norm": (False,),
    "rope_interleaved": (False,),
    "use_mrope": (False,),
    "use_bidirectional_attention": (False,),
    "is_causal": (True,),
    "embedding_multiplier": (1,),
    "residual_multiplier": (1,),
    "logits_scaling": (1,),
    "logit_scale": (1,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_encoder_decoder": (False,),
    "pruned_heads": ({},),
    "chunk_size_feed_forward": (0,),
    "attention_type": ("full",),
}
NEUTRAL_BY_TYPE: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "qwen2": {"attention_bias": (True,), "qkv_bias": (True,)},
    "qwen3": {"use_qk_norm": (True,), "qk_norm": (True,)},
}
# Left out whatever they say: where a file came from, how it is loaded, trained or sampled from.
IRRELEVANT = frozenset(
    """
    _name_or_path name_or_path _commit_hash transformers_version torch_dtype dtype auto_map
    attn_implementation _attn_implementation _attn_implementation_internal
    _attn_implementation_autoset _flash_attn_2_enabled experts_implementation
    _experts_implementation _experts_implementation_internal use_flash_attn use_flash_attention
    use_kernels trust_remote_code custom_pipelines use_safetensors
    pretraining_tp tensor_parallel_size gradient_checkpointing use_bfloat16 torchscript
    tf_legacy_loss return_dict use_return_dict output_attentions output_hidden_states
    output_scores return_dict_in_generate is_decoder finetuning_task task_specific_params
    problem_type id2label label2id num_labels prefix cross_attention_hidden_size
    tokenizer_class tokenizer_padding_side tokenizer_model_max_length model_max_length
    max_sequence_length max_seq_len seq_length bos_token eos_token pad_token unk_token
    sep_token_id unk_token_id cls_token_id mask_token_id decoder_start_token_id
    temperature top_k top_p typical_p min_p do_sample num_beams num_beam_groups max_length
    min_length max_new_tokens min_new_tokens early_stopping diversity_penalty
    repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size
    bad_words_ids num_return_sequences forced_bos_token_id forced_eos_token_id
    remove_invalid_values exponential_decay_length_penalty suppress_tokens
    begin_suppress_tokens
    unsloth_version unsloth_fixed is_llama_config transformers.js_config n_embd
    """.split()
)
