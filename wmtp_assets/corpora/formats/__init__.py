"""The dataset formats: each module here states one, as `FORMAT`, and the catalog names it.

Every module of this package is read, so that a new format is a new module and nothing else. A
program that keeps its formats elsewhere calls `register` before it reads a catalog. What formats
share is in `corpora` (`dataset_format`, `solved_tasks`, `format_checks`), not here.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.schema import declaration_fault

_FORMATS: dict[str, DatasetFormat] = {}
FORMATS = MappingProxyType(_FORMATS)
"""Every format by its name, the catalog's `layout`."""


def register(dataset_format: DatasetFormat) -> None:
    """Make a format known under its name.

    Raises CorpusError where another format has that name or label, and where its declaration
    cannot be checked.
    """
    for known in _FORMATS.values():
        if dataset_format is known:
            return
        if known.name == dataset_format.name or known.label == dataset_format.label:
            raise CorpusError(
                f"There are two dataset formats called {dataset_format.name}",
                expected="a name and a label that no other format has",
                found=f"{type(known).__qualname__} and {type(dataset_format).__qualname__}",
                hint="Rename one of them.",
            )
    fault = declaration_fault(dataset_format)
    if fault is not None:
        raise CorpusError(
            f"The dataset format {dataset_format.name} is not declared correctly",
            expected="columns, fields, tests_field and index_columns as `dataset_format` has them",
            found=fault,
            hint=f"Correct {type(dataset_format).__module__}.",
        )
    _FORMATS[dataset_format.name] = dataset_format


def discover() -> None:
    """Register the format of every module in this package's folders (`__path__`)."""
    for module in iter_modules(__path__, f"{__name__}."):
        register(import_module(module.name).FORMAT)


discover()
