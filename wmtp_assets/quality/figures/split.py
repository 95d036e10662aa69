"""All figures on the quality of one split, whichever exist."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from wmtp_assets.corpora.annotations import AnnotationFile, AnnotationKind, about
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.errors import WmtpError
from wmtp_assets.quality.figures.clusters import Clusters, clusters_of
from wmtp_assets.quality.figures.funnel import Funnel, funnel_of
from wmtp_assets.quality.figures.labels import Labels, labels_of
from wmtp_assets.quality.figures.leaks import Leaks, leaks_of
from wmtp_assets.quality.figures.scales import Scales, scales_of

_Read = TypeVar("_Read")
_TWINS: Final = "duplicates"


@dataclass(frozen=True)
class Figures:
    """The figures of one split; None stands for what nobody has found out. `troubles` says by name
    (`scales`, `labels`, `leaks`, `clusters`) what could not be read."""

    dataset: str
    split: str
    rows: int
    funnel: Funnel
    scales: Scales | None = None
    labels: Labels | None = None
    leaks: Leaks | None = None
    clusters: Clusters | None = None
    troubles: Mapping[str, WmtpError] = field(default_factory=dict)


def figures_of(
    index: RowIndex,
    stats: Mapping[str, Any],
    row_format: DatasetFormat,
    verdicts: Path | None = None,
    leaks: Path | None = None,
    duplicates: Path | None = None,
    *,
    as_published: bool = True,
    scales: Callable[[RowIndex], Scales] = scales_of,
) -> Figures:
    """What is known of the split that `index` and `stats` are of.

    `verdicts` is the JSON document of rates, `leaks` and `duplicates` are annotations; None where
    there is none. `as_published`: whether the source is the one that publications are about;
    `scales` counts the index, or remembers. A part that cannot be read, or is about other rows, is
    said in `troubles`, and the others are given.
    """
    troubles: dict[str, WmtpError] = {}
    rows = about(index)

    def read(name: str, path: Path | None, reading: Callable[[Path], _Read]) -> _Read | None:
        if path is None:
            return None
        try:
            return reading(path)
        except WmtpError as error:
            troubles[name] = error
        except OSError as error:
            troubles[name] = WmtpError(str(error), where=path)
        return None

    def annotation(path: Path, kind: AnnotationKind) -> AnnotationFile:
        file = AnnotationFile(path, kind)
        file.require_rows(rows)
        return file

    return Figures(
        str(rows["dataset"]),
        str(rows["split"]),
        len(index),
        funnel_of(stats, row_format, as_published=as_published),
        read("scales", index.path, lambda _: scales(index)),
        read("labels", verdicts, lambda path: labels_of(path, rows)),
        read("leaks", leaks, lambda path: leaks_of(annotation(path, "leaks"))),
        read("clusters", duplicates, lambda path: clusters_of(annotation(path, _TWINS), index)),
        troubles,
    )


def as_json(figures: Figures) -> dict[str, Any]:
    """The figures as a JSON document; what nobody has found out is null."""
    document = dataclasses.asdict(dataclasses.replace(figures, troubles={}))
    document["funnel"] |= {
        "left_out": figures.funnel.left_out(),
        "candidates_per_problem": round(figures.funnel.per_problem("candidates"), 3),
        "kept_per_problem": round(figures.funnel.per_problem("kept"), 3),
    }
    document["troubles"] = {name: error.what() for name, error in figures.troubles.items()}
    return document
