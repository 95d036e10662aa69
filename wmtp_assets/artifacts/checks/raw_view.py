"""The checks of the view of fetched files."""

from __future__ import annotations

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.fetched import digests_of
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject, by
from wmtp_assets.artifacts.raw_view import files_shown_of, shown_files
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import AS_EXPECTED, Check, Outcome, check
from wmtp_assets.storage.as_read import same_file


class RawViewSubject(Subject):
    """The view of fetched files."""

    def digests(self) -> dict[str, str]:
        """Of files that are read for the checks of what was fetched anyway, being the same."""
        found = {}
        for name in self.artifact.inputs:
            if name not in self.shared.together:
                continue
            raw = fetched(self.project.store, name)
            for shown, (path, _) in files_shown_of(self.project, raw).items():
                if same_file(self.folder / shown, path):
                    found[shown] = digests_of(raw, self.shared)[path]
        return found


@check(
    "It has every fetched file except weights of models, with the SHA-256 that was "
    "recorded on arrival.",
    quick=True,
)
def files_of_source(subject: RawViewSubject) -> Outcome:
    wanted = shown_files(subject.project, subject.artifact)
    stated = subject.receipt.files
    wrong = [f"{name}: missing" for name in wanted if name not in stated]
    wrong += [f"{name}: not among what was fetched" for name in stated if name not in wanted]
    wrong += [
        f"{name}: SHA-256 {stated[name].sha256}, but on arrival {record['sha256']}"
        for name, (_, record) in wanted.items()
        if name in stated and stated[name].sha256 != record["sha256"]
    ]
    return Outcome(
        not wrong,
        f"{len(wanted)} files as they were fetched",
        "; ".join(wrong) or AS_EXPECTED,
        str(subject.folder),
        hint=subject.again if wrong else "",
    )


def _checks(project: Project, artifact: Artifact) -> list[Check[RawViewSubject]]:
    return [files_of_source]


RAW_VIEW = KindChecks(RawViewSubject, _checks, by(files_of_source, RawViewSubject))
