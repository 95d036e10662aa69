"""How an attacker changes what is stored and reseals every record with the package's own functions.

The changed artifact gets a receipt that fits, and everything made from it is made again and
published: receipts, digests, counts and links all agree with each other. Only upstream disagrees.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published, quick, run_checks
from wmtp_assets.artifacts.gate import Verdict, judge
from wmtp_assets.artifacts.staleness import sets_of
from wmtp_assets.corpora.formatting import FACTS, Formatted
from wmtp_assets.corpora.tokens import TokenCounter
from wmtp_assets.corpora.writer import SplitWriter
from wmtp_assets.findings import Finding
from wmtp_assets_tests.artifact_checks.breaking import Change, recommit
from wmtp_assets_tests.artifacts.workbench import Workbench

#: One row: the parsed `record`, and its columns of the row index by name.
Row = dict[str, Any]


def reseal(project: Project, name: str, change: Change) -> None:
    """Changes one artifact and makes everything that is made from it again."""
    recommit(project, name, change)
    follow(project, name)


def follow(project: Project, name: str) -> None:
    """Makes what is made from `name` again, publishes it, and `name` with it."""
    Workbench(project).make(descendants(project, name))
    for one in sets_of(project, [name]).values():
        project.store.publish(one)


def descendants(project: Project, name: str) -> list[str]:
    """What is made from `name`, directly or not, in the order in which it can be made."""
    found: list[str] = []
    for artifact in project.artifacts.values():
        if {name, *found} & set(artifact.inputs):
            found.append(artifact.name)
    return found


def failing(project: Project, name: str) -> set[str]:
    """The blocking questions about one artifact that fail."""
    return _failed(run_checks(project, project.artifacts[name]))


def _failed(findings: Sequence[Finding]) -> set[str]:
    return {one.name for one in findings if one.blocking and not one.passed}


@dataclass(frozen=True)
class Answers:
    """All questions about some artifacts, a quick look at the others, and the contract's paths."""

    project: Project
    artifacts: dict[str, list[Finding]]
    paths: list[Finding]

    @classmethod
    def about(cls, project: Project, *names: str) -> Answers:
        found = {
            name: (run_checks if name in names else quick)(project, artifact)
            for name, artifact in project.artifacts.items()
        }
        return cls(project, found, published(project))

    def wrong(self) -> dict[str, set[str]]:
        """The blocking questions that fail, by artifact; those about the paths by ""."""
        answers = {**self.artifacts, "": self.paths}
        failed = {name: _failed(findings) for name, findings in answers.items()}
        return {name: questions for name, questions in failed.items() if questions}

    def verdict(self) -> Verdict:
        """The gate's."""
        required = {
            name: found
            for name, found in self.artifacts.items()
            if self.project.artifacts[name].status == "required"
        }
        return judge(self.project, required, self.paths)


def closed_by(project: Project, *names: str) -> dict[str, set[str]]:
    """The blocking questions that fail, by artifact: all questions of `names`, and a quick look at
    all other artifacts and at the contract's paths."""
    return Answers.about(project, *names).wrong()


def verdict_about(project: Project, *names: str) -> Verdict:
    """The gate's verdict by all questions of `names`, and a quick look at everything else."""
    return Answers.about(project, *names).verdict()


def split(tokenizer: Path, change: Callable[[list[Row]], object], **funnel: int) -> Change:
    """A change of a split's rows, written anew as a build writes them; tokens are counted again.

    `funnel` are amounts to add to the counts of the funnel.
    """

    def at(folder: Path) -> None:
        (jsonl,) = folder.glob("*.jsonl")
        name = jsonl.name.removesuffix(".jsonl")
        index = folder / f"{name}.index.parquet"
        stats = json.loads((folder / f"{name}_stats.json").read_bytes())
        columns = pq.read_table(index).to_pylist()
        lines = jsonl.read_bytes().splitlines(keepends=True)
        rows = [
            {**facts, "record": json.loads(line)}
            for facts, line in zip(columns, lines, strict=True)
        ]
        change(rows)
        counts = Counter(stats["funnel"])
        counts.update(funnel)
        made_from = {
            key: stats[key]
            for key in ("max_tokens", "tokenizer_sha256", "chosen_from", "seed")
            if key in stats
        }
        block = _block(rows, TokenCounter(tokenizer), counts)
        with SplitWriter(folder, stats["dataset"], stats["split"], name) as writer:
            writer.add(block)
            writer.finish(made_from)

    return at


def _block(rows: list[Row], counter: TokenCounter, funnel: Counter[str]) -> Formatted:
    lines = [json.dumps(row["record"]).encode() + b"\n" for row in rows]
    for row in rows:
        for field in ("instruction", "input", "output"):
            row[f"{field}_tokens"] = counter.encoded(row["record"][field])
    return Formatted(
        data=b"".join(lines),
        classed=all("is_correct" in row["record"] for row in rows),
        sizes=np.array([len(line) for line in lines], np.int64),
        places=np.arange(len(rows)),
        is_correct=np.array([bool(row["record"].get("is_correct")) for row in rows], np.int8),
        languages=np.array([row["language"] for row in rows], np.int8),
        output_tokens=np.array([row["output_tokens"] for row in rows], np.int64),
        flags=np.array([row["flags"] for row in rows], np.uint8),
        facts=np.array(
            [[-1 if row[name] is None else row[name] for name in FACTS] for row in rows], np.int64
        ).reshape(-1, len(FACTS)),
        funnel=funnel,
    )
