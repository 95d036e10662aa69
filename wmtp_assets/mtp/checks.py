"""Do the models load and work? Each answer is a Finding; torch is imported when one is asked.

Belongs here: checks that execute a network. Its weights stay in their file and pass through some
tens of MB (`streaming.py`), in float32 whatever they are stored in: half precision is slow on a
CPU, and small gradients vanish in it. Logits must be finite in the dtype that is stored. What a
header or a digest can tell is checked in `checkpoints/checks.py` and `checkpoints/configs.py`
without a network.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtp_assets.checkpoints.layout import Network
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding

if TYPE_CHECKING:
    from torch import Tensor

    from wmtp_assets.mtp.model import MTPTransformer
    from wmtp_assets.mtp.streaming import Gradient

POSITIONS = 4  # a few, so that attention has a choice, and wq and wk a gradient
HINT = "materialize the model and its configs again"


def check_mtp(weights: Path, params: Path, *, finite: bool = True) -> list[Finding]:
    """Strict names and shapes, forward shape, and gradients in every head.

    Without `finite` (weights hold infinities that the catalog waives) logits and gradients may be
    any, and only shapes are asked for. Reads the file once, and its heads and output twice more.
    The later findings are left out when the model does not load.
    """
    from wmtp_assets.mtp.loading import mtp_without_weights, read_json, require_fit
    from wmtp_assets.mtp.streaming import StreamedWeights

    expected = "every tensor, and no other"
    with ExitStack() as stack:
        try:
            header = read_header(weights)
            model = mtp_without_weights(read_json(params), _shapes(header))
            require_fit(model, _shapes(header), weights)
            run = stack.enter_context(StreamedWeights(model, header, {}))
        except (WmtpError, OSError) as error:
            return [_finding("mtp_loads_strictly", weights, expected, str(error))]
        heads = [f"layers.{len(model.layers) - 1}."]
        heads += [f"extra_heads.{number}." for number in range(len(model.extra_heads))]
        for head in heads:
            run.watch(head)
        found = _execute(model, header)
        return [
            _finding("mtp_loads_strictly", weights, expected),
            _check_forward(model, found, weights, finite),
            _check_gradients(run.gradients(), len(heads), weights, finite),
        ]


@dataclass
class _Executed:
    """Shapes of logits of all heads and of the next token's, and whether all are finite."""

    every: list[int]
    first: list[int]
    finite: bool


def _execute(model: MTPTransformer, header: Header) -> _Executed:
    """Runs the network, and a loss over all heads back to what they get from the trunk."""
    import torch
    from torch.nn import functional as F  # noqa: N812 - the name that every PyTorch reader knows

    tokens = _tokens(model.args.vocab_size)
    with torch.no_grad():
        hidden = model.trunk(tokens)
        first = model.predictions(hidden, tokens, return_all_heads=False)
    every = model.predictions(hidden.requires_grad_(), tokens)
    # Values as a reader of the stored dtype gets them, gradients as they are in float32.
    every = every + (_as_stored(every, header) - every).detach()
    logits = every.flatten(0, 2)
    targets = torch.arange(len(logits)) % model.args.vocab_size
    torch.autograd.backward(F.cross_entropy(logits, targets, reduction="sum"))
    return _Executed(list(every.shape), list(first.shape), bool(every.isfinite().all()))


def _check_forward(
    model: MTPTransformer, found: _Executed, where: Path, must_be_finite: bool
) -> Finding:
    args = model.args
    every = [1, POSITIONS, args.n_future_tokens, args.vocab_size]
    first = [1, POSITIONS, 1, args.vocab_size]
    passed = (found.every, found.first) == (every, first) and (found.finite or not must_be_finite)
    asked = {"finite": True} if must_be_finite else {}
    return Finding(
        name="mtp_forward_shape",
        passed=passed,
        expected={"all heads": every, "next token": first, **asked},
        found={"all heads": found.every, "next token": found.first, "finite": found.finite},
        where=str(where),
        hint="" if passed else HINT,
    )


def _check_gradients(
    gradients: dict[str, Gradient], heads: int, where: Path, finite: bool
) -> Finding:
    """Whether the loss reaches every parameter of every head; the trunk's cost too much to ask."""
    without = [
        name
        for name, gradient in gradients.items()
        if not gradient.reached or (finite and not (gradient.finite and gradient.nonzero))
    ]
    asked = "finite gradients other than zero" if finite else "gradients"
    return _finding(
        "mtp_gradients",
        where,
        f"{asked} in all {heads} heads",
        f"none in {_some(without)}" if without else None,
    )


