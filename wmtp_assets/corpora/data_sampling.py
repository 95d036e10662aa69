"""The block `data_sampling` of a training configuration, exactly as written there.

    data_sampling:
      seed: 42
      n_samples: 200000              # pairs
      val_n_samples: 500             # for the validation split: count=block["val_n_samples"]
      use_pairwise: true             # pairs; false: the correct row of each pair
      max_pairs_per_problem: 50
      use_length_balanced: false     # true: pairs of equal length; difficulty only filters
      length_bins: [0, 100, 150, 200, 300, 500, 1000, 2000]
      difficulty_bins: {diff_7: [7, 7], else: [8, 25]}     # both ends included
      difficulty_weights: {diff_7: 0.35, else: 0.65}

These keys and no others; all but n_samples and seed may be absent, the bins with their weights only
where use_length_balanced is true. A mapping that has a key `data_sampling` stands for what is below
it. The share of a bin without any pair goes to the other bins, with a UserWarning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wmtp_assets.corpora.bins import (
    Bins,
    check_bins,
    check_range,
    checked_cap,
    checked_count,
    checked_edges,
    checked_seed,
)
from wmtp_assets.corpora.errors import CorpusError

LENGTH_BINS = (0, 100, 150, 200, 300, 500, 1000, 2000)
KEYS = (
    "seed",
    "n_samples",
    "val_n_samples",
    "use_pairwise",
    "max_pairs_per_problem",
    "use_length_balanced",
    "length_bins",
    "difficulty_bins",
    "difficulty_weights",
)
_NAME = "data_sampling"


@dataclass(frozen=True)
class DataSampling:
    """What a block requests. `bins` share out by weight; with `length_bins` they only filter."""

    count: int
    seed: int
    pairwise: bool
    max_pairs_per_problem: int | None
    bins: Bins | None
    length_bins: Sequence[float] | None


def parse(block: object, count: int | None = None, seed: int | None = None) -> DataSampling:
    """The request of a block; `count` and `seed`, where given, replace the block's.

    Raises CorpusError for a block that is no mapping, an unknown key, and values that make
    no sense.
    """
    if isinstance(block, Mapping) and _NAME in block:
        block = block[_NAME]
    if not isinstance(block, Mapping):
        raise _refusal(_NAME, "a mapping", block, "Give the block as it is in the configuration.")
    if unknown := [key for key in block if key not in KEYS]:
        raise CorpusError(
            f"{_NAME} has an unknown key",
            expected=", ".join(KEYS),
            found=", ".join(map(str, unknown)),
            hint="Remove it, or correct its spelling.",
        )
    if block.get("val_n_samples") is not None:
        checked_count(block["val_n_samples"])
    balanced = _truth(block, "use_length_balanced")
    bins = _bins(block)
    if bins is None and not balanced:
        raise CorpusError(
            f"{_NAME} needs bins of difficulty",
            expected="difficulty_bins and difficulty_weights, or use_length_balanced: true",
            found="neither",
            hint="For one bin give difficulty_bins: {all: [0, 25]}, difficulty_weights: {all: 1}.",
        )
    return DataSampling(
        count=checked_count(_required(block, "n_samples", count)),
        seed=checked_seed(_required(block, "seed", seed)),
        pairwise=_truth(block, "use_pairwise"),
        max_pairs_per_problem=checked_cap(block.get("max_pairs_per_problem")),
        bins=bins,
        length_bins=checked_edges(block.get("length_bins") or LENGTH_BINS) if balanced else None,
    )


def _required(block: Mapping[Any, Any], key: str, given: object) -> object:
    found = block.get(key) if given is None else given
    if found is None:
        raise _refusal(key, "a whole number", found, f"Give {key} in the block.")
    return found


def _truth(block: Mapping[Any, Any], key: str) -> bool:
    found = block.get(key)
    if found is not None and not isinstance(found, bool):
        raise _refusal(key, "true or false", found, "Give one of them, without quotes.")
    return bool(found)


def _mapping(block: Mapping[Any, Any], key: str) -> Mapping[Any, Any]:
    found = block.get(key)
    if not isinstance(found, Mapping):
        raise _refusal(key, "a mapping from the name of each bin", found, "Give both mappings.")
    return found


def _bins(block: Mapping[Any, Any]) -> Bins | None:
    """{(lowest, highest): weight} of the two mappings, which name the same bins."""
    if block.get("difficulty_bins") is None and block.get("difficulty_weights") is None:
        return None
    ranges, weights = (_mapping(block, key) for key in ("difficulty_bins", "difficulty_weights"))
    if set(ranges) != set(weights):
        raise CorpusError(
            "difficulty_bins and difficulty_weights name different bins",
            expected=", ".join(map(str, ranges)),
            found=", ".join(map(str, weights)),
            hint="Give each bin one range and one weight; 0 leaves it out.",
        )
    found: dict[tuple[int, int], float] = {}
    for name, each in ranges.items():
        bounds = tuple(each) if isinstance(each, Sequence) and not isinstance(each, str) else each
        check_range(bounds, f"difficulty_bins.{name}")
        if bounds in found:
            raise _refusal(f"difficulty_bins.{name}", "another range", each, "Join the two bins.")
        found[bounds] = weights[name]
    check_bins(found)
    return found


def _refusal(key: str, expected: str, found: object, hint: str) -> CorpusError:
    where = key if key == _NAME else f"{_NAME}.{key}"
    return CorpusError(f"{where} is not usable", expected=expected, found=repr(found), hint=hint)
