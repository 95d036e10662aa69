"""Moves a repository's pin in a user's catalog: only revision and digests change, comments stay."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from wmtp_assets.catalog.reader import SHIPPED, CatalogError, load_catalog, read_catalog
from wmtp_assets.hub.files import is_commit
from wmtp_assets.storage.atomic import write_bytes

_ANCHOR = re.compile(r"&\S+\s+")


class HiddenDigestError(CatalogError):
    """Upstream hides the digests of a gated repository from accounts without access."""


@dataclass(frozen=True)
class Listed:
    """What upstream says of a file at the new commit: bytes, and hex where it has a digest.

    `hidden`: it has one, and does not show it to this reader.
    """

    size: int | None
    sha256: str | None
    hidden: bool = False


@dataclass(frozen=True)
class _Edit:
    """`old`, a scalar of the catalog's text, becomes `new`; `what` it is, for a person."""

    node: yaml.ScalarNode
    new: str
    what: str


def check_own(catalog: str, repository: str, commit: str) -> None:
    """Raises CatalogError when there is no such pin to move, or the catalog ships with us."""
    upstreams = load_catalog(catalog).upstreams().values()
    if repository not in {upstream.repository for upstream in upstreams}:
        raise CatalogError(
            "The catalog does not name this repository",
            expected=", ".join(sorted({upstream.repository for upstream in upstreams})),
            found=repository,
            where=catalog,
        )
    if catalog in SHIPPED:
        shipped = Path(__file__).with_name(f"{catalog}.yaml")
        raise CatalogError(
            f"The catalog {catalog!r} ships with the package and is not edited",
            hint=f"make your own: `cp {shlex.quote(str(shipped))} catalog.yaml && "
            f"export WMTP_CATALOG=catalog.yaml && wmtp pin {repository} {shlex.quote(commit)}`",
        )


def pin(catalog: str, repository: str, commit: str, listing: Mapping[str, Listed]) -> list[str]:
    """Sets the revision of `repository` to `commit` in the catalog file; a line for each change.

    Digests and sizes that the catalog names for the repository's files become those of `listing`
    (by path; upstream's at `commit`): the old commit's would refuse the new one's files. Without a
    listing they stay, and the lines say so.

    Raises CatalogError when the commit is none, the catalog does not name the repository, or it
    ships with the package.
    """
    if not is_commit(commit):
        raise CatalogError(
            "This is not a commit",
            expected="40 hex digits",
            found=repr(commit),
            hint="the repository's page on the Hub lists its commits under Files, History.",
        )
    check_own(catalog, repository, commit)
    path = Path(catalog)
    text = path.read_text(encoding="utf-8")
    notes: list[str] = []
    edits: list[_Edit] = []
    for entry in _entries(yaml.compose(text, Loader=yaml.SafeLoader), repository):
        edits += _of_entry(entry, commit, listing, notes)
    lines = [f"{edit.what}: {edit.node.value} -> {edit.new}" for edit in edits]
    # An alias leads to the node that it stands for, which is one place of the text.
    places = {edit.node.start_mark.index: edit for edit in edits}
    for at in sorted(places, reverse=True):
        end = places[at].node.end_mark.index
        anchor = _ANCHOR.match(text, at, end)
        text = text[: anchor.end() if anchor else at] + places[at].new + text[end:]
    _check_moved(path, text, repository, commit)
    write_bytes(path.parent.resolve() / path.name, text.encode())
    return [f"{path}: {line}" for line in dict.fromkeys([*lines, *notes])]


def _check_moved(path: Path, text: str, repository: str, commit: str) -> None:
    """CatalogError unless the new text pins `repository` to `commit`, and nothing else anew."""
    before = load_catalog(path).upstreams()
    for name, upstream in read_catalog(path, text).upstreams().items():
        ours = upstream.repository == repository
        if upstream.revision != (commit if ours else before[name].revision):
            raise CatalogError(
                "The catalog writes this pin in a way that cannot be edited: with an alias or a "
                "merge key",
                expected=f"revision: {commit} of {repository} alone",
                found=f"revision: {upstream.revision} of {upstream.repository}",
                where=path,
                hint=f"write repository and revision out in every entry of {repository}.",
            )


def _of_entry(
    entry: yaml.MappingNode, commit: str, listing: Mapping[str, Listed], notes: list[str]
) -> Iterator[_Edit]:
    """The edits of one model or dataset; what cannot be settled here goes to `notes`."""
    upstream = _fields(_fields(entry)["upstream"])
    revision = cast("yaml.ScalarNode", upstream["revision"])  # the schema has read it as a text
    yield _Edit(revision, commit, f"revision of {upstream['repository'].value}")
    for file in _mappings(entry):
        fields = _fields(file)
        if "path" not in fields:
            continue
        name = str(fields["path"].value)
        known = listing.get(name)
        for what, now in (
            ("sha256", known.sha256 if known else None),
            ("size", str(known.size) if known and known.size is not None else None),
        ):
            held = fields.get(what)
            if not isinstance(held, yaml.ScalarNode):
                continue
            if now is None and known is not None and known.hidden:
                raise HiddenDigestError(
                    f"Upstream does not show the {what} of {name} to this account",
                    expected="an account that has access to this gated repository",
                    found="a digest behind asterisks",
                    where=upstream["repository"].value,
                    hint="ask for access at the repository's page on the Hub, set HF_TOKEN to a "
                    "token of the account that was let in, and run the same command again; the "
                    "catalog is as it was.",
                )
            if now is None:
                notes.append(f"{what} of {name} stays; whether it is this commit's is not known")
            elif held.value != now:
                yield _Edit(held, now, f"{what} of {name}")


def _entries(root: yaml.Node | None, repository: str) -> Iterator[yaml.MappingNode]:
    """Every model and dataset that comes from `repository`."""
    for node in _mappings(root):
        upstream = _fields(node).get("upstream")
        if isinstance(upstream, yaml.MappingNode):
            named = _fields(upstream).get("repository")
            if named is not None and named.value == repository:
                yield node


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping at and below `node`."""
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)


def _fields(node: yaml.Node) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value}
