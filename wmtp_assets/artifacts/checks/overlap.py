"""Whether splits share texts: the splits of one dataset, and training with the evaluation sets.

Both compare instructions and outputs, verbatim and ignoring white space, by hashes from the pass
over the lines that the splits' own checks make (`corpora/overlap.py`). Rows are kept whatever
is found: upstream publishes them so. What splits of one dataset share is information (MBPP's have
tasks in common, code_contests' the shortest solutions); training on an evaluation set is warned of.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.datasets import SplitSubject
from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.evaluation import is_training_split
from wmtp_assets.corpora.overlap import FIELDS, Shared, TextHashes, shared_texts
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.findings import Outcome, check

_SHOWN = 80  # characters of a text
_PAIRS = 4  # of splits that the sentence names; all are among the details
_HINT = (
    "Look at the rows that the details name. They are upstream's and stay; leave them out of a "
    "sample with `exclude=`, or say so beside the score."
)


@dataclass(frozen=True)
class _Rows:
    """The rows of one split, as they are called in what is said of them."""

    name: str
    corpus: Corpus
    texts: dict[str, TextHashes]


class SplitsSubject(Subject):
    """An artifact that is made of a dataset's splits, and what was read of their lines."""

    def __init__(self, *given: Any, **further: Any) -> None:
        super().__init__(*given, **further)
        self._read: dict[str, _Rows | None] = {}

    def rows(self, names: Iterable[str]) -> list[_Rows]:
        """What the splits' own checks read, of those that can be read: of others they say why."""
        found = []
        for name in names:
            if name not in self._read:
                self._read[name] = self._rows(self.project.artifacts[name])
            rows = self._read[name]
            if rows is not None:
                found.append(rows)
        return found

    def _rows(self, split: Artifact) -> _Rows | None:
        own = split.owner == self.artifact.owner
        name = str(split.split) if own else f"{split.owner} {split.split}"
        try:
            stored = SplitSubject(self.project, split, shared=self.shared).stored
            return _Rows(name, Corpus(stored.jsonl), stored.scan.texts)
        except Exception:  # whatever it is, the split's checks report it
            return None


@check(
    "Counts the instructions and outputs that splits share, ignoring white space "
    "(information only).",
    blocking=False,
)
def overlap_between_splits(subject: SplitsSubject) -> Outcome:
    found = _Found.of(itertools.combinations(subject.rows(subject.artifact.inputs), 2))
    return Outcome(
        True,
        "shared texts are counted; they are no failure",
        found.said,
        str(subject.folder),
        details=found.details,
    )


@check(
    "No instruction or output of a training split is in an evaluation set, ignoring white space.",
    blocking=False,
)
def training_apart_from_evaluation(subject: SplitsSubject) -> Outcome:
    project = subject.project
    others = subject.rows(one.name for one in evaluation_splits(project, subject.artifact))
    training = [name for name in subject.artifact.inputs if _trains(project.artifacts[name])]
    found = _Found.of(itertools.product(subject.rows(training if others else ()), others))
    return Outcome(
        not found.details,
        "no instruction or output of a training split in an evaluation set",
        found.said,
        str(subject.folder),
        hint=_HINT,
        details=found.details,
    )


def evaluation_splits(project: Project, schema: Artifact) -> list[Artifact]:
    """The splits of other datasets that models are evaluated on: those of sets whose rows have no
    class, but for their training splits. Of one that each generation of the contract has, the one
    of the schema's own. None for a dataset without a training split."""
    if not any(_trains(project.artifacts[name]) for name in schema.inputs):
        return []
    found: dict[tuple[str, str | None], Artifact] = {}
    for one in project.artifacts.values():
        if not one.is_split or one.owner == schema.owner or _trains(one):
            continue
        if format_of(project.catalog, one).classed:
            continue
        if (one.owner, one.split) not in found or one.contract == schema.contract:
            found[one.owner, one.split] = one
    return list(found.values())


def beside_schema(project: Project, schema: Artifact) -> list[str]:
    """What the checks of a schema read in addition to its inputs."""
    return [one.name for one in evaluation_splits(project, schema)]


def _trains(split: Artifact) -> bool:
    return is_training_split(str(split.split))


@dataclass(frozen=True)
class _Found:
    """What was found of pairs of splits: in a sentence, and by pair and field with examples."""

    said: str
    details: dict[str, Any]

    @classmethod
    def of(cls, pairs: Iterable[tuple[_Rows, _Rows]]) -> _Found:
        compared = list(pairs)
        details: dict[str, Any] = {}
        said: list[str] = []
        for one, two in compared:
            every = {field: shared_texts(one.texts[field], two.texts[field]) for field in FIELDS}
            shared = {field: it for field, it in every.items() if it is not None}
            if shared:
                details[f"{one.name}, {two.name}"] = {
                    field: it.document() | {"examples": list(_examples(one, two, field, it))}
                    for field, it in shared.items()
                }
                counts = " and ".join(_counted(field, it) for field, it in shared.items())
                said.append(f"{one.name} and {two.name} share {counts}")
        more = [f"{len(said) - _PAIRS} more pairs"] if len(said) > _PAIRS else []
        nothing = f"nothing in {len(compared)} pair{'s' * (len(compared) != 1)} of splits"
        if not compared:
            nothing = "there is nothing to compare with"
        return cls("; ".join([*said[:_PAIRS], *more]) or nothing, details)


def _counted(field: str, shared: Shared) -> str:
    """E.g. "3 instructions (2 verbatim)"."""
    return f"{shared.texts:,} {field}{'s' * (shared.texts != 1)} ({shared.verbatim:,} verbatim)"


def _examples(one: _Rows, two: _Rows, field: str, shared: Shared) -> Iterator[str]:
    for first, second in shared.examples:
        text = " ".join(str(one.corpus[first][field]).split())
        yield f"line {first} of {one.name}, line {second} of {two.name}: {text:.{_SHOWN}}"
