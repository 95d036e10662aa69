"""Near-duplicates of a split: how many clusters, of which classes and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from wmtp_assets.corpora.annotations import AnnotationFile
from wmtp_assets.corpora.row_index import RowIndex, as_numpy
from wmtp_assets.quality.figures.footer import stated_counts

SIZES: Final = (1, 2, 3, 5, 10, 100)
"""Where the ranges of cluster sizes begin; each ends before the next."""
BOTH: Final = "both"


@dataclass(frozen=True)
class Clusters:
    """`clusters` is how many rows remain with one per cluster. `classes` counts the clusters whose
    rows are all correct, all incorrect, or of `BOTH` classes (none where rows have no class), and
    `sizes` counts them by the least size of their range in `SIZES`. `conflicts` counts, as the file
    states it, `texts` of one problem that are the same but for white space and have both classes,
    and the rows of either class that have them; {} where it states nothing."""

    rows: int
    clusters: int
    largest: int
    classes: Mapping[str, int]
    sizes: Mapping[int, int]
    conflicts: Mapping[str, int] = field(default_factory=dict)

    @property
    def per_class(self) -> dict[str, int]:
        """How many rows of each class remain with one per cluster and class, which is what
        `Corpus.select(one_per_cluster=True)` keeps; {} where rows have no class."""
        both = self.classes.get(BOTH, 0)
        return {name: count + both for name, count in self.classes.items() if name != BOTH}


def clusters_of(file: AnnotationFile, index: RowIndex) -> Clusters:
    """Counts the clusters of the rows that `index` is of. Raises CorpusError for a file that does
    not say of every row which cluster it is in."""
    cluster = as_numpy(file.by_row()["cluster"])
    if not cluster.size:
        return Clusters(0, 0, 0, {}, {})
    sizes = np.bincount(cluster)
    is_correct = index.column("is_correct")
    classes: dict[str, int] = {}
    if is_correct[0] >= 0:
        right = np.bincount(cluster, weights=is_correct == 1).astype(np.int64)
        there = sizes > 0
        classes = {
            "correct": int(np.count_nonzero(there & (right == sizes))),
            "incorrect": int(np.count_nonzero(there & (right == 0))),
        }
        classes[BOTH] = int(np.count_nonzero(there)) - sum(classes.values())
    sizes = sizes[sizes > 0]
    ranges = np.bincount(np.searchsorted(SIZES, sizes, side="right") - 1, minlength=len(SIZES))
    return Clusters(
        int(cluster.size),
        int(sizes.size),
        int(sizes.max()),
        classes,
        {begin: int(times) for begin, times in zip(SIZES, ranges, strict=True) if times},
        stated_counts(file, "label_conflicts"),
    )
