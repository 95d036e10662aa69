"""What a catalog's entries must say of each other; each entry by itself is held to `schema.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wmtp_assets.catalog.artifacts import artifacts_of
from wmtp_assets.catalog.schema import Catalog, File, MicroModel, Upstream, UpstreamModel

Location = tuple[str | int, ...]
Mistake = tuple[Location, str]

# The layouts whose tensors `checkpoints/slicing.py` can cut.
_SLICED = ("meta-mtp", "llama")
_RESERVED = {"tokenizer": "the shared tokenizer's artifacts"}


def mistakes_of(catalog: Catalog) -> list[Mistake]:
    """Every contradiction between entries, with the location of one of the fields at fault."""
    found = [
        *_references(catalog),
        *_names(catalog),
        *_repositories(catalog),
        *_files(catalog),
    ]
    # Artifacts follow from a catalog only where its references hold.
    return found or list(_artifacts(catalog))


def _references(catalog: Catalog) -> Iterator[Mistake]:
    shared = catalog.models.get(catalog.tokenizer.from_model)
    if not isinstance(shared, UpstreamModel) or shared.files.tokenizer is None:
        yield (
            ("tokenizer", "from_model"),
            f"{catalog.tokenizer.from_model!r} is no fetched model with a tokenizer file",
        )
    for name, model in catalog.models.items():
        if not isinstance(model, MicroModel):
            continue
        base = catalog.models.get(model.slice_of)
        if not isinstance(base, UpstreamModel):
            what = "a slice itself" if base is not None else "no model of this catalog"
            fault = f"{model.slice_of!r} is {what}: name a model that is fetched"
        elif base.layout not in _SLICED:
            fault = (
                f"{model.slice_of!r} has the layout {base.layout}, which cannot be sliced: "
                f"name a model of {' or '.join(_SLICED)}"
            )
        else:
            continue
        yield ("models", name, "slice_of"), fault


def _names(catalog: Catalog) -> Iterator[Mistake]:
    for name in catalog.models:
        if name in _RESERVED:
            yield ("models", name), f"the name {name!r} is that of {_RESERVED[name]}"
    for name in catalog.datasets:
        if name in catalog.models:
            yield ("datasets", name), f"a model is called {name!r} already"


def _repositories(catalog: Catalog) -> Iterator[Mistake]:
    """One revision a repository: what is fetched of it lies in one folder."""
    for section, upstreams in _upstreams(catalog).items():
        first: dict[str, tuple[str, Upstream]] = {}
        for name, upstream in upstreams.items():
            # The Hub does not tell repositories apart by case, and not every file system does.
            other, seen = first.setdefault(upstream.repository.casefold(), (name, upstream))
            where = (section, name, "upstream")
            if seen.repository != upstream.repository:
                fault = f"{section}.{other} writes this repository {seen.repository!r}"
                yield (*where, "repository"), fault
            elif seen.revision != upstream.revision:
                yield (
                    (*where, "revision"),
                    f"{upstream.repository} is pinned to two revisions: {section}.{other} says "
                    f"{seen.revision!r}",
                )


def _files(catalog: Catalog) -> Iterator[Mistake]:
    """No file stands twice in a list, and none is given two digests or sizes."""
    known: dict[tuple[str, str, str], tuple[str, File]] = {}
    for section, name, upstream, field, files in _lists(catalog):
        here: set[str] = set()
        for place, file in enumerate(files):
            where: Location = (section, name, *field)
            if len(files) > 1:
                where = (*where, place)
            if file.path in here:
                yield where, f"{file.path!r} stands twice in this list"
                continue
            here.add(file.path)
            key = (section, upstream.repository, file.path)
            other, seen = known.setdefault(key, (f"{section}.{name}", file))
            if seen != file:
                yield (
                    where,
                    f"{file.path!r} of {upstream.repository} is described in another way in "
                    f"{other}: give the same sha256, size and count",
                )


def _artifacts(catalog: Catalog) -> Iterator[Mistake]:
    """Dagster calls an operation as its asset, with one character for all that it does not take."""
    first: dict[str, str] = {}
    named: set[str] = set()
    for artifact in artifacts_of(catalog).values():
        plain = artifact.name.replace("-", "_").replace(".", "_")
        other = first.setdefault(plain, artifact.name)
        if other != artifact.name and artifact.owner not in named:
            named.add(artifact.owner)
            section = "models" if artifact.name.startswith("models/") else "datasets"
            yield (
                (section, artifact.owner),
                f"{artifact.name} and {other} differ in '-', '.' and '_' only: choose another name",
            )


def _upstreams(catalog: Catalog) -> Mapping[str, Mapping[str, Upstream]]:
    return {
        "models": {name: model.upstream for name, model in catalog.upstream_models().items()},
        "datasets": {name: dataset.upstream for name, dataset in catalog.datasets.items()},
    }


def _lists(
    catalog: Catalog,
) -> Iterator[tuple[str, str, Upstream, tuple[str, ...], list[File]]]:
    """Every list of files: section and name of its entry, the upstream, the field, the files."""
    for name, model in catalog.upstream_models().items():
        yield "models", name, model.upstream, ("files", "weights"), list(model.files.weights)
        for field in ("config", "index", "tokenizer"):
            file = getattr(model.files, field)
            if file is not None:
                yield "models", name, model.upstream, ("files", field), [file]
    for name, dataset in catalog.datasets.items():
        for split, entry in dataset.splits.items():
            yield "datasets", name, dataset.upstream, ("splits", split, "files"), list(entry.files)
