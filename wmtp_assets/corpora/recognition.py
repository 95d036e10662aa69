"""Recognizes, by its columns, what a shard is that has not those of the catalog's layout."""

from __future__ import annotations

from collections.abc import Iterable

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.parquet_file import ColumnsError

_SHOWN = 20  # names of columns
_CHARACTERS = 40  # of each


def recognized(
    error: ColumnsError, dataset_format: DatasetFormat, formats: Iterable[DatasetFormat]
) -> ColumnsError:
    """`error`, with what the shard is instead of one of `dataset_format`, and what to do.

    Looked for among the format's `relatives`, then among the `formats` that read all their columns
    here. Of a shard that is neither, the columns that it has are listed. A shard that has them all
    is none: a column is of another type, and `error` says which.
    """
    if dataset_format.columns.keys() <= error.names:
        return error
    found = f"{error.found} among {_listed(error.names)}"
    hint = error.hint
    relative = next((one for one in dataset_format.relatives if one.columns <= error.names), None)
    other = next((one for one in formats if one.columns.keys() <= error.names), None)
    if relative is not None:
        found, hint = f"{relative.what}: {_listed(error.names)}", relative.advice
    elif other is not None and other is not dataset_format:
        found = f"the columns of the layout {other.name}: {_listed(error.names)}"
        hint = f"Write `layout: {other.name}` into the catalog's entry, or name the files of the "
        hint += f"layout {dataset_format.name} there."
    return ColumnsError(
        error.problem,
        expected=f"the columns of the layout {dataset_format.name}, "
        f"{', '.join(dataset_format.columns)}; {error.expected}",
        found=found,
        where=error.where,
        hint=hint,
    )


def _listed(names: Iterable[str]) -> str:
    shown = [name[:_CHARACTERS] for name in sorted(names)]
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    return "the columns " + ", ".join(shown[:_SHOWN]) + more
