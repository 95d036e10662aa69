"""What differs between a version of an artifact and the version before it, in words.

Compares two receipts in the storage, and those of their inputs. Only records are read, and no
history of runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import FileRecord, Receipt
from wmtp_assets.storage.store import Store

FIRST: Final = "nothing to compare with: the first version"
GONE: Final = "nothing to compare with: no other version is in this storage"
_COUNTS = ("rows", "correct", "incorrect", "parameters", "tensors", "vocab_size", "shards")
_NAMED = 3  # files and inputs that are named; of more, how many


def changes(store: Store, receipt: Receipt) -> str:
    """What is other in the version of `receipt` than in the one that was made before it."""
    others = [one for one in store.history(receipt.artifact) if one.version != receipt.version]
    earlier = [one for one in others if one.sequence < receipt.sequence]
    if not earlier:
        if others:
            return f"an earlier version is current again; {others[0].version} was made after it"
        return FIRST if receipt.sequence == 1 else GONE
    before = earlier[0]
    said = _counts(before, receipt) + _commit(before, receipt) + _inputs(store, before, receipt)
    if before.entry_digest != receipt.entry_digest:
        said.append("its settings in the catalog were changed")
    if before.code_version != receipt.code_version:
        said.append(
            f"made by version {receipt.code_version[:20]} of the code, "
            f"before by version {before.code_version[:20]}"
        )
    said += _files(before.files, receipt.files)
    return f"since version {before.version} of {before.made_at[:10]}: {'; '.join(said)}"


def _counts(before: Receipt, after: Receipt) -> list[str]:
    said = []
    for name in _COUNTS:
        old, new = before.facts.get(name), after.facts.get(name)
        if type(old) is int and type(new) is int and old != new:
            more = f"{new - old:,} more" if new > old else f"{old - new:,} fewer"
            said.append(f"{more} {name} ({old:,} to {new:,})")
    return said


def _commit(before: Receipt, after: Receipt) -> list[str]:
    old, new = (str(one.facts.get("revision", ""))[:12] for one in (before, after))
    return [f"commit {old} to {new}"] if old != new else []


def _inputs(store: Store, before: Receipt, after: Receipt) -> list[str]:
    """Inputs of another version; of what was fetched, by the commits."""
    found = []
    for name, digest in after.inputs.items():
        old = before.inputs.get(name)
        if old == digest or name.startswith("hub/"):  # whose commit is said already
            continue
        if old is None:
            found.append(f"made from {name} as well")
            continue
        commits = (_commit_of(store, name, old), _commit_of(store, name, digest))
        by = " to ".join(commits if all(commits) else (old[:12], digest[:12]))
        found.append(f"made from another {name} ({'commit ' if all(commits) else ''}{by})")
    found += [f"no longer made from {name}" for name in before.inputs.keys() - after.inputs.keys()]
    return _some(found, "inputs")


def _commit_of(store: Store, name: str, digest: str) -> str:
    """The commit of a version of a raw artifact, where there is one and its receipt is here."""
    with suppress(StorageError):
        return str(store.versions.receipt(name, digest[:12]).facts.get("revision", ""))[:12]
    return ""


def _files(before: Mapping[str, FileRecord], after: Mapping[str, FileRecord]) -> list[str]:
    found = [f"no longer {name}" for name in before.keys() - after.keys()]
    for name, record in after.items():
        old = before.get(name)
        if old is None:
            found.append(f"new: {name}")
        elif old.sha256 != record.sha256:
            found.append(f"{name} {old.sha256[:12]} to {record.sha256[:12]}")
    return _some(sorted(found), "files")


def _some(found: list[str], what: str) -> list[str]:
    more = len(found) - _NAMED
    return found[:_NAMED] + ([f"and {more} more {what}"] if more > 0 else [])
