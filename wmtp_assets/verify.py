"""`wmtp verify`: every artifact held against its receipt, quickly or whole.

Quick looks at receipts, sizes, headers and the contract's links; deep asks every question of
`proofs.py`, reading every byte. It makes nothing, and reads no status from Dagster.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.project import Project
from wmtp_assets.proofs import prove, published, quick


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be; `blocking` False is a warning."""

    artifact: str
    question: str
    expected: str
    found: str
    where: str
    mend: str
    blocking: bool


@dataclass(frozen=True)
class Report:
    """What was looked at and what was wrong."""

    deep: bool
    artifacts: int
    answers: int
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; warnings do not count."""
        return not any(problem.blocking for problem in self.problems)

    def to_json(self) -> dict[str, object]:
        """As a JSON object."""
        return {"sound": self.sound, **asdict(self)}

    def text(self) -> str:
        """A line a problem, and what was looked at."""
        lines = [
            f"{'WRONG' if p.blocking else 'warning'}: {p.artifact} {p.question}: expected "
            f"{p.expected}; found {p.found}; in {p.where}" + (f"; {p.mend}" if p.mend else "")
            for p in self.problems
        ]
        how = "every byte was read" if self.deep else "receipts, sizes and links; --deep reads all"
        word = "sound" if self.sound else "NOT SOUND"
        lines.append(f"{self.artifacts} artifacts, {self.answers} answers: {word} ({how}).")
        return "\n".join(lines)


def verify(project: Project, deep: bool) -> Report:
    """Asks every artifact; optional ones that do not exist are no problem."""
    problems = []
    answers = artifacts = 0
    for artifact in project.artifacts.values():
        if artifact.status == "optional" and not _exists(project, artifact):
            continue
        artifacts += 1
        for finding in prove(project, artifact) if deep else quick(project, artifact):
            answers += 1
            if not finding.passed:
                problems.append(
                    Problem(
                        artifact.name,
                        finding.name,
                        str(finding.expected),
                        str(finding.found),
                        finding.where,
                        finding.mend,
                        finding.blocking,
                    )
                )
    problems += [
        Problem(f.where, f.name, str(f.expected), str(f.found), f.where, f.mend, True)
        for f in published(project)
        if not f.passed
    ]
    return Report(deep, artifacts, answers, tuple(problems))


def _exists(project: Project, artifact: Artifact) -> bool:
    return (project.store.versions.home(artifact.name) / "current").is_symlink()
