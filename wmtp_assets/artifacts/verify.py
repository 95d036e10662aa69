"""`wmtp verify`: every artifact compared with its receipt, quickly or whole.

Quick looks at receipts, sizes, headers and the contract's links; deep runs every check of
`artifacts/checks/`, reading every byte. It makes nothing, and reads no status from Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published, quick
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.verification import verify_all
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import CheckResult, Finding
from wmtp_assets.storage.digests import digest_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Report:
    """How many artifacts and checks were looked at, and the checks that failed.

    The other fields are the arguments of `verify`.
    """

    deep: bool
    artifacts: int
    checks: int
    problems: tuple[CheckResult, ...]
    against_source: bool = False
    sample: int | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; warnings do not count."""
        return not any(problem.blocking for problem in self.problems)

    def to_json(self) -> dict[str, object]:
        """As a JSON object."""
        return {"sound": self.sound, **asdict(self)}

    def text(self) -> str:
        """A line per problem, and what was looked at."""
        lines = [
            f"{'WRONG' if p.blocking else 'warning'}: {p.artifact} {p.check}: expected "
            f"{p.expected}; found {p.found}; in {p.where}"
            + (f"; what to do: {p.hint}" if p.hint else "")
            for p in self.problems
        ]
        result = "sound" if self.sound else "NOT SOUND"
        lines.append(f"{self.artifacts} artifacts, {self.checks} checks: {result} ({self._how()}).")
        return "\n".join(lines)

    def _how(self) -> str:
        """What was done to find this."""
        if self.deep:
            done = ["every byte was read"]
        elif self.sample is not None:
            done = [
                f"1/{self.sample} of the artifacts read whole, of the others receipts and sizes"
            ]
        else:
            done = ["receipts, sizes and links"]
        if self.against_source:
            done.append("everything was made again from its source and compared, byte for byte")
        elif not self.deep and self.sample is None:
            done.append("--deep reads all")
        return "; ".join(done)


def verify(
    project: Project,
    deep: bool = False,
    against_source: bool = False,
    sample: int | None = None,
    signed: Sequence[Finding] = (),
    seed: int | None = None,
) -> Report:
    """Verifies every artifact; optional ones that do not exist are no problem.

    `against_source` makes every artifact again from its source, in memory, and compares all of it.
    `seed` repeats what `deep` drew at random. With `sample` n, a different nth of the artifacts is
    verified deeply each day, so that n days read everything once. `signed` is what is known of a
    signature over all.
    """
    today = (datetime.now(UTC) - _EPOCH).days
    there = [
        artifact
        for artifact in project.artifacts.values()
        if artifact.status != "optional" or _exists(project, artifact)
    ]
    chosen = [
        artifact
        for artifact in there
        if deep or (sample is not None and (today + _number_of(artifact.name)) % sample == 0)
    ]
    deeply = verify_all(project, chosen, seed)
    results: list[CheckResult] = []
    for artifact in there:
        findings = deeply.get(artifact.name) or quick(project, artifact)
        if against_source:
            findings += check_against_source(project, artifact)
        results += [CheckResult.of(artifact.name, finding) for finding in findings]
    results += [CheckResult.of(str(f.details["set"]), f) for f in published(project)]
    results += [CheckResult.of("the signature", finding) for finding in signed]
    problems = tuple(result for result in results if not result.passed)
    return Report(deep, len(there), len(results), problems, against_source, sample)


def _number_of(name: str) -> int:
    """A number that spreads artifacts over days, the same on every machine."""
    return int(digest_of(name)[:8], 16)


def _exists(project: Project, artifact: Artifact) -> bool:
    return (project.store.versions.home(artifact.name) / "current").is_symlink()
