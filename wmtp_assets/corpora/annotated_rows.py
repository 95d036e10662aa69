"""A corpus's rows joined with the annotations beside them, each opened when it is first needed.

Annotations are published apart from the rows. Which edition of one is read is settled when it is
opened, for this corpus and for copies of it that are pickled or forked later, and `wmtp gc` leaves
it alone for as long as one of them lives. One that is about other rows than the corpus has is
refused. Rows of a small copy are annotated as the rows of the split that they were chosen from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.annotations import (
    JOINED,
    VERDICTS,
    AnnotationFile,
    AnnotationKind,
)
from wmtp_assets.corpora.editions import one_edition, published_set
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.generations import CONTRACTS, dataset_folder
from wmtp_assets.storage.locks import Hold

_IN_CATALOG: Final[Mapping[AnnotationKind, str]] = {
    "verdicts": "execute: {{rows: {{{split}: all}}}}",
    "leaks": "leaks: [{split}]",
    "duplicates": "duplicates: [{split}]",
}


class Origin(NamedTuple):
    """Where rows are from: a storage's root, absolute, and their contract path below it."""

    storage: Path
    place: Path

    @classmethod
    def of(cls, jsonl: Path) -> Origin | None:
        """The origin of a file at a contract's path; None where it lies elsewhere."""
        jsonl = jsonl.absolute()
        above = 4 if jsonl.parent.name == "processed" else 3
        if len(jsonl.parents) <= above:
            return None
        root = jsonl.parents[above - 1]
        return cls(root, jsonl.relative_to(root))


class _Place(NamedTuple):
    """Where an annotation of a split is, and the rows that it is about, below the storage."""

    annotation: Path
    rows: Path


