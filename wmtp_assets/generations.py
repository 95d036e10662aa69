"""The contract's folders, by its generation: where training code looks for models and datasets.

The first phase's readers open `models_v2` and `datasets_v2`, today's `models` and `datasets`; both
look for small copies in `datasets_local_small`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Contract = Literal["phase1", "current"]


class _Folders(NamedTuple):
    models: str
    datasets: str


_FOLDERS: Final[Mapping[Contract, _Folders]] = {
    "phase1": _Folders("models_v2", "datasets_v2"),
    "current": _Folders("models", "datasets"),
}
CONTRACTS: Final[tuple[Contract, ...]] = tuple(_FOLDERS)
"""Every generation of the contract, the oldest first."""


_SMALL: Final = "datasets_local_small"
FOLDERS: Final = frozenset({_SMALL, *(one for some in _FOLDERS.values() for one in some)})
"""Every folder of the contract, below the storage."""


def model_folder(contract: Contract, model: str) -> str:
    """The folder of a model's files, below the storage."""
    return f"{_FOLDERS[contract].models}/{model}"


def dataset_folder(contract: Contract, dataset: str) -> str:
    """The folder of a dataset's files, below the storage."""
    return f"{_FOLDERS[contract].datasets}/{dataset}"


def small_folder(dataset: str) -> str:
    """The folder of a dataset's small copy, below the storage."""
    return f"{_SMALL}/{dataset}_small"
