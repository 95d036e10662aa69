"""A model's next-token head as a plain LLaMA: what is written, and whether its values are the same.

Which tensors these are, and under which names, says the layout (`Layout.llama_tensors`). No torch:
folders are chosen in `artifacts/as_llama.py`, and logits compared in `mtp/next_token.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from wmtp_assets.checkpoints.layout import Config, Described, LlamaTensor
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, sort_for_file
from wmtp_assets.checkpoints.safetensors_file import Header, TensorSpec
from wmtp_assets.checkpoints.sizes import dtype_of
from wmtp_assets.checkpoints.tensors import SourceTensor, read_blocks, read_tensor, row_major

LLAMA = "llama"
"""The layout of what is written."""


def plan_llama(layout: str, header: Header, config: Config) -> Plan:
    """How the file is written: each tensor a view of the model's, in the model's dtype.

    Raises ConfigError where config and tensors disagree, or the tensors are of several dtypes;
    LayoutError where a model of this layout is not a LLaMA.
    """
    dtype_of(header)
    planned = [
        PlannedTensor(TensorSpec(new, source.dtype, header.tensors[one.name].shape), source)
        for new, one in layout_named(layout).llama_tensors(config, header).items()
        for source in [_view(header.source_tensor(one.name), one.heads)]
    ]
    return Plan(LLAMA, planned[0].spec.dtype, sort_for_file(planned))


def _view(tensor: SourceTensor, heads: int) -> SourceTensor:
    """The tensor, with the even rows of each head before the odd ones."""
    if not heads:
        return tensor
    rows, columns = tensor.shape
    half = rows // heads // 2
    head, pair, one, column = row_major((heads, half, 2, columns))
    return replace(tensor, shape=(heads, 2, half, columns), strides=(head, one, pair, column))


def llama_config(
    layout: str,
    header: Header,
    target: Header,
    config: Config,
    described: Described,
    ids: Mapping[str, int | None],
) -> dict[str, object]:
    """config.json of the LLaMA, complete, with the dtype that its file has.

    Args:
        header, config: of the model. target: of the LLaMA's file.
        described: the model's name, and its number of positions where its config has none.
        ids: bos_token_id, eos_token_id and pad_token_id of the tokenizer.

    Raises:
        ConfigError: config and tensors disagree, of the model or of the LLaMA.
    """
    stated = {**layout_named(layout).llama_config(config, header, described), **ids}
    return layout_named(LLAMA).documents(stated, target, described)["config.json"]


def unequal(layout: str, header: Header, target: Header, config: Config) -> list[str]:
    """Where the LLaMA's file does not hold the model's values: one line for each tensor.

    Reads both files. Rows are put in order by numpy, not by the views that the file was written
    from; one query or key projection at a time is in memory.
    """
    wanted = layout_named(layout).llama_tensors(config, header)
    wrong = [f"{name} is missing" for name in sorted(wanted.keys() - target.tensors.keys())]
    wrong += [f"{name} is unexpected" for name in sorted(target.tensors.keys() - wanted.keys())]
    for new in sorted(wanted.keys() & target.tensors.keys()):
        there, found = header.tensors[wanted[new].name], target.tensors[new]
        if (there.shape, there.dtype) != (found.shape, found.dtype):
            wrong.append(f"{new} has another shape or dtype than {wanted[new].name}")
        elif not _same_values(header, wanted[new], target.source_tensor(new)):
            wrong.append(f"{new} has other values than {wanted[new].name}")
    return wrong


def _same_values(header: Header, wanted: LlamaTensor, found: SourceTensor) -> bool:
    source, heads = header.source_tensor(wanted.name), wanted.heads
    if not heads:
        both = zip(read_blocks(source), read_blocks(found), strict=True)
        return all(np.array_equal(one, other) for one, other in both)
    rows, columns = source.shape
    raw, half = source.dtype.raw, rows // heads // 2
    pairs = read_tensor(source).view(raw).reshape(heads, half, 2, columns)
    halves = read_tensor(found).view(raw).reshape(heads, 2, half, columns)
    return all(np.array_equal(pairs[:, :, one], halves[:, one]) for one in (0, 1))