def check_causal_lm(weights: Path, config: Path, *, finite: bool = True) -> list[Finding]:
    """Whether AutoModelForCausalLM has exactly the file's tensors for this config, and works.

    Without `finite` (weights hold infinities that the catalog waives) logits may be any.

    The config is linked into a temporary folder under the name that transformers expects, so that
    the same check serves artifacts before and after they are published.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from wmtp_assets.mtp.loading import LOADING, choose_implementation
    from wmtp_assets.mtp.streaming import StreamedWeights, rebuilt_buffers

    expected = f"every tensor from the file, at its dtype, and {'finite ' * finite}logits"
    try:
        header = read_header(weights)
        with tempfile.TemporaryDirectory(prefix="wmtp-view-") as view:
            (Path(view) / "config.json").symlink_to(config.resolve())
            args: Any = AutoConfig.from_pretrained(view, **LOADING)
        stated = args.dtype
        choose_implementation(args)
        args.dtype = torch.float32  # what is executed, whatever is stored
        with torch.device("meta"):
            built: Any = AutoModelForCausalLM
            model = built.from_config(args, trust_remote_code=False).eval()
        rebuilt_buffers(model, args)
    except Exception as error:  # transformers raises whatever its parts raise
        return [_finding("causal_lm_loads", weights, expected, str(error)[:500])]
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if first.setdefault(id(parameter), name) != name:
            tied[name] = first[id(parameter)]
    wanted = {n: tuple(t.shape) for n, t in model.state_dict().items() if n not in tied}
    faults = _unlike(wanted, _shapes(header))
    others = [n for n, info in header.tensors.items() if f"torch.{info.dtype}" != str(stated)]
    if stated is not None and others:
        faults.append(f"stored with another dtype than the config's {stated}: {_some(others)}")
    if faults:
        return [_finding("causal_lm_loads", weights, expected, "; ".join(faults))]
    try:
        with StreamedWeights(model, header, tied), torch.no_grad():
            logits = model(_tokens(args.vocab_size), use_cache=False).logits
    except (WmtpError, OSError) as error:
        return [_finding("causal_lm_loads", weights, expected, str(error))]
    shape = [1, POSITIONS, args.vocab_size]
    is_finite = bool(_as_stored(logits, header).isfinite().all())
    if list(logits.shape) != shape or (finite and not is_finite):
        faults.append(f"logits {list(logits.shape)} instead of finite {shape}")
    return [_finding("causal_lm_loads", weights, expected, "; ".join(faults) or None)]


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


def check_reward_model(weights: Path, config: Path, *, finite: bool = True) -> list[Finding]:
    """Whether the reward model has exactly the file's tensors and gives a finite score that its
    text decides.

    Without `finite` (weights hold infinities that the catalog waives) scores may be any.
    """
    import torch

    from wmtp_assets.mtp.loading import require_fit
    from wmtp_assets.mtp.reward import BIAS, network_name, reward_config, reward_without_weights
    from wmtp_assets.mtp.streaming import StreamedWeights, rebuilt_buffers

    scored = "finite scores that differ between texts" if finite else "scores"
    expected = f"every tensor, and no other; {scored}"
    try:
        header, args = read_header(weights), reward_config(config)
        names = {network_name(name): name for name in header.tensors}
        args.dtype = torch.float32  # what is executed, whatever is stored
        model = reward_without_weights(args, bias=BIAS in header.tensors)
        shapes = _shapes(header)
        require_fit(model, {network: shapes[name] for network, name in names.items()}, weights)
        rebuilt_buffers(model, args)
        tokens = _tokens(args.vocab_size).repeat(2, 1)
        tokens[1] = tokens[1].flip(0)
        with StreamedWeights(model.eval(), header, names):
            scores = model.score(tokens, torch.tensor([POSITIONS, POSITIONS]))
    except (WmtpError, OSError) as error:
        return [_finding("reward_model_scores", weights, expected, str(error))]
    is_finite = bool(_as_stored(scores, header).isfinite().all())
    works = not finite or (is_finite and scores[0] != scores[1])
    return [
        _finding("reward_model_scores", weights, expected, None if works else str(scores.tolist()))
    ]


EXECUTE: Mapping[Network, Callable[..., list[Finding]]] = {
    "mtp": check_mtp,
    "causal_lm": check_causal_lm,
    "reward_model": check_reward_model,
}
"""By what a layout calls its network: (weights, config, *, finite) -> findings."""


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


def _finding(name: str, where: Path, expected: str, fault: str | None = None) -> Finding:
    return Finding(
        name=name,
        passed=fault is None,
        expected=expected,
        found="as expected" if fault is None else fault,
        where=str(where),
        hint="" if fault is None else HINT,
    )
