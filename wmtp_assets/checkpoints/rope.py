"""Rotary position embedding: what a config says of it, in one form, and the frequencies it means.

transformers 4 reads `rope_theta` and `rope_scaling`, 5 also `rope_parameters`. Here both are read
into one `Rope`, which gives both back, so that no version falls back to a default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from wmtp_assets.checkpoints.errors import LayoutError

Frequencies = npt.NDArray[np.float64]
Config = Mapping[str, object]

# By type: the numbers that it must have, and those that it may have.
_NUMBERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "default": ((), ()),
    "linear": (("factor",), ()),
    "dynamic": (("factor",), ()),
    "llama3": (
        (
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
        ),
        (),
    ),
    "yarn": (
        ("factor",),
        (
            "original_max_position_embeddings",
            "attention_factor",
            "beta_fast",
            "beta_slow",
            "mscale",
            "mscale_all_dim",
        ),
    ),
}
_WHOLE = ("original_max_position_embeddings",)
_HINT = (
    "This setting changes what the network computes, so the checkpoint cannot be converted as it "
    "is. If the file is wrong, correct it in a directory mirror and point WMTP_HUB at that."
)


@dataclass(frozen=True)
class Rope:
    """Theta, and how the frequencies are scaled: `kind` with its `numbers`."""

    theta: float
    kind: str = "default"
    numbers: Mapping[str, float] = field(default_factory=dict)

    def entries(self) -> dict[str, object]:
        """The same in the words of transformers 4 and of transformers 5."""
        numbers = dict(self.numbers)
        # Versions before 4.43 know the types linear and dynamic only, and call the key `type`.
        old = "type" if self.kind in ("linear", "dynamic") else "rope_type"
        return {
            "rope_theta": self.theta,
            "rope_scaling": None if self.kind == "default" else {old: self.kind, **numbers},
            "rope_parameters": {"rope_type": self.kind, "rope_theta": self.theta, **numbers},
        }

    def frequencies(self, head_dim: int) -> list[Frequencies]:
        """Inverse frequencies, (head_dim / 2,), that a stored table may hold: first the plain ones.

        Older versions stored them unscaled and scaled the positions, so both are right.
        """
        plain = inverse_frequencies(self.theta, head_dim)
        match self.kind:
            case "linear":
                return [plain, plain / self.numbers["factor"]]
            case "llama3":
                return [plain, _llama3(plain, self.numbers)]
            case "yarn":
                return [plain, *_yarn(plain, self.theta, self.numbers)]
        return [plain]


def inverse_frequencies(theta: float, head_dim: int) -> Frequencies:
    """theta ** (-2i / head_dim) for each pair of channels: (head_dim / 2,)."""
    return theta ** (-np.arange(0, head_dim, 2, dtype=np.float64) / head_dim)


def _llama3(plain: Frequencies, numbers: Mapping[str, float]) -> Frequencies:
    """Llama 3.1's rule: long waves are stretched, short ones kept, those between interpolated."""
    factor, low, high = (
        numbers[name] for name in ("factor", "low_freq_factor", "high_freq_factor")
    )
    turns = numbers["original_max_position_embeddings"] * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return (1 - smooth) * plain / factor + smooth * plain


def _yarn(plain: Frequencies, theta: float, numbers: Mapping[str, float]) -> list[Frequencies]:
    """YaRN's rule; empty where the length it was trained at is not stated."""
    trained = numbers.get("original_max_position_embeddings")
    if trained is None:
        return []
    dim = 2 * len(plain)

    def channel(turns: float) -> float:
        return dim * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(theta))

    first = max(math.floor(channel(numbers.get("beta_fast", 32))), 0)
    last = min(math.ceil(channel(numbers.get("beta_slow", 1))), dim - 1)
    ramp = np.clip((np.arange(len(plain)) - first) / max(last - first, 0.001), 0.0, 1.0)
    return [plain / numbers["factor"] * ramp + plain * (1 - ramp)]


