"""The checks of evaluation and tests files."""

from __future__ import annotations

from collections.abc import Mapping

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import evaluation_of
from wmtp_assets.corpora import evaluation_checks as corpora
from wmtp_assets.corpora.evaluation_checks import StoredEvaluation, StoredTests
from wmtp_assets.corpora.evaluation_files import write_evaluation, write_tests
from wmtp_assets.corpora.evaluation_source import EvaluatedSplit
from wmtp_assets.findings import Check, Finding, is_computed, lazy


class EvaluationSubject(Subject):
    """The evaluation file of a split."""

    @lazy
    def stored(self) -> StoredEvaluation:
        """The file, and what it was made from."""
        return StoredEvaluation(
            self.folder / f"{self.artifact.split}_eval.jsonl",
            lambda: _made_from(self.project, self.artifact),
            self.seed,
        )

    def measured(self) -> Mapping[str, object]:
        return self.stored.counts

    def digests(self) -> dict[str, str]:
        if not is_computed(self, "stored") or not is_computed(self.stored, "scan"):
            return {}
        return {self.stored.path.name: self.stored.sha256}


class TestsSubject(Subject):
    """The tests files of a split."""

    __test__ = False  # its name does not make it a test

    @lazy
    def stored(self) -> StoredTests:
        """The files, and what they were made from."""
        return StoredTests(
            self.folder / f"{self.artifact.split}_tests.json",
            lambda: _made_from(self.project, self.artifact),
            self.seed,
        )

    def digests(self) -> dict[str, str]:
        if not is_computed(self, "stored") or not is_computed(self.stored, "scan"):
            return {}
        return {self.stored.path.name: self.stored.scan.sha256}


def _made_from(project: Project, artifact: Artifact) -> EvaluatedSplit:
    paths = source(project, artifact.inputs[0]).paths()
    return EvaluatedSplit(
        evaluation_of(project.catalog, artifact),
        str(artifact.split),
        [paths[path] for path in sorted(paths)],
    )


def _evaluation_checks(project: Project, artifact: Artifact) -> list[Check[EvaluationSubject]]:
    return [one.on(lambda subject: subject.stored) for one in corpora.EVALUATION_CHECKS]


def _tests_checks(project: Project, artifact: Artifact) -> list[Check[TestsSubject]]:
    return [one.on(lambda subject: subject.stored) for one in corpora.TESTS_CHECKS]


def _evaluation_made_again(project: Project, artifact: Artifact) -> list[Finding]:
    folder, _ = place(project, artifact.name)
    path = folder / f"{artifact.split}_eval.jsonl"
    return [corpora.check_made_again(path, _made_from(project, artifact), write_evaluation)]


def _tests_made_again(project: Project, artifact: Artifact) -> list[Finding]:
    subject = TestsSubject(project, artifact)
    made_again = corpora.check_made_again(
        subject.stored.path, _made_from(project, artifact), write_tests
    )
    return [made_again, corpora.parquet_equals_json.of(subject.stored)]


EVALUATION = KindChecks(EvaluationSubject, _evaluation_checks, _evaluation_made_again)
TESTS = KindChecks(TestsSubject, _tests_checks, _tests_made_again)
