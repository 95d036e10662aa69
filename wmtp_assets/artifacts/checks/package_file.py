"""The checks of a file that an evaluation package reads as it is."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import source
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject, by
from wmtp_assets.artifacts.types import Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.package_file import PackageFile, task_ids
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.findings import AS_EXPECTED, Check, Outcome, check, lazy
from wmtp_assets.storage.digests import sha256_file

_SHOWN = 5
_OTHER_RELEASE = (
    "Rows and file are of different releases: name a revision in the catalog that has both of one, "
    "or score by one of them only."
)


class PackageFileSubject(Subject):
    """The file, and the rows beside it."""

    @property
    def path(self) -> Path:
        """The file."""
        (name,) = set(self.artifact.links.values())
        return self.folder / name

    @property
    def wanted(self) -> PackageFile:
        """What reads it."""
        package = format_of(self.project.catalog, self.artifact).package
        if package is None:  # the catalog's schema refuses such a dataset
            raise TypeError(f"the format of {self.artifact.name} has no package file")
        return package

    @lazy
    def task_ids(self) -> list[str]:
        """The tasks in it. Raises CorpusError where the package could not read it."""
        return task_ids(self.path, self.wanted)


@check("Every line is a task with every field that the package requires.")
def package_reads_it(subject: PackageFileSubject) -> Outcome:
    tasks = subject.task_ids
    return Outcome(
        bool(tasks),
        f"tasks with {', '.join(subject.wanted.fields)}",
        f"{len(tasks):,} tasks, all so",
        str(subject.path),
        hint="" if tasks else subject.again,
    )


@check("It is upstream's file, byte for byte.")
def file_is_upstreams(subject: PackageFileSubject) -> Outcome:
    (fetched,) = source(subject.project, subject.artifact.inputs[0]).files().values()
    found = sha256_file(subject.path)
    same = found == fetched["sha256"]
    return Outcome(
        same,
        f"SHA-256 {fetched['sha256']}, as it was fetched",
        AS_EXPECTED if same else f"SHA-256 {found}",
        str(subject.path),
        hint="" if same else subject.again,
    )


@check(
    "It contains every task of the rows, matched by the number at the end of the task id.",
    blocking=False,
)
def tasks_of_rows_in_package(subject: PackageFileSubject) -> Outcome:
    known = set(map(_number, subject.task_ids))
    rows = 0
    missing = []
    for name in subject.artifact.inputs[1:]:
        corpus = Corpus(Split(*subject.place(name)).jsonl)
        rows += len(corpus)
        missing += [row["task_id"] for row in corpus if _number(row["task_id"]) not in known]
    return Outcome(
        not missing,
        "every task that has a row",
        f"{len(missing):,} of {rows:,} rows are of other tasks, such as "
        f"{', '.join(missing[:_SHOWN])}"
        if missing
        else f"{rows:,} rows, all so",
        str(subject.path),
        hint=_OTHER_RELEASE if missing else "",
    )


def _number(task_id: str) -> str:
    """`2` of both `Mbpp/2`, as the package calls it, and `2`, as the rows do."""
    return task_id.rpartition("/")[2]


def package_file_checks(project: Project, artifact: Artifact) -> list[Check[PackageFileSubject]]:
    """The checks of a package's file, beside those of every artifact."""
    return [package_reads_it, file_is_upstreams, tasks_of_rows_in_package]


PACKAGE_FILES = KindChecks(
    PackageFileSubject, package_file_checks, by(file_is_upstreams, PackageFileSubject)
)
