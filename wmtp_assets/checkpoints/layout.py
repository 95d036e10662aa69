"""What a layout is: one object that says all that is special about one kind of checkpoint.

Each layout is one module in `layouts/`; docs/how-to-add-a-layout.md shows how to add one. Here is
what every layout has to say, and nothing that one of them says.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from wmtp_assets.checkpoints.config_values import MOST_LAYERS
from wmtp_assets.checkpoints.cutting import Cut, MicroShape
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.rope import Rope
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.sizes import ConfigError, read_sizes
from wmtp_assets.checkpoints.tensors import SourceTensor

Config = Mapping[str, object]
Shape = tuple[int, ...]
Network = Literal["mtp", "causal_lm", "reward_model"]

RECOMPUTED = "rotary angles are computed at run time"
COUNTER = "counts the models that were averaged; no layer uses it"

# What torch.optim.swa_utils.AveragedModel keeps beside the averaged model.
COUNTERS = frozenset(["n_averaged"])

_ANGLES = re.compile(r"(?:.*\.)?(?:freqs_cis|rope\.freqs|rotary_emb\.inv_freq)")

_LAYERS = ("n_layers", "n_future_tokens", "num_hidden_layers")
_MOST = 1 << 40


@dataclass(frozen=True)
class Wanted:
    """A tensor of the target: its shape, its name at the source, and copies that must be equal."""

    shape: Shape
    source: str
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Described:
    """What the catalog says of a model, and its documents repeat.

    `target_device` is that of a micro model, `max_position_embeddings` what the catalog states
    where upstream's config does not.
    """

    name: str
    target_device: str | None = None
    max_position_embeddings: int | None = None


class LlamaTensor(NamedTuple):
    """Which tensor holds the values of a LLaMA's, and the number of `heads` of which its rows are
    stored in pairs of neighbouring channels; 0 where their order is that of transformers."""

    name: str
    heads: int = 0


@dataclass(frozen=True)
class Assignment:
    """What a layout makes of a source: every target tensor, and why other entries are left out."""

    wanted: Mapping[str, Wanted]
    left_out: Mapping[str, str] = field(default_factory=dict)


def is_table(name: str) -> bool:
    """Whether the tensor `name` is a rotary table."""
    return _ANGLES.fullmatch(name) is not None


def number(config: Config, key: str) -> int:
    """A whole number above 0 from a config; LayoutError where there is none, or one beyond all."""
    value = config.get(key)
    most = MOST_LAYERS if key in _LAYERS else _MOST
    if type(value) is not int or not 0 < value <= most:
        raise LayoutError(
            f"The config's {key} is not usable",
            expected=f"a whole number above 0, {most:,} at most",
            found=ascii(value)[:80],
        )
    return value


class Layout(ABC):
    """One kind of checkpoint. Class attributes are facts, methods read configs; no weight is read.

    `config` is the source's params.json or config.json, unless a method says otherwise; every
    method that gets one raises LayoutError where it is not of this layout.
    """

    name: ClassVar[str]
    """What the catalog calls it."""
    config_files: ClassVar[tuple[str, ...]] = ("config.json",)
    """The config documents that are written; the first is the model's config."""
    has_adapter: ClassVar[bool] = False
    """Whether meta_adapter.yaml is written, too."""
    implementation: ClassVar[str] = "transformers"
    """What a reader loads it with, for metadata.json."""
    facts: ClassVar[Mapping[str, object]] = {}
    """More for metadata.json."""
    network: ClassVar[Network]
    """The network of `mtp/` that executes it when it is checked."""
    hf_view: ClassVar[Mapping[str, str]] = {}
    """The model's `hf/` folder: names, and the file in the model's folder that each links to."""
    positions: ClassVar[int | None] = None
    """`max_position_embeddings` where neither config nor catalog states it; None of layouts whose
    config always does."""
    copies_at_source: ClassVar[int] = 1
    """How often a source may hold the weights: the disk that a download needs."""
    is_sliced: ClassVar[bool] = False
    """Whether `cut` is there."""
    has_llama: ClassVar[bool] = False
    """Whether its next-token head alone is a LLaMA, of which `llama_tensors` and `llama_config` are
    there."""
    optional: ClassVar[Mapping[str, Shape]] = {}
    """Tensors that a target holds only where its source does, whatever the config says."""
    embedding: ClassVar[str]
    """The embedding's name in the target; its rows are the vocabulary."""
    block: ClassVar[str]
    """What the names of the blocks begin with: `layers` of `layers.0.ffn_norm.weight`."""
    wide: ClassVar[str]
    """Within a block, a matrix (feed-forward width, hidden size)."""
    key: ClassVar[str]
    """Within a block, the key projection (heads * head size, hidden size)."""

    @abstractmethod
    def settled(self, config: Config) -> dict[str, object]:
        """The config, checked, with nothing unknown in it and nothing left to a default."""

    @abstractmethod
    def shapes(self, config: Config) -> dict[str, Shape]:
        """The target's tensor names and shapes that the config demands."""

    @abstractmethod
    def config_sizes(self, config: Config) -> dict[str, int]:
        """The same sizes as `sizes`, but as the config states them."""

    @abstractmethod
    def rope(self, config: Config) -> tuple[Rope, int]:
        """The rotary embedding that the config means, and the size of a head."""

    def assign(self, shapes: Mapping[str, Shape], names: Sequence[str]) -> Assignment:
        """Where each tensor of `shapes` is among a source's `names`; by default its namesake."""
        return Assignment({name: Wanted(shape, name) for name, shape in shapes.items()})

    def settle(
        self, config: Config, tensors: Mapping[str, SourceTensor]
    ) -> tuple[dict[str, object], dict[str, str]]:
        """Values that the config leaves open and the tensors decide, and the evidence for each."""
        return {}, {}

    def stated(self, config: Config, header: Header) -> dict[str, object]:
        """What the model's config must say: the settled one, and the dtype where it names one."""
        return self.settled(config)

    def documents(
        self, config: Config, header: Header, described: Described
    ) -> dict[str, dict[str, object]]:
        """`config_files`, by name. Raises ConfigError where config and tensors disagree."""
        self.agreed(config, header)
        return {self.config_files[0]: self.stated(config, header)}

    def adapter(self, config: Config, header: Header, described: Described) -> dict[str, object]:
        """meta_adapter.yaml, of a layout that has one."""
        raise ConfigError(f"The layout {self.name} has no meta_adapter.yaml")

    def value_head(self, header: Header) -> dict[str, object]:
        """What metadata.json says of a value head: whether the file holds one, and the width of
        what it reads, which is also that of one to be added. Raises ConfigError."""
        return {"stored": False, "input_size": self.sizes(header)["hidden_size"]}

    def cut(self, config: Config, micro: MicroShape) -> Cut:
        """How a smaller model is cut from one with this config, where `is_sliced`."""
        raise LayoutError(f"A checkpoint of the layout {self.name} cannot be sliced")

    def llama_tensors(self, config: Config, header: Header) -> dict[str, LlamaTensor]:
        """The tensors of the LLaMA that the next-token head is, by transformers' names, where
        `has_llama`. Raises ConfigError where config and tensors disagree."""
        raise LayoutError(
            f"A checkpoint of the layout {self.name} is not a LLaMA with other tensor names"
        )

    def llama_config(
        self, config: Config, header: Header, described: Described
    ) -> dict[str, object]:
        """Its config.json, but for dtype and special ids, where `has_llama`."""
        raise LayoutError(
            f"A checkpoint of the layout {self.name} is not a LLaMA with other tensor names"
        )

    def sizes(self, header: Header) -> dict[str, int]:
        """What the tensors' shapes say of the network, in config.json's words; ConfigError."""
        return read_sizes(header, self.embedding, self.block, self.wide, self.key)

    def size_differences(self, config: Config, header: Header) -> list[str]:
        """One line for each size on which config and tensors disagree; empty when they agree."""
        stated, found = self.config_sizes(config), self.sizes(header)
        return [
            f"{name}: config says {stated[name]}, tensors say {found[name]}"
            for name in stated
            if stated[name] != found[name]
        ]

    def agreed(self, config: Config, header: Header) -> dict[str, int]:
        """The sizes on which config and tensors agree; ConfigError where they do not."""
        if differences := self.size_differences(config, header):
            raise ConfigError(
                "The config describes another model than the tensors",
                expected="the same sizes in both",
                found="; ".join(differences),
                where=header.path,
                hint="check that config and weights come from the same folder upstream",
            )
        return self.sizes(header)


def assign(layout: Layout, config: Config, names: Iterable[str]) -> Assignment:
    """Find each target tensor among the source's `names`, and a reason for each that is left over.

    Raises LayoutError, naming them, when a tensor is missing or one is left without a reason.
    """
    shapes = layout.shapes(config)
    found = list(names)
    beside = {name: RECOMPUTED for name in found if is_table(name)}
    beside |= {name: COUNTER for name in found if name in COUNTERS}
    assignment = layout.assign(shapes, [name for name in found if name not in beside])
    known = {wanted.source for wanted in assignment.wanted.values()}
    known.update(copy for wanted in assignment.wanted.values() for copy in wanted.copies)
    left_out = beside | dict(assignment.left_out)
    missing = sorted(known - set(found))
    extra = sorted(set(found) - known - set(left_out))
    if missing or extra:
        raise LayoutError(
            f"The checkpoint does not hold the tensors of the layout {layout.name}",
            expected=f"{len(shapes)} tensors, as the config demands",
            found=f"missing {_some(missing)}; unexpected {_some(extra)}",
            hint="Check that config and weights are of one model, and that the layout is right.",
        )
    return Assignment(assignment.wanted, left_out)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "none") + more
