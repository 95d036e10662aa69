"""llama-reward: transformers' LlamaModel and a `v_head`.

Reward models hold their trunk under one or more prefixes, and their head under many names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layout import Assignment, Config, Shape, Wanted, number
from wmtp_assets.checkpoints.layouts.llama import Transformers, trunk_shapes
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.settings import Accepted

SECOND_TRUNK = "a second copy of the trunk, found equal to the first"
UNUSED_HEAD = "the reward is read from v_head; the language head is not used"
UNUSED_NORMALIZER = "the config does not normalize scores"
WEIGHT, BIAS = "v_head.weight", "v_head.bias"
_TRUNKS = (
    "transformer.",
    "model.model.",
    "model.",
    "pretrained_model.model.",
    "pretrained_model.",
    "",
)
# What public reward models call the one linear layer that scores a hidden state.
_HEADS = (
    "v_head",  # Starling
    "v_head.summary",  # TRL's value head
    "score",  # transformers' LlamaForSequenceClassification
    "score_head",  # PKU Beaver
    "value_head",  # OpenRLHF
    "value_head.summary",
    "regression_head",  # UltraRM
)
# PKU Beaver's running statistics of scores, which `do_normalize` would apply.
_NORMALIZER = ("normalizer.mean", "normalizer.var", "normalizer.count")
# Reward models are saved under their authors' names.
_CLASSES = (
    "LLMForSequenceRegression",  # Starling
    "LlamaModel",
    "LlamaForSequenceClassification",
    "LlamaForRewardModel",
    "LlamaForScore",  # PKU Beaver
    "LlamaModelForScore",  # its first releases
    "LlamaRewardModel",  # UltraRM
    "LlamaForCausalLMWithValueHead",
    "AutoModelForCausalLMWithValueHead",
    "GPTRewardModel",
    "RewardModel",
)
# The settings of reward heads: the head is one layer, whose bias is there where its tensor is, and
# its score is taken as it is.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "score_dim": (1,),
    "do_normalize": (False,),
    "normalize_reward": (False,),
    "mean": (0,),
    "std": (1,),
    "var": (1,),
}
_IRRELEVANT = frozenset(
    [
        "score_type",
        "score_bias",
        "bias",
        "normalizer_type",
        "normalize_function",
        "momentum",
        "value_head_prefix",
        "packing_samples",
    ]
)


class LlamaReward(Transformers):
    """A model that scores a text."""

    name = "llama-reward"
    accepted = Accepted("llama-reward", ("llama",), _CLASSES, "LlamaModel", _NEUTRAL, _IRRELEVANT)
    network = "reward_model"
    copies_at_source = 2
    optional: ClassVar[Mapping[str, Shape]] = {BIAS: (1,)}
    embedding, block = "embed_tokens.weight", "layers"

    def shapes(self, config: Config) -> dict[str, Shape]:
        head = {WEIGHT: (1, number(config, "hidden_size"))}
        return trunk_shapes(self.settled(config)) | head

    def assign(self, shapes: Mapping[str, Shape], names: Sequence[str]) -> Assignment:
        present = set(names)
        trunks = [t for t in _TRUNKS if f"{t}embed_tokens.weight" in present]
        first, others = (trunks[0], trunks[1:]) if trunks else (_TRUNKS[0], [])
        head = _reward_head(present)
        wanted: dict[str, Wanted] = {}
        for name, shape in shapes.items():
            if name == WEIGHT:
                wanted[name] = Wanted(shape, f"{head}.weight")
                if f"{head}.bias" in present:
                    wanted[BIAS] = Wanted((1,), f"{head}.bias")
            else:
                wanted[name] = Wanted(shape, first + name, tuple(other + name for other in others))
        left_out = {copy: SECOND_TRUNK for one in wanted.values() for copy in one.copies}
        heads = ("lm_head.weight", "model.lm_head.weight", "pretrained_model.lm_head.weight")
        left_out |= {name: UNUSED_HEAD for name in heads if name in present}
        left_out |= {name: UNUSED_NORMALIZER for name in _NORMALIZER if name in present}
        return Assignment(wanted, left_out)

    def value_head(self, header: Header) -> dict[str, object]:
        hidden = super().value_head(header)["input_size"]
        tensors = [name for name in (WEIGHT, BIAS) if name in header.tensors]
        return {"stored": True, "input_size": hidden, "tensors": tensors}


LAYOUT = LlamaReward()


def _reward_head(present: Collection[str]) -> str:
    """What the source calls its reward head; LayoutError where there is none, or more than one."""
    found = [head for head in _HEADS if f"{head}.weight" in present]
    if len(found) > 1:
        raise LayoutError(
            "The checkpoint holds several reward heads",
            expected="one",
            found=", ".join(f"{head}.weight" for head in found),
            hint="Find out which of them the model uses, and save it without the others.",
        )
    if not found:
        raise LayoutError(
            "The checkpoint holds no reward head that the layout llama-reward knows",
            expected="one of " + ", ".join(f"{head}.weight" for head in _HEADS),
            found="none of them",
            hint="Check that the layout is right, or rename the head's tensors to v_head.weight "
            "and v_head.bias.",
        )
    return found[0]