class AnnotatedRows:
    """The annotations of the rows of one JSONL file.

    `facts` are those of its row index, `rows` how many there are; `origin` says where annotations
    are looked for. `opened` are those that are open already.
    """

    def __init__(
        self,
        origin: Origin | None,
        facts: Mapping[str, Any],
        rows: int,
        opened: Mapping[AnnotationKind, AnnotationFile] | None = None,
    ) -> None:
        self.origin = self._origin = origin
        self._facts = facts
        self._rows = rows
        self.opened: dict[AnnotationKind, AnnotationFile] = dict(opened or {})
        self._settled: tuple[Path, Hold | None] | None = None

    def settled(self) -> tuple[Path, Hold | None] | None:
        """The row index of the split that these rows are chosen from, and what keeps it there,
        if that was looked up: copies of this corpus read the same edition (`settle`)."""
        if "_whole" in self.__dict__:
            index, hold = self._whole
            return index.path, hold
        return self._settled

    def settle(
        self,
        opened: Mapping[AnnotationKind, AnnotationFile],
        whole: tuple[Path, Hold | None] | None,
    ) -> None:
        """Read what another copy of this corpus has opened and looked up."""
        self.opened.update(opened)
        self._settled = whole

    def column(self, name: str) -> NDArray[Any]:
        """A column that `JOINED` has, an element per row.

        Raises CorpusError where there is no such annotation, or it is about other rows.
        """
        kind, join = JOINED[name]
        file = self.file(kind)
        whole = join(file, int(file.facts["about"]["rows"]))
        if "chosen_from" in self._facts:
            return whole[self._chosen]
        return whole

    def file(self, kind: AnnotationKind) -> AnnotationFile:
        """The annotation of this kind; `table()` has all of its columns, by the split's rows.

        Raises CorpusError where there is none, or it is about other rows.
        """
        known = self.opened.get(kind)
        if known is None:
            known = self.opened[kind] = self._open(kind)
        return known

    def _open(self, kind: AnnotationKind) -> AnnotationFile:
        places = self._places(kind)
        storage = self._origin.storage if self._origin else Path()
        there = [one for one in places if os.path.lexists(storage / one.annotation)]
        if not there:
            raise self._missing(kind, places)
        refused: CorpusError | None = None
        for one in there:
            path, hold = one_edition(storage, one.annotation)
            file = AnnotationFile(path, kind, hold)
            try:
                file.require_rows(self._about())
            except CorpusError as error:
                refused = refused or error
            else:
                return file
        raise refused or self._missing(kind, places)

    def _about(self) -> dict[str, Any]:
        """The rows that an annotation must be about: these, or those that they are chosen from."""
        dataset = self._places("duplicates")[0].rows.parts[-3]
        if "chosen_from" in self._facts:
            index, _ = self._whole
            rows, jsonl = len(index), self._facts["chosen_from"]
        else:
            rows, jsonl = self._rows, self._facts["jsonl"]
        return {"dataset": dataset, "rows": rows, "jsonl": _identity(jsonl)}

    def _places(self, kind: AnnotationKind) -> list[_Place]:
        if self._origin is None:
            return []
        place = self._origin.place
        if place.parent.name == "processed":
            split = place.name.removesuffix(".jsonl")
            return [_Place(place.parents[1] / "quality" / f"{split}_{kind}.parquet", place)]
        if "chosen_from" not in self._facts or len(place.parts) < 2:
            return []
        dataset = place.parts[-2].removesuffix("_small")
        split = place.name.removesuffix(".jsonl").removesuffix("_small")
        folders = [Path(dataset_folder(one, dataset)) for one in CONTRACTS]
        return [
            _Place(
                folder / "quality" / f"{split}_{kind}.parquet",
                folder / "processed" / f"{split}.jsonl",
            )
            for folder in folders
        ]

    def _missing(self, kind: AnnotationKind, places: list[_Place]) -> CorpusError:
        if self._origin is None or not places:
            return CorpusError(
                f"These rows have no {kind}",
                expected="rows opened at a contract's path",
                where=self._origin.storage / self._origin.place if self._origin else None,
                hint="Open them with open_corpus(storage, dataset, split).",
            )
        storage = self._origin.storage
        names = [published_set(storage, one.rows) for one in places]
        name = next((one for one in names if one is not None), None)
        dataset = places[0].rows.parts[-3]
        split = places[0].rows.name.removesuffix(".jsonl")
        wanted = _IN_CATALOG[kind].format(split=split)
        return CorpusError(
            f"These rows have no {kind}",
            expected=" or ".join(str(one.annotation) for one in places),
            found="no such file",
            where=storage,
            hint=f"`wmtp materialize {name or f'datasets/{dataset}_{split}'}_{kind}` makes it, if "
            f"the catalog asks for it: `quality: {{{wanted}}}` in {dataset}.",
        )

    @cached_property
    def _whole(self) -> tuple[RowIndex, Hold | None]:
        """The row index of the split that these rows are chosen from, and what keeps it there."""
        if self._settled is not None:
            path, kept = self._settled
            return RowIndex(path), kept
        wanted = _identity(self._facts["chosen_from"])
        storage = self._origin.storage if self._origin else Path()
        places = self._places("duplicates")
        for place in places:
            if os.path.lexists(storage / place.rows):
                jsonl, hold = one_edition(storage, place.rows)
                index = RowIndex(jsonl.with_name(f"{jsonl.stem}.index.parquet"))
                if _identity(index.facts["jsonl"]) == wanted:
                    return index, hold
        raise CorpusError(
            "The split that these rows were chosen from is not here",
            expected=f"a split whose JSONL has the SHA-256 {wanted['sha256']}",
            found="none beside them",
            where=storage,
            hint="Annotations are of the whole split's rows: open the small copy in the storage "
            f"that has both, or choose it anew: `wmtp materialize group:{places[0].rows.parts[-3]}"
            "_small`.",
        )

    @cached_property
    def _chosen(self) -> NDArray[np.int64]:
        """The number that each row has in the split that it is chosen from."""
        from wmtp_assets.corpora.small_copy import chosen_rows

        index, _ = self._whole
        chosen = chosen_rows(index, self._rows, int(self._facts["seed"]))
        if chosen.size != self._rows:
            raise CorpusError(
                "The small copy does not have the rows that its seed chooses",
                expected=f"{chosen.size:,}",
                found=f"{self._rows:,}",
                hint="Materialize the small copy again.",
            )
        return chosen


def _identity(jsonl: Mapping[str, Any]) -> dict[str, Any]:
    return {key: jsonl[key] for key in ("bytes", "sha256")}


Column = Callable[[str], NDArray[Any]]


def meets(column: Column, verdict: object, leaked: object) -> Iterable[NDArray[np.bool_]]:
    """Masks of the rows that meet conditions on annotations; None is no condition.

    `column` gives those of the corpus. Raises CorpusError for a condition that is none.
    """
    if verdict is not None:
        wanted = [verdict] if isinstance(verdict, str) else verdict
        known = isinstance(wanted, (list, tuple, set, frozenset)) and all(
            isinstance(one, str) and one in ("", *VERDICTS) for one in wanted
        )
        if not known:
            raise CorpusError(
                "The condition on verdict must name verdicts",
                expected=f'one or several of {", ".join(VERDICTS)}, or "" for rows not executed',
                found=repr(verdict)[:100],
                hint='Give e.g. "passed", or ["passed", "time"].',
            )
        found = column("verdict")
        mask = np.zeros(found.size, np.bool_)
        for one in wanted:  # type: ignore[attr-defined]
            mask |= found == one
        yield mask
    if leaked is not None:
        if not isinstance(leaked, bool):
            raise CorpusError(
                "leaked must be True, False or None",
                expected="True, False, or None for both",
                found=repr(leaked)[:100],
                hint="Give one of these.",
            )
        yield column("leaked") == leaked