def read_rope(config: Config, default_theta: float) -> Rope:
    """What config.json says of RoPE, whichever vocabulary it uses.

    Raises LayoutError where a type, a key or a value is not known, the two vocabularies disagree,
    or only a part of each head is rotated.
    """
    documents = {
        key: _document(config, key)
        for key in ("rope_scaling", "rope_parameters")
        if config.get(key) is not None and config.get(key) != {}
    }
    thetas = {"rope_theta": config.get("rope_theta")} | {
        f"{key}.rope_theta": document.get("rope_theta") for key, document in documents.items()
    }
    stated = {key: _number(key, value) for key, value in thetas.items() if value is not None}
    if len(set(stated.values())) > 1:
        _refuse("config.json states two values of rope_theta", "one value", stated)
    theta = next(iter(stated.values()), default_theta)
    read = {key: _scaling(key, document) for key, document in documents.items()}
    if len({(kind, tuple(sorted(numbers.items()))) for kind, numbers in read.values()}) > 1:
        _refuse("rope_scaling and rope_parameters contradict each other", "the same", documents)
    partial = {"partial_rotary_factor": config.get("partial_rotary_factor")} | {
        f"{key}.partial_rotary_factor": document.get("partial_rotary_factor")
        for key, document in documents.items()
    }
    for key, value in partial.items():
        if value is not None and (isinstance(value, bool) or value != 1):
            _refuse(f"config.json's {key} is not supported", "1.0: whole heads are rotated", value)
    kind, numbers = next(iter(read.values()), ("default", {}))
    return Rope(theta, kind, numbers)


def _document(config: Config, key: str) -> Mapping[str, object]:
    value = config[key]
    if not isinstance(value, Mapping):
        _refuse(f"config.json's {key} is not usable", "an object or null", value)
    return value


def _scaling(key: str, document: Mapping[str, object]) -> tuple[str, dict[str, float]]:
    """The type of scaling that one of the two documents names, and its numbers."""
    named = [document[name] for name in ("rope_type", "type") if document.get(name) is not None]
    kind = named[0] if named else "default"
    if named[1:] not in ([], [kind]) or not isinstance(kind, str) or kind not in _NUMBERS:
        _refuse(
            f"config.json's {key} names a kind of RoPE that is not supported",
            "one of " + ", ".join(_NUMBERS),
            document,
        )
    must, may = _NUMBERS[kind]
    numbers: dict[str, float] = {}
    for name, value in document.items():
        if name in ("rope_type", "type", "rope_theta", "partial_rotary_factor") or value is None:
            continue
        if kind == "yarn" and name == "truncate" and isinstance(value, bool):
            numbers[name] = value
        elif name not in (*must, *may):
            _refuse(
                f"config.json's {key} has a field that RoPE of the type {kind} does not know",
                ", ".join((*must, *may)) or "none",
                name,
            )
        else:
            numbers[name] = _number(f"{key}.{name}", value)
            if name in _WHOLE:
                numbers[name] = int(numbers[name])
    if missing := [name for name in must if name not in numbers]:
        _refuse(f"config.json's {key} is incomplete", f"{', '.join(must)} for {kind}", missing)
    if numbers.get("factor", 1) < 1:
        _refuse(f"config.json's {key}.factor is out of range", "1 or more", numbers["factor"])
    if kind == "llama3" and numbers["low_freq_factor"] >= numbers["high_freq_factor"]:
        _refuse(
            f"config.json's {key} contradicts itself", "low_freq_factor < high_freq_factor", numbers
        )
    return kind, numbers


def _number(key: str, value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < math.inf
        or (key.endswith(_WHOLE) and value != int(value))
    ):
        _refuse(f"config.json's {key} is not usable", "a positive number", value)
    return float(value)


def _refuse(problem: str, expected: object, found: object) -> NoReturn:
    raise LayoutError(
        problem, expected=expected, found=str(found)[:500], where="config.json", hint=_HINT
    )
