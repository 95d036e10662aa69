"""Do the artifacts load and work? Each answer is a Finding; torch is imported when one is asked.

Belongs here: proofs that need a network in memory. What a header or a digest can tell is proven
in `checkpoints/checks.py` and `checkpoints/configs.py` without one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding

if TYPE_CHECKING:
    from torch import Tensor

    from wmtp_assets.mtp.model import MTPTransformer

POSITIONS = 4  # a CPU multiplies half precision slowly: each position of a 7B model takes seconds
GRADIENT_POSITIONS = 2  # the fewest at which attention has a choice, and so wq and wk a gradient
HINT = "materialize the model and its configs again"


def check_mtp(weights: Path, params: Path, *, finite: bool = True) -> list[Finding]:
    """Strict load, forward shape, and gradients in every head, at the dtype that is stored.

    Without `finite` (weights hold infinities that the catalog waives) logits and gradients may be
    any, and only shapes are asked for.

    Needs the file's size in memory that the system can drop again (the weights are mapped), and
    as much as the heads' own weights for their gradients. The later findings are left out when the
    model does not load.
    """
    from wmtp_assets.mtp.loading import load_mtp, read_json

    try:
        model = load_mtp(weights, read_json(params))
    except WmtpError as error:
        return [_finding("mtp_loads_strictly", weights, "every tensor, and no other", str(error))]
    return [
        _finding("mtp_loads_strictly", weights, "every tensor, and no other"),
        _check_forward(model, weights, finite),
        _check_gradients(model, weights, finite),
    ]


def _check_forward(model: MTPTransformer, where: Path, must_be_finite: bool) -> Finding:
    import torch

    args = model.args
    tokens = _tokens(args.vocab_size)
    with torch.no_grad():
        every, first = model(tokens), model(tokens, return_all_heads=False)
    expected = [
        [1, POSITIONS, args.n_future_tokens, args.vocab_size],
        [1, POSITIONS, 1, args.vocab_size],
    ]
    found = [list(every.shape), list(first.shape)]
    finite = bool(every.isfinite().all())
    passed = found == expected and (finite or not must_be_finite)
    asked = {"finite": True} if must_be_finite else {}
    return Finding(
        name="mtp_forward_shape",
        passed=passed,
        expected={"all heads": expected[0], "next token": expected[1], **asked},
        found={"all heads": found[0], "next token": found[1], "finite": finite},
        where=str(where),
        hint="" if passed else HINT,
    )


def _check_gradients(model: MTPTransformer, where: Path, finite: bool) -> Finding:
    """Back-propagate a loss over all heads into the heads; the trunk is frozen to save memory."""
    import torch
    from torch.nn import functional as F  # noqa: N812 - the name that every PyTorch reader knows

    for layer in model.layers[:-1]:
        layer.requires_grad_(False)
    model.tok_embeddings.requires_grad_(len(model.layers) == 1)
    tokens = _tokens(model.args.vocab_size)[:, :GRADIENT_POSITIONS]
    logits = model(tokens).float().flatten(0, 2)
    targets = torch.arange(len(logits)) % model.args.vocab_size
    torch.autograd.backward(F.cross_entropy(logits, targets, reduction="sum"))
    named = {f"layers.{len(model.layers) - 1}": model.layers[-1]}
    named |= {f"extra_heads.{i}": head for i, head in enumerate(model.extra_heads)}
    without = [
        f"{head}.{name}"
        for head, block in named.items()
        for name, parameter in block.named_parameters()
        if not _is_gradient(parameter.grad, finite)
    ]
    model.zero_grad(set_to_none=True)
    asked = "finite gradients other than zero" if finite else "gradients"
    return _finding(
        "mtp_gradients",
        where,
        f"{asked} in all {len(named)} heads",
        f"none in {_some(without)}" if without else None,
    )


def check_causal_lm(weights: Path, config: Path, *, finite: bool = True) -> list[Finding]:
    """Whether AutoModelForCausalLM loads the model with no argument about it, and it works.

    Without `finite` (weights hold infinities that the catalog waives) logits may be any.

    The two files are linked into a temporary folder under the names that transformers expects, so
    that the same proof serves artifacts before and after they are published.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from wmtp_assets.mtp.loading import LOADING, choose_implementation, read_tensors

    expected = f"every tensor from the file, at its dtype, and {'finite ' * finite}logits"
    with tempfile.TemporaryDirectory(prefix="wmtp-view-") as view:
        (Path(view) / "model.safetensors").symlink_to(weights.resolve())
        (Path(view) / "config.json").symlink_to(config.resolve())
        try:
            args = AutoConfig.from_pretrained(view, **LOADING)
            choose_implementation(args)
            found: Any = AutoModelForCausalLM.from_pretrained(
                view, config=args, output_loading_info=True, use_safetensors=True, **LOADING
            )
        except Exception as error:  # transformers raises whatever its parts raise
            return [_finding("causal_lm_loads", weights, expected, str(error)[:500])]
        model, info = found
        faults = [f"{kind}: {_some(map(str, names))}" for kind, names in info.items() if names]
        stored, loaded = read_tensors(weights), model.state_dict()
        shared = stored.keys() & loaded.keys()
        if unlike := [name for name in shared if not _same(loaded[name], stored[name])]:
            faults.append(f"loaded with another dtype or other values: {_some(unlike)}")
        with torch.no_grad():
            logits = model(_tokens(model.config.vocab_size)).logits
    shape = [1, POSITIONS, model.config.vocab_size]
    if list(logits.shape) != shape or (finite and not logits.isfinite().all()):
        faults.append(f"logits {list(logits.shape)} instead of finite {shape}")
    return [_finding("causal_lm_loads", weights, expected, "; ".join(faults) or None)]


def check_reward_model(weights: Path, config: Path, *, finite: bool = True) -> list[Finding]:
    """Whether the reward model loads strictly and gives a finite score that its text decides.

    Without `finite` (weights hold infinities that the catalog waives) scores may be any.
    """
    import torch

    from wmtp_assets.mtp.reward import load_reward_model

    scored = "finite scores that differ between texts" if finite else "scores"
    expected = f"every tensor, and no other; {scored}"
    try:
        model = load_reward_model(weights, config)
    except WmtpError as error:
        return [_finding("reward_model_scores", weights, expected, str(error))]
    tokens = _tokens(model.model.config.vocab_size).repeat(2, 1)
    tokens[1] = tokens[1].flip(0)
    scores = model.score(tokens, torch.tensor([POSITIONS, POSITIONS]))
    works = not finite or (bool(scores.isfinite().all()) and scores[0] != scores[1])
    return [
        _finding("reward_model_scores", weights, expected, None if works else str(scores.tolist()))
    ]


def _tokens(vocab_size: int) -> Tensor:
    """The same few token ids (1, POSITIONS) every time, spread over the vocabulary."""
    import torch

    return (torch.arange(1, POSITIONS + 1) * 7919 % vocab_size)[None]


def _is_gradient(grad: Tensor | None, finite: bool) -> bool:
    if grad is None or not finite:
        return grad is not None
    return bool(grad.isfinite().all()) and bool(grad.any())


def _same(one: Tensor, other: Tensor) -> bool:
    import torch

    return one.dtype == other.dtype and torch.equal(one, other)


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
