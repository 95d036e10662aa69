"""The checks of every artifact: its files are those of its receipt, made from what is there now.

The text of a wrong digest is that of `files_unchanged`, from the expected and found values that
`storage/versions.py` gives.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime

from wmtp_assets.artifacts.checks.fetched import source_input
from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.artifacts.kinds import code_version_of, kind_of
from wmtp_assets.artifacts.types import Handle, demand, fetched
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Outcome, check
from wmtp_assets.storage.receipts import Mismatch, Receipt

_LONGEST_NAME = 255  # of a host, by the domain name system


@check("Every file has the size and SHA-256 that its receipt states.", quick=True)
def files_unchanged(subject: Subject) -> Outcome:
    store, receipt = subject.project.store, subject.receipt
    wrong = store.mismatches(subject.artifact.name, deep=subject.deep, known=subject.digests())
    wrong += [
        Mismatch(subject.folder / name, "nothing", "a file that no such artifact holds")
        for name in _foreign_files(subject.artifact, receipt)
    ]
    as_stated = (
        f"{_counted(len(receipt.files), 'file')}, {receipt.size:,} bytes, as the receipt says"
    )
    return Outcome(
        not wrong,
        "; ".join(f"{m.file.name}: {m.expected}" for m in wrong) or as_stated,
        "; ".join(f"{m.file.name}: {m.found}" for m in wrong) or "as expected",
        str(wrong[0].file) if wrong else str(subject.folder),
        hint=f"wmtp materialize {subject.artifact.name} --force" if wrong else "",
        details={"digest": receipt.digest, "made_at": receipt.made_at},
    )


@check(
    "It was made from its present inputs, with the catalog's present settings, by "
    "this version of the code.",
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
        wrong.append("its entry in the catalog was changed since it was made")
    code = code_version_of(artifact)
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


@check(
    "The facts in its receipt (rows, parameters, dtype, ...) agree with its files.",
    quick=True,
)
def receipt_facts(subject: Subject) -> Outcome:
    artifact, receipt = subject.artifact, subject.receipt
    made = Handle(subject.folder, receipt)
    derived = dict(kind_of(artifact).facts(subject.project, artifact, made))
    if subject.deep:
        derived |= subject.measured()
    wanted: dict[str, object] = json.loads(json.dumps(derived))  # as it is read
    stated = receipt.facts
    # As text: True is no 1, and 1.0 is none.
    wrong = sorted(
        name
        for name in wanted.keys() | stated.keys()
        if json.dumps(wanted.get(name)) != json.dumps(stated.get(name))
        or (name in wanted) != (name in stated)
    )
    expected = "; ".join(f"{name}: {_shown(wanted, name)}" for name in wrong)
    found = [f"{name}: {_shown(stated, name)}" for name in wrong]
    found += [f"{name}: {value!r:.80}" for name, value in _malformed(receipt).items()]
    return Outcome(
        not found,
        expected or "what its files hold, and when, where and how long it was made",
        "; ".join(found) or "as expected",
        str(subject.folder / "receipt.json"),
        hint=subject.again if found else "",
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _shown(facts: Mapping[str, object], name: str) -> str:
    return json.dumps(facts[name])[:200] if name in facts else "nothing"


def _malformed(receipt: Receipt) -> dict[str, object]:
    """What a receipt says of its making in another form than this package writes. Only the form
    can be verified."""
    wrong: dict[str, object] = {}
    try:
        made_at = datetime.fromisoformat(receipt.made_at)
        sound = made_at.astimezone(UTC).isoformat(timespec="seconds") == receipt.made_at
    except (ValueError, OverflowError):
        sound = False
    if not sound:
        wrong["made_at"] = receipt.made_at
    if len(receipt.host) > _LONGEST_NAME or not receipt.host.isprintable():
        wrong["host"] = receipt.host
    if type(receipt.seconds) not in (int, float) or not 0 <= receipt.seconds < math.inf:
        wrong["seconds"] = receipt.seconds
    if type(receipt.sequence) is not int or receipt.sequence < 1:
        wrong["sequence"] = receipt.sequence
    return wrong


EVERY = (files_unchanged, inputs_current, receipt_facts)


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
