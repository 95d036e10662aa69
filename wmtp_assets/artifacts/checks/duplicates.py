"""The checks of near-duplicates: clusters are of the rows, within problems, and what every two
solutions of some problems, compared again, come to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.annotations import AnnotationSubject, annotation_is_of_rows
from wmtp_assets.artifacts.checks.subject import KindChecks, by
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.corpora.row_index import as_numpy
from wmtp_assets.findings import AS_EXPECTED, Check, Outcome, check, lazy
from wmtp_assets.quality.duplicates import find_duplicates, statistics
from wmtp_assets.quality.every_pair import LEAST_FOUND, compare_some

_SHOWN = 5


class DuplicatesSubject(AnnotationSubject):
    """The near-duplicates of a split."""

    annotation = "duplicates"

    @lazy
    def cluster(self) -> NDArray[np.int32]:
        """The cluster of each row. Raises CorpusError where a row has none."""
        return as_numpy(self.file.by_row()["cluster"])


@check(
    "Every row is in one cluster, which belongs to one problem and has the number of its "
    "lowest row."
)
def clusters_within_problems(subject: DuplicatesSubject) -> Outcome:
    cluster, problem = subject.cluster, subject.corpus.column("problem")
    wrong = (cluster[cluster] != cluster) | (problem[cluster] != problem)
    named = [f"row {row} in cluster {cluster[row]}" for row in np.flatnonzero(wrong)[:_SHOWN]]
    return Outcome(
        not named,
        f"{cluster.size:,} rows, each with the lowest row of its cluster, of the same problem",
        AS_EXPECTED if not named else f"{np.count_nonzero(wrong):,} others: {', '.join(named)}",
        str(subject.file.path),
        hint=subject.again if named else "",
    )


@check("The stored statistics follow from the clusters.")
def duplicates_add_up(subject: DuplicatesSubject) -> Outcome:
    wanted = statistics(subject.cluster, subject.corpus.column("is_correct"))
    stated = dict(subject.file.facts.get("statistics", {}))
    conflicts = stated.pop("label_conflicts", None)
    wrong = {key: stated.get(key) for key in wanted if stated.get(key) != wanted[key]}
    if extra := sorted(stated.keys() - wanted.keys()):
        wrong |= {key: stated[key] for key in extra}
    if conflicts is None:
        wrong["label_conflicts"] = "nothing"
    return Outcome(
        not wrong,
        {key: wanted.get(key, "as found") for key in wrong} or wanted,
        wrong or wanted,
        str(subject.file.path),
        hint=subject.again if wrong else "",
    )


@check(
    "For randomly drawn problems, comparing all pairs of solutions gives the same clusters.",
    apart=True,
)
def clusters_equal_every_pair(subject: DuplicatesSubject) -> Outcome:
    found = compare_some(subject.corpus, subject.cluster, subject.seed)
    few = found.missed > (1 - LEAST_FOUND) * found.near
    said = (
        f"{found.near - found.missed:,} of {found.near:,} pairs together, "
        f"{found.unrelated:,} rows with others that nothing connects them with"
    )
    return Outcome(
        not few and not found.unrelated,
        f"{LEAST_FOUND:.0%} of near-duplicates together, and no others",
        said,
        str(subject.file.path),
        hint=subject.again,
        details={
            "problems": found.problems,
            "pairs_compared": found.pairs,
            "seed": found.seed,
            "examples": [f"rows {one} and {other}" for one, other in found.examples],
        },
    )


@check(
    "How many rows remain with one per cluster, and which texts have both classes "
    "(information only).",
    blocking=False,
)
def rows_per_cluster(subject: DuplicatesSubject) -> Outcome:
    stated = subject.file.facts["statistics"]
    conflicts = stated["label_conflicts"]
    said = (
        f"{stated['clusters']:,} of {stated['rows']:,} rows with one per cluster, or "
        f"{stated['correct']:,} correct and {stated['incorrect']:,} incorrect ones; "
        f"{stated['of_both']:,} clusters have both classes, and so have {conflicts['texts']:,} "
        "texts, white space aside"
    )
    details = {"texts_of_both_classes": conflicts, "largest_cluster": stated["largest"]}
    return Outcome(
        True,
        "near-duplicates are counted; they are no failure",
        said,
        str(subject.file.path),
        details=details,
    )


@check("Comparing all rows again gives the stored clusters.")
def clusters_made_again(subject: DuplicatesSubject) -> Outcome:
    found = find_duplicates(subject.corpus)
    wrong = np.flatnonzero(found.cluster != subject.cluster)
    stated = subject.file.facts.get("statistics", {}).get("label_conflicts")
    same_texts = stated == found.conflicts.document()
    there = [f"row {row} in cluster {subject.cluster[row]}" for row in wrong[:_SHOWN]]
    if not same_texts:
        there.append(f"texts of both classes: {stated!r:.200}")
    return Outcome(
        not there,
        f"{found.cluster.size:,} rows in the clusters of their near-duplicates",
        "; ".join(there) or AS_EXPECTED,
        str(subject.file.path),
        hint=subject.again if there else "",
    )


def _listed(project: Project, artifact: Artifact) -> list[Check[DuplicatesSubject]]:
    return [
        annotation_is_of_rows.on(_itself),
        clusters_within_problems,
        duplicates_add_up,
        clusters_equal_every_pair,
        rows_per_cluster,
    ]


def _itself(subject: DuplicatesSubject) -> AnnotationSubject:
    return subject


DUPLICATES = KindChecks(DuplicatesSubject, _listed, by(clusters_made_again, DuplicatesSubject))
