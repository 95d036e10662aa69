"""Moves a repository's pin in a catalog of one's own: one line changes, comments stay."""

from __future__ import annotations

from pathlib import Path

import yaml

from wmtp_assets.catalog.reader import SHIPPED, CatalogError, load_catalog
from wmtp_assets.catalog.schema import COMMIT
from wmtp_assets.storage.atomic import write_bytes


def pin(catalog: str, repository: str, commit: str) -> str:
    """Sets the revision of `repository` to `commit` in the catalog file; what was done, as a text.

    A shipped catalog is not edited: the text says how to make one's own. Raises CatalogError when
    the commit is none, or the catalog does not name the repository.
    """
    if not COMMIT.fullmatch(commit):
        raise CatalogError(
            "This is not a commit",
            expected="40 hex digits",
            found=repr(commit),
            mend="the repository's page on the Hub lists its commits under Files, History.",
        )
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
        return (
            f"The catalog {catalog!r} ships with the package and is not edited. Make your own: "
            f"cp {shipped} catalog.yaml && WMTP_CATALOG=catalog.yaml wmtp pin {repository} {commit}"
        )
    path = Path(catalog)
    text = path.read_text(encoding="utf-8")
    places = _revisions(yaml.compose(text, Loader=yaml.SafeLoader), repository)
    before = sorted({text[start:end] for start, end in places})
    for start, end in sorted(places, reverse=True):
        text = text[:start] + commit + text[end:]
    write_bytes(path, text.encode())
    return f"{path}: {repository} moved from {', '.join(before)} to {commit}."


def _revisions(node: yaml.Node | None, repository: str) -> list[tuple[int, int]]:
    """Where, in characters, each `revision` stands whose mapping names `repository`."""
    found: list[tuple[int, int]] = []
    if isinstance(node, yaml.MappingNode):
        fields = {str(key.value): value for key, value in node.value}
        named = fields.get("repository")
        if named is not None and named.value == repository and "revision" in fields:
            revision = fields["revision"]
            found.append((revision.start_mark.index, revision.end_mark.index))
        for _, value in node.value:
            found += _revisions(value, repository)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found += _revisions(value, repository)
    return found
