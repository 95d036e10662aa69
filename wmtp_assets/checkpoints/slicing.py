"""Micro models: a converted checkpoint with fewer layers and heads, every value one of the base's.

What is taken: layers spread evenly over the trunk (and, of a multi-token-prediction model, all of
its heads); of each axis the first rows or columns. Heads are taken whole, so that their size and
the rotary angles stay valid, and a group of query heads keeps its key-value head. A sliced tensor
is a view of the base's, so only what is kept is ever read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert
from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layout import Config
from wmtp_assets.checkpoints.layouts import layout_named, sliced_layouts
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, sort_for_file
from wmtp_assets.checkpoints.safetensors_file import TensorSpec, read_header
from wmtp_assets.checkpoints.tensors import SourceTensor


@dataclass(frozen=True)
class SlicePlan:
    """A slice before a weight is read: the conversion, the new config, and what is taken.

    `taken` is `Cut.taken`.
    """

    plan: Plan
    config: dict[str, object]
    taken: dict[str, object]


@dataclass(frozen=True)
class Sliced:
    """A slice that was written."""

    config: dict[str, object]
    taken: dict[str, object]
    certificate: Certificate


def slice_model(layout: str, base: Path, config: Config, micro: MicroShape, target: Path) -> Sliced:
    """Slice a checkpoint into the file `target`."""
    sliced = plan_slice(layout, base, config, micro)
    return Sliced(sliced.config, sliced.taken, convert(sliced.plan, target))


def plan_slice(layout: str, base: Path, config: Config, micro: MicroShape) -> SlicePlan:
    """What `slice_model` will do. Raises LayoutError where the base cannot be cut so."""
    known = layout_named(layout)
    if not known.is_sliced:
        raise LayoutError(
            f"A model of the layout {layout} cannot be sliced",
            expected="a model of the layout " + " or ".join(sliced_layouts()),
            hint="Name another model in slice_of in the catalog.",
        )
    cut = known.cut(config, micro)
    header = read_header(base)
    planned = []
    for name, shape in known.shapes(cut.config).items():
        source = _renumber(name, "layers", cut.layers)
        if source not in header.tensors:
            raise LayoutError(f"The base has no tensor {source}", where=base)
        view = _first(header.source_tensor(source), shape)
        planned.append(PlannedTensor(TensorSpec(name, view.dtype, shape), view))
    dtypes = {tensor.spec.dtype for tensor in planned}
    if len(dtypes) != 1:
        raise LayoutError("The base is not of one type", found=sorted(dtypes), where=base)
    plan = Plan(layout, dtypes.pop(), sort_for_file(planned))
    return SlicePlan(plan, cut.config, cut.taken)


def _first(tensor: SourceTensor, shape: tuple[int, ...]) -> SourceTensor:
    """The first rows and columns of `tensor`, as many as `shape` says."""
    if len(shape) != len(tensor.shape):
        raise LayoutError(
            f"The base's tensor {tensor.name} cannot be cut",
            expected=f"{len(shape)} axes",
            found=list(tensor.shape),
            where=tensor.file,
        )
    for axis, size in enumerate(shape):
        tensor = tensor.narrow(axis, 0, size)
    return tensor


def _renumber(name: str, group: str, numbers: list[int]) -> str:
    """`name` in the base: its `group.<i>.` becomes `group.<numbers[i]>.`."""
    return re.sub(
        rf"(^|\.){group}\.(\d+)\.",
        lambda found: f"{found[1]}{group}.{numbers[int(found[2])]}.",
        name,
    )
