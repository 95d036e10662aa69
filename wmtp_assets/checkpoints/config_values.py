"""Single values of a config.json or params.json: of the right type and range, or LayoutError."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NoReturn

from wmtp_assets.checkpoints.errors import LayoutError

Config = Mapping[str, object]
MOST_LAYERS = 10_000
"""Names and flags are made for every layer that a config claims: no network has nearly as many."""
_MOST = 1e30  # of any number: what is computed from it stays finite


def size(config: Config, key: str, default: int | None = None, where: str = "config.json") -> int:
    """A whole number above 0."""
    value = config.get(key)
    if value is None and default is not None:
        return default
    if type(value) is not int or not 0 < value < 1 << 31:
        refuse(f"The config's {key} is not usable", "a whole number above 0", value, where=where)
    return value


def layers_of(config: Config) -> int:
    """`num_hidden_layers`: a whole number above 0, `MOST_LAYERS` at most."""
    layers = size(config, "num_hidden_layers")
    if layers > MOST_LAYERS:
        refuse(
            "The config's num_hidden_layers is not usable",
            f"a whole number above 0, {MOST_LAYERS:,} at most",
            layers,
        )
    return layers


def whole(config: Config, key: str, default: int) -> int:
    """A whole number, 0 included."""
    value = config.get(key)
    if value is None:
        return default
    if type(value) is not int or not 0 <= value < 1 << 31:
        refuse(f"The config's {key} is not usable", "a whole number", value)
    return value


def number(
    config: Config,
    key: str,
    default: float | None = None,
    below: float = math.inf,
    zero: bool = False,
    where: str = "config.json",
) -> float:
    """A positive number below `below`; 0 too where `zero`."""
    value = config.get(key)
    if value is None and default is not None:
        return default
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value < min(below, _MOST) or (zero and value == 0))
    ):
        limit = "" if below == math.inf else f" below {below:g}"
        refuse(f"The config's {key} is not usable", f"a positive number{limit}", value, where=where)
    return float(value)


def flag(config: Config, key: str, default: bool) -> bool:
    """True or false."""
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        refuse(f"The config's {key} is not usable", "true or false", value)
    return value


_HINT = (
    "This model cannot be converted as it is. If the file is wrong, correct it in a directory "
    "mirror and point WMTP_HUB at that."
)


def refuse(
    problem: str,
    expected: object,
    found: object,
    *,
    where: str = "config.json",
    hint: str = _HINT,
) -> NoReturn:
    """Raises LayoutError."""
    raise LayoutError(problem, expected=expected, found=str(found)[:500], where=where, hint=hint)


def same(value: object, allowed: object) -> bool:
    """Whether two values are equal and of one kind: True is not 1."""
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)
