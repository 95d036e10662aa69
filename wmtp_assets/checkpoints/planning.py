"""What a conversion will do, settled before a weight is read: every tensor's source and target.

Layouts say what is wanted (`layouts/`); here it is matched with what a source holds, and refused
where the two disagree. `convert.py` then does exactly what the plan says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from wmtp_assets.checkpoints.casts import can_cast
from wmtp_assets.checkpoints.certificate import DroppedCertificate
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import ConversionError, LayoutError
from wmtp_assets.checkpoints.layout import COUNTERS, RECOMPUTED, Assignment, Config
from wmtp_assets.checkpoints.layouts import assign, layout_named
from wmtp_assets.checkpoints.rotary import check_tables
from wmtp_assets.checkpoints.safetensors_file import TensorSpec, header_bytes, in_file_order
from wmtp_assets.checkpoints.source import Source
from wmtp_assets.checkpoints.tensors import SourceTensor


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of the target, where it comes from, and copies that must be found equal to it."""

    spec: TensorSpec
    source: SourceTensor
    copies: tuple[SourceTensor, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Everything about a conversion that is known before a weight is read.

    `tensors` are in the order of the target file. `waive_overflow` names tensors (as the target
    calls them) whose finite values may become infinite. `warnings` are the source's. `settled` are
    values that the config leaves open and the tensors decide, `evidence` says from which.
    """

    layout: str
    dtype: DType
    tensors: tuple[PlannedTensor, ...]
    dropped: tuple[DroppedCertificate, ...] = ()
    waive_overflow: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    settled: Mapping[str, object] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def header(self) -> bytes:
        """The target's first bytes."""
        return header_bytes([tensor.spec for tensor in self.tensors])

    @property
    def target_size(self) -> int:
        """The target's size in bytes."""
        return len(self.header) + sum(tensor.spec.nbytes for tensor in self.tensors)

    @property
    def vocabulary(self) -> int:
        """Rows of the embedding; 0 where there is none."""
        name = layout_named(self.layout).embedding
        return next((t.spec.shape[0] for t in self.tensors if t.spec.name == name), 0)

    @property
    def parameters(self) -> int:
        """Elements of all tensors of the target."""
        return sum(tensor.source.elements for tensor in self.tensors)


def plan_conversion(
    source: Source,
    layout: str,
    config: Config,
    dtype: DType | str,
    waive_overflow: Collection[str] = (),
) -> Plan:
    """Match the source with what layout and config demand. Reads rotary tables, and no weights.

    Raises LayoutError when the config is not of the layout, tensors are missing, unexpected or of
    another shape, or a rotary table contradicts the config, and ConversionError when a type cannot
    be cast or a copy cannot be a copy.
    """
    wanted_dtype = DType(dtype)
    known = layout_named(layout)
    settled, evidence = known.settle(config, source.tensors)
    config = {**config, **settled}
    assignment = _assign(source, layout, config)
    tables = [n for n, reason in assignment.left_out.items() if reason == RECOMPUTED]
    check_tables(*known.rope(config), [source.tensors[name] for name in tables])
    planned: list[PlannedTensor] = []
    twins: dict[str, SourceTensor] = {}
    for name, wanted in assignment.wanted.items():
        tensor = source.tensors[wanted.source]
        copies = tuple(source.tensors[copy] for copy in wanted.copies)
        for found in (tensor, *copies):
            if found.shape != wanted.shape:
                raise LayoutError(
                    f"The tensor {found.name} has another shape than the config demands",
                    expected=list(wanted.shape),
                    found=list(found.shape),
                    where=found.file,
                    hint="Check that the catalog names config and weights of one model.",
                )
        if not can_cast(tensor.dtype, wanted_dtype):
            raise ConversionError(
                f"The tensor {tensor.name} cannot be cast",
                expected=f"a float type, to become {wanted_dtype}",
                found=tensor.dtype,
                where=tensor.file,
                hint="Name the repository of the unquantized weights in the catalog: if "
                "weights are not floats, the file does not say what they stand for.",
            )
        for copied, copy in zip(wanted.copies, copies, strict=True):
            _check_copy(tensor, copy)
            twins[copied] = tensor
        planned.append(PlannedTensor(TensorSpec(name, wanted_dtype, wanted.shape), tensor, copies))
    dropped = [
        _dropped(source.tensors[name], reason, twins.get(name))
        for name, reason in assignment.left_out.items()
    ]
    if unknown := set(waive_overflow) - assignment.wanted.keys():
        raise LayoutError(
            "waive_overflow names tensors that the checkpoint does not hold",
            found=", ".join(sorted(unknown)),
            hint="Name them as the converted file does.",
        )
    return Plan(
        layout,
        wanted_dtype,
        sort_for_file(planned),
        tuple(dropped),
        frozenset(waive_overflow),
        source.warnings,
        settled,
        evidence,
    )


def _assign(source: Source, layout: str, config: Config) -> Assignment:
    """As `assign`; an error repeats what was odd about the source, which may be the reason."""
    try:
        return assign(layout, config, source.tensors)
    except LayoutError as error:
        raise LayoutError(
            error.problem,
            expected=error.expected,
            found="; ".join([str(error.found), *source.warnings]),
            where=error.where or source.files[0],
            hint=_prefix_advice(source, layout, config) or error.hint,
        ) from None


def _prefix_advice(source: Source, layout: str, config: Config) -> str | None:
    """What to write into the catalog where all names fit but for what they begin with."""
    names = [name for name in source.tensors if name not in COUNTERS]
    parts = names[0].split(".")[:-1] if names else []
    for count in range(1, len(parts) + 1):
        prefix = ".".join(parts[:count]) + "."
        if not all(name.startswith(prefix) for name in names):
            break
        try:
            assign(layout, config, [name.removeprefix(prefix) for name in names])
        except LayoutError:
            continue
        tensor = source.tensors[names[0]]
        outer = tensor.name.removesuffix(names[0])
        return (
            f"Every tensor's name begins with {prefix!r}. Say so in the catalog's entry: "
            f"strip_prefix: {outer}{prefix}"
        )
    return None


def unlike_stated(
    tensors: Iterable[SourceTensor], dtype: DType, others: Mapping[str, DType]
) -> list[str]:
    """Which of `tensors` are of another dtype than stated, in words; and which of `others` name no
    tensor.

    `dtype` is every tensor's but for those that `others` name: by the source's names, in which `*`
    stands for anything; each must be exactly of the dtype given there.
    """
    wrong: list[str] = []
    used: set[str] = set()
    for tensor in sorted(tensors, key=lambda tensor: tensor.name):
        named = [pattern for pattern in others if fnmatchcase(tensor.name, pattern)]
        used.update(named)
        wanted = {others[pattern] for pattern in named} or {dtype}
        if wanted != {tensor.dtype}:
            stated = " and ".join(sorted(wanted))
            wrong.append(f"{tensor.name} is {tensor.dtype}, not {stated}")
    return wrong + [f"no tensor is named {pattern}" for pattern in sorted(others.keys() - used)]


def require_stated(plan: Plan, dtype: DType | str, others: Mapping[str, DType | str]) -> None:
    """Raises ConversionError where a tensor that is converted is of another dtype than the catalog
    states for its source; see `unlike_stated`."""
    stated = {name: DType(other) for name, other in others.items()}
    wrong = unlike_stated([tensor.source for tensor in plan.tensors], DType(dtype), stated)
    if not wrong:
        return
    files = sorted({tensor.source.file for tensor in plan.tensors})
    raise ConversionError(
        "The source is not of the dtype that the catalog states",
        expected=f"source_dtype {dtype}"
        + "".join(f", {name}: {other}" for name, other in stated.items()),
        found="; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""),
        where=", ".join(map(str, files)),
        hint="Correct source_dtype in the catalog if that is what upstream publishes; single "
        "tensors of another dtype are named there under source_dtype_of.",
    )


def sort_for_file(tensors: Sequence[PlannedTensor]) -> tuple[PlannedTensor, ...]:
    """In the order in which the target file holds them."""
    by_spec = {tensor.spec: tensor for tensor in tensors}
    return tuple(by_spec[spec] for spec in in_file_order(list(by_spec)))


def _check_copy(tensor: SourceTensor, copy: SourceTensor) -> None:
    if (copy.dtype, copy.strides) != (tensor.dtype, tensor.strides):
        raise ConversionError(
            f"{copy.name} cannot be left out as a copy of {tensor.name}",
            expected=f"{tensor.dtype}, strides {list(tensor.strides)}",
            found=f"{copy.dtype}, strides {list(copy.strides)}",
            where=copy.file,
            hint=f"Save the weights without {copy.name}, if the two are equal.",
        )


def _dropped(tensor: SourceTensor, reason: str, twin: SourceTensor | None) -> DroppedCertificate:
    return DroppedCertificate(
        name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        source_file=tensor.file.name,
        reason=reason,
        equal_to=twin.name if twin else None,
        shares_memory=twin is not None and tensor.same_memory(twin),
    )
