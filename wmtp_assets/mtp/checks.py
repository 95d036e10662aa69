"""The checks that a model loads and works. torch is imported when one of them is run.

Belongs here: checks that execute a network. Its weights stay in their file and pass through some
tens of MB (`streaming.py`), in float32 whatever they are stored in: half precision is slow on a
CPU, and small gradients vanish in it. Logits must be finite in the dtype that is stored. What a
header or a digest can tell is checked in `checkpoints/checks.py` and `checkpoints/configs.py`
without a network.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtp_assets.checkpoints.layout import Network
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Check, Finding, Outcome, check, lazy

if TYPE_CHECKING:
    from torch import Tensor

    from wmtp_assets.mtp.model import MTPTransformer
    from wmtp_assets.mtp.streaming import Gradient, StreamedWeights

POSITIONS = 4  # a few, so that attention has a choice, and wq and wk a gradient
HINT = "materialize the model and its configs again"


class StoredModel:
    """A model's file of weights, and the config that it is executed by.

    Without `finite` (weights hold infinities that the catalog waives) logits, scores and gradients
    may be any, and only shapes are asked for.
    """

    def __init__(self, weights: Path, config: Mapping[str, object], *, finite: bool = True) -> None:
        self.weights = weights
        self.config = config
        self.finite = finite

    @lazy
    def mtp(self) -> _Executed:
        """What executing it as multi-token prediction gives. Reads the file once, and its heads and
        output twice more. Raises WmtpError or OSError where it does not load."""
        from wmtp_assets.mtp.loading import mtp_without_weights, require_fit
        from wmtp_assets.mtp.streaming import StreamedWeights

        header = read_header(self.weights)
        model = mtp_without_weights(self.config, _shapes(header))
        require_fit(model, _shapes(header), self.weights)
        with StreamedWeights(model, header, {}) as run:
            return _execute(run, model, header)


def check_model(
    network: Network, weights: Path, config: Mapping[str, object], *, finite: bool = True
) -> list[Finding]:
    """All checks of a model of this network; of one that does not load, that finding alone."""
    model = StoredModel(weights, config, finite=finite)
    loads, *others = CHECKS[network]
    first = loads.of(model)
    return [first, *(one.of(model) for one in others)] if first.passed else [first]


@check("The plain-PyTorch transformer loads every tensor, and no other.")
def mtp_loads_strictly(model: StoredModel) -> Outcome:
    expected = "every tensor, and no other"
    try:
        model.mtp  # noqa: B018 - executed once for all checks
    except (WmtpError, OSError) as error:
        return _outcome(model, expected, str(error))
    return _outcome(model, expected)


@check("Logits are (batch, seq, n_future_tokens, vocab), and finite.")
def mtp_forward_shape(model: StoredModel) -> Outcome:
    found = model.mtp
    every = [1, POSITIONS, found.n_future_tokens, found.vocab_size]
    first = [1, POSITIONS, 1, found.vocab_size]
    passed = (found.every, found.first) == (every, first) and (found.finite or not model.finite)
    asked = {"finite": True} if model.finite else {}
    return Outcome(
        passed,
        expected={"all heads": every, "next token": first, **asked},
        found={"all heads": found.every, "next token": found.first, "finite": found.finite},
        where=str(model.weights),
        hint="" if passed else HINT,
    )


@check("A loss over all heads gives every head finite gradients.")
def mtp_gradients(model: StoredModel) -> Outcome:
    """Whether the loss reaches every parameter of every head; the trunk's cost too much to ask."""
    without = [
        name
        for name, gradient in model.mtp.gradients.items()
        if not gradient.reached or (model.finite and not (gradient.finite and gradient.nonzero))
    ]
    asked = "finite gradients other than zero" if model.finite else "gradients"
    return _outcome(
        model,
        f"{asked} in all {model.mtp.heads} heads",
        f"none in {_some(without)}" if without else None,
    )


@dataclass
class _Executed:
    """What executing a network for multi-token prediction gave.

    `every` and `first` are the shapes of the logits of all heads and of the next token's, `finite`
    says whether all of them are. `gradients` are those of the `heads` heads' parameters, by name.
    """

    vocab_size: int
    n_future_tokens: int
    every: list[int]
    first: list[int]
    finite: bool
    gradients: Mapping[str, Gradient]
    heads: int


def _execute(run: StreamedWeights, model: MTPTransformer, header: Header) -> _Executed:
    """Runs the network, and a loss over all heads back to what they get from the trunk."""
    import torch
    from torch.nn import functional as F  # noqa: N812 - the name that every PyTorch reader knows

    heads = [f"layers.{len(model.layers) - 1}."]
    heads += [f"extra_heads.{number}." for number in range(len(model.extra_heads))]
    for head in heads:
        run.watch(head)
    args = model.args
    tokens = _tokens(args.vocab_size)
    with torch.no_grad():
        hidden = model.trunk(tokens)
        first = model.predictions(hidden, tokens, return_all_heads=False)
    every = model.predictions(hidden.requires_grad_(), tokens)
    # Values as a reader of the stored dtype gets them, gradients as they are in float32.
    every = every + (_as_stored(every, header) - every).detach()
    logits = every.flatten(0, 2)
    targets = torch.arange(len(logits)) % args.vocab_size
    torch.autograd.backward(F.cross_entropy(logits, targets, reduction="sum"))
    return _Executed(
        vocab_size=args.vocab_size,
        n_future_tokens=args.n_future_tokens,
        every=list(every.shape),
        first=list(first.shape),
        finite=bool(every.isfinite().all()),
        gradients=run.gradients(),
        heads=len(heads),
    )


