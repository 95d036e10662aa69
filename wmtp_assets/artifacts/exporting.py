"""`wmtp export`: the published files of a catalog, or a selection of them, as a tree to move.

What is exported is what was published at one moment: the publications are read under the lock that
publishing takes, and their files stay where they are (`gc` leaves them alone) until all are
written, whatever is published meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog.artifacts import group_of
from wmtp_assets.errors import WmtpError
from wmtp_assets.export import Exported, Item, write_export
from wmtp_assets.storage import locks
from wmtp_assets.storage.publications import Publication
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.store import Store


def chosen_sets(project: Project, selection: Sequence[str]) -> list[str]:
    """The names of the sets that are selected, in the catalog's order; all for no selection.

    A selection is an asset's key, `group:NAME`, or a model or dataset as the catalog calls it.
    Raises WmtpError where one of them selects nothing that is published.
    """
    chosen: set[str] = set()
    for one in selection:
        found = {name for name in project.sets if _selects(project, one, name)}
        if not found:
            raise WmtpError(
                f"Nothing that is published is selected by {one!r}",
                expected="an asset's key, group:NAME, or the name of a model or dataset",
                found=one,
                hint="`wmtp list` names every asset with its group.",
            )
        chosen |= found
    return [name for name in project.sets if not selection or name in chosen]


def _selects(project: Project, selection: str, name: str) -> bool:
    members = [project.artifacts[artifact] for artifact in project.sets[name].artifacts]
    own = [one for one in members if not one.is_shared]
    if selection.startswith("group:"):
        group = group_of(selection.removeprefix("group:").strip("\"'"))
        return any(one.group == group for one in own)
    return (
        selection == name
        or any(selection == one.name for one in members)
        or any(selection == one.owner for one in own)
    )


def export(
    project: Project, folder: Path, selection: Sequence[str] = (), link: bool = False
) -> Exported:
    """Exports what is published of the selected sets to `folder`; see `write_export`.

    Sets that are not published are left out, unless they were selected. Raises WmtpError where
    nothing is published, ExportError and StorageError as `write_export` does.
    """
    names = chosen_sets(project, selection)
    store = project.store
    with ExitStack() as held:
        with locks.shared(store.published.lock):  # nothing is published meanwhile
            published = {name: one for name in names if (one := store.publication(name))}
            absent = [name for name in names if name not in published]
            if absent and (selection or not published):
                raise WmtpError(
                    "There is nothing to export: it is not published",
                    expected="what `wmtp materialize` has published",
                    found=", ".join(absent),
                    where=project.storage,
                    hint=f"`wmtp materialize {absent[0]}`" if selection else "`wmtp materialize`",
                )
            for name in published:
                held.enter_context(store.reading_set(name))
        items: list[Item] = []
        for publication in published.values():
            items += items_of(store, publication)
        return write_export(
            items,
            {name: one.version for name, one in published.items()},
            folder,
            storage=store.root,
            link=link,
            about={
                "catalog": project.catalog.name,
                "wmtp-assets": version("wmtp-assets"),
            },
        )


def items_of(store: Store, publication: Publication) -> list[Item]:
    """Every file of a publication, as the receipts of its members state them."""
    receipts: dict[str, Receipt] = {
        artifact: store.versions.receipt(artifact, member.version)
        for artifact, member in publication.members.items()
    }
    items = []
    for path, (artifact, file) in publication.links.items():
        home = store.versions.home(artifact) / publication.members[artifact].version
        for known, record in receipts[artifact].files.items():
            if known == file or known.startswith(f"{file}/"):
                below = known.removeprefix(file)
                items.append(
                    Item(publication.name, f"{path}{below}", home / known, record, artifact)
                )
    return items
