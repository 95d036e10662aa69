"""The checks of every artifact: its files are those of its receipt, made from what is there now."""

from __future__ import annotations

from wmtp_assets.artifacts.checks.fetched import source_input
from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.types import demand, fetched
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Outcome, check
from wmtp_assets.storage.receipts import Mismatch, Receipt


@check("Every file has the size and SHA-256 that its receipt states.", quick=True)
def files_unchanged(subject: Subject) -> Outcome:
    store, receipt = subject.project.store, subject.receipt
    wrong = store.mismatches(subject.artifact.name, deep=subject.deep, known=subject.digests())
    wrong += [
        Mismatch(subject.folder / name, "nothing", "a file that no such artifact holds")
        for name in _foreign_files(subject.artifact, receipt)
    ]
    return Outcome(
        not wrong,
        f"{len(receipt.files)} files, {receipt.size} bytes, as their receipt says",
        "; ".join(f"{m.file.name}: {m.found}" for m in wrong) or "as expected",
        str(wrong[0].file) if wrong else str(subject.folder),
        hint=f"wmtp materialize {subject.artifact.name} --force" if wrong else "",
        details={"digest": receipt.digest, "made_at": receipt.made_at},
    )


@check(
    "It was made from what its inputs are now, by what the catalog says of it now, and by this "
    "version of the code.",
    quick=True,
)
def inputs_current(subject: Subject) -> Outcome:
    artifact, receipt = subject.artifact, subject.receipt
    now = {name: demand(subject.project.store, name).digest for name in artifact.inputs}
    if artifact.is_fetched:
        now = source_input(fetched(subject.project.store, artifact.name), artifact)
    stale = sorted(name for name, digest in now.items() if receipt.inputs.get(name) != digest)
    wrong = [f"made from another version of {', '.join(stale)}"] if stale else []
    if others := sorted(receipt.inputs.keys() - now.keys()):
        wrong.append(f"made from what is none of its inputs: {', '.join(others)}")
    if receipt.entry_digest != artifact.settings_digest:
        wrong.append("made by other settings of the catalog than it has now")
    code = kind_of(artifact).code_version
    if receipt.code_version != code:
        wrong.append(
            f"made by an earlier version of this package: made by version {receipt.code_version!r} "
            f"of the code, not {code!r}"
        )
    return Outcome(
        not wrong,
        "the inputs' present digests, the catalog's present settings, and this version of the code",
        "; ".join(wrong) or "as expected",
        str(subject.folder / "receipt.json"),
        hint=f"wmtp materialize {artifact.name}" if wrong else "",
    )


EVERY = (files_unchanged, inputs_current)


def _foreign_files(artifact: Artifact, receipt: Receipt) -> list[str]:
    """The files of a receipt that no artifact of this name and kind holds, sorted.

    Of a folder that the kind names every file counts as its own; another check knows which it has.
    """
    own = {*artifact.links.values(), *kind_of(artifact).beside(artifact)}
    return sorted(
        name
        for name in receipt.files
        if name not in own and f"{name.partition('/')[0]}/" not in own
    )