@check("AutoModelForCausalLM loads it without further arguments.")
def causal_lm_loads(model: StoredModel) -> Outcome:
    """Whether AutoModelForCausalLM has exactly the file's tensors for this config, and works."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from wmtp_assets.mtp.loading import LOADING, choose_implementation, without_values
    from wmtp_assets.mtp.streaming import StreamedWeights, rebuilt_buffers

    expected = f"every tensor from the file, at its dtype, and {'finite ' * model.finite}logits"
    try:
        header = read_header(model.weights)
        # transformers wants a folder with a file of this name.
        with tempfile.TemporaryDirectory(prefix="wmtp-check-") as folder:
            document = Path(folder) / "config.json"
            document.write_text(json.dumps(model.config), encoding="utf-8")
            args: Any = AutoConfig.from_pretrained(folder, **LOADING)
        stated = args.dtype
        choose_implementation(args)
        args.dtype = torch.float32  # what is executed, whatever is stored
        with without_values():
            built: Any = AutoModelForCausalLM
            network = built.from_config(args, trust_remote_code=False).eval()
        rebuilt_buffers(network, args)
    except Exception as error:  # transformers raises whatever its parts raise
        return _outcome(model, expected, str(error)[:500])
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), name) != name:
            tied[name] = first[id(parameter)]
    wanted = {n: tuple(t.shape) for n, t in network.state_dict().items() if n not in tied}
    faults = _unlike(wanted, _shapes(header))
    others = [n for n, info in header.tensors.items() if f"torch.{info.dtype}" != str(stated)]
    if stated is not None and others:
        faults.append(f"stored with another dtype than the config's {stated}: {_some(others)}")
    if faults:
        return _outcome(model, expected, "; ".join(faults))
    try:
        with StreamedWeights(network, header, tied), torch.no_grad():
            logits = network(_tokens(args.vocab_size), use_cache=False).logits
    except (WmtpError, OSError) as error:
        return _outcome(model, expected, str(error))
    shape = [1, POSITIONS, args.vocab_size]
    is_finite = bool(_as_stored(logits, header).isfinite().all())
    if list(logits.shape) != shape or (model.finite and not is_finite):
        faults.append(f"logits {list(logits.shape)} instead of finite {shape}")
    return _outcome(model, expected, "; ".join(faults) or None)


def _unlike(wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> list[str]:
    """How the file's tensors differ from the network's, under transformers' names for it."""
    both = wanted.keys() & found.keys()
    kinds = {
        "missing_keys": wanted.keys() - found.keys(),
        "unexpected_keys": found.keys() - wanted.keys(),
        "mismatched_keys": {
            f"{n} {list(found[n])} instead of {list(wanted[n])}"
            for n in both
            if wanted[n] != found[n]
        },
    }
    return [f"{kind}: {_some(names)}" for kind, names in kinds.items() if names]


@check("The reward model loads it strictly and scores a text.")
def reward_model_scores(model: StoredModel) -> Outcome:
    """Whether the reward model has exactly the file's tensors and gives a finite score that its
    text decides."""
    import torch

    from wmtp_assets.mtp.loading import require_fit
    from wmtp_assets.mtp.reward import BIAS, network_name, reward_config, reward_without_weights
    from wmtp_assets.mtp.streaming import StreamedWeights, rebuilt_buffers

    scored = "finite scores that differ between texts" if model.finite else "scores"
    expected = f"every tensor, and no other; {scored}"
    try:
        header, args = read_header(model.weights), reward_config(model.config)
        names = {network_name(name): name for name in header.tensors}
        args.dtype = torch.float32  # what is executed, whatever is stored
        network = reward_without_weights(args, bias=BIAS in header.tensors)
        shapes = _shapes(header)
        require_fit(network, {new: shapes[name] for new, name in names.items()}, model.weights)
        rebuilt_buffers(network, args)
        tokens = _tokens(args.vocab_size).repeat(2, 1)
        tokens[1] = tokens[1].flip(0)
        with StreamedWeights(network.eval(), header, names):
            scores = network.score(tokens, torch.tensor([POSITIONS, POSITIONS]))
    except (WmtpError, OSError) as error:
        return _outcome(model, expected, str(error))
    is_finite = bool(_as_stored(scores, header).isfinite().all())
    works = not model.finite or (is_finite and scores[0] != scores[1])
    return _outcome(model, expected, None if works else str(scores.tolist()))


CHECKS: Mapping[Network, tuple[Check[StoredModel], ...]] = {
    "mtp": (mtp_loads_strictly, mtp_forward_shape, mtp_gradients),
    "causal_lm": (causal_lm_loads,),
    "reward_model": (reward_model_scores,),
}
"""By what a layout calls its network; the first of each says whether the model loads."""


def _as_stored(values: Tensor, header: Header) -> Tensor:
    """`values` rounded to the dtype of the weights: of float16, infinite beyond 65,504."""
    from wmtp_assets.mtp.streaming import TORCH_DTYPES

    dtype = next(iter(header.tensors.values())).dtype
    return values.to(TORCH_DTYPES[dtype]).float()


def _shapes(header: Header) -> dict[str, tuple[int, ...]]:
    return {name: info.shape for name, info in header.tensors.items()}


def _tokens(vocab_size: int) -> Tensor:
    """The same few token ids (1, POSITIONS) every time, spread over the vocabulary."""
    import torch

    return (torch.arange(1, POSITIONS + 1) * 7919 % vocab_size)[None]


def _some(names: Iterable[str]) -> str:
    """The first few of many names, and how many there are."""
    ordered = sorted(names)
    return f"{', '.join(ordered[:3])} ({len(ordered)} in all)"


def _outcome(model: StoredModel, expected: str, fault: str | None = None) -> Outcome:
    return Outcome(
        passed=fault is None,
        expected=expected,
        found="as expected" if fault is None else fault,
        where=str(model.weights),
        hint="" if fault is None else HINT,
    )
