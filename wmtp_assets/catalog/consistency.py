"""Rules between the entries of a catalog; the modules of the schema have those of each entry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from wmtp_assets.catalog import tokenizers
from wmtp_assets.catalog.artifacts import every_artifact
from wmtp_assets.catalog.fields import OWN, SHARED
from wmtp_assets.catalog.model_entries import MicroModel, UpstreamModel
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.upstream_entries import File, Upstream
from wmtp_assets.checkpoints.layouts import sliced_layouts
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.storage.bounds import usable_name

Location = tuple[str | int, ...]
Mistake = tuple[Location, str]

# Each stands for something else where an artifact's name could hold a split's.
_PARTS = (
    *("card", "checks", "metadata", "package", "raw", "schema", "small"),
    *("verdicts", "leaks", "duplicates"),
)
# What files are called after their split, and the split that each word means.
_SPLITS = {"train": "train", "test": "test"} | dict.fromkeys(
    ("valid", "validation", "val", "dev"), "validation"
)
_GROUPS = {"tokenizer": "the shared tokenizer", "hub": "the sources", "gate": "the gate"}


def mistakes_of(catalog: Catalog) -> list[Mistake]:
    """Every contradiction between entries, with the location of one of the fields at fault."""
    found = [
        *_references(catalog),
        *_difficulties(catalog),
        *_names(catalog),
        *_aliases(catalog),
        *_repositories(catalog),
        *_files(catalog),
        *_splits(catalog),
    ]
    # Artifacts follow from a catalog only where its references hold.
    return found or list(_coincidences(catalog))


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
        elif base.layout not in sliced_layouts():
            fault = (
                f"{model.slice_of!r} has the layout {base.layout}, which cannot be sliced: "
                f"name a model of {' or '.join(sliced_layouts())}"
            )
        else:
            continue
        yield ("models", name, "slice_of"), fault
    yield from tokenizers.mistakes(catalog)


def _difficulties(catalog: Catalog) -> Iterator[Mistake]:
    """What gives another dataset's difficulties is a dataset of the format that can."""
    for name, dataset in catalog.datasets.items():
        origin = dataset.difficulties_from
        if origin is None:
            continue
        wanted = FORMATS[dataset.layout].difficulties_of
        given = catalog.datasets.get(origin)
        if given is None or given.layout not in wanted:
            known = [n for n, one in catalog.datasets.items() if one.layout in wanted]
            yield (
                ("datasets", name, "difficulties_from"),
                f"{origin!r} is no dataset of the layout {' or '.join(wanted)}: name "
                f"{' or '.join(known) or 'one, which this catalog lacks'}",
            )


def _names(catalog: Catalog) -> Iterator[Mistake]:
    for name in catalog.models:
        if name in _GROUPS:
            yield ("models", name), f"the name {name!r} is that of {_GROUPS[name]}"
        elif name in (SHARED, OWN):
            yield ("models", name), f"`tokenizer: {name}` means something else: choose another name"
        elif not usable_name(name):
            yield ("models", name), f"the storage gives {name!r} a meaning: choose another name"
    for name, dataset in catalog.datasets.items():
        if name in catalog.models:
            yield ("datasets", name), f"a model is called {name!r} already"
        elif name in _GROUPS:
            yield ("datasets", name), f"the name {name!r} is that of {_GROUPS[name]}"
        for split in dataset.splits:
            if split in _PARTS:
                yield (
                    ("datasets", name, "splits", split),
                    f"a split cannot be called {split!r}: {', '.join(_PARTS)} name what is beside "
                    "a dataset's splits",
                )


def _aliases(catalog: Catalog) -> Iterator[Mistake]:
    """An alias is a folder beside those of the models, and belongs to one of them."""
    first: dict[str, str] = {}
    for name, model in catalog.models.items():
        for place, alias in enumerate(model.aliases):
            where: Location = ("models", name, "aliases", place)
            owner = first.setdefault(alias, name)
            if alias in catalog.models:
                yield where, f"a model is called {alias!r} already"
            elif owner != name or alias in model.aliases[:place]:
                yield where, f"{alias!r} is an alias of {owner!r} already"
            elif not usable_name(alias):
                yield where, f"the storage gives {alias!r} a meaning: choose another name"


def _repositories(catalog: Catalog) -> Iterator[Mistake]:
    """One revision per repository: what is fetched from it is in one folder."""
    for section, upstreams in _upstreams(catalog).items():
        first: dict[str, tuple[str, Upstream]] = {}
        for name, upstream in upstreams.items():
            # Names of repositories are case-insensitive on the Hub, and on some file systems.
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
    """No file occurs twice in a list, and none is given two digests or sizes."""
    known: dict[tuple[str, str, str], tuple[str, File]] = {}
    for section, name, upstream, field, files in _lists(catalog):
        here: set[str] = set()
        for place, file in enumerate(files):
            where: Location = (section, name, *field)
            if len(files) > 1:
                where = (*where, place)
            if file.path in here:
                yield where, f"{file.path!r} occurs twice in this list"
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


def _splits(catalog: Catalog) -> Iterator[Mistake]:
    """No file is in two splits of a dataset, and none is called after another split."""
    for name, dataset in catalog.datasets.items():
        owners: dict[str, str] = {}
        for split, entry in dataset.splits.items():
            own = _SPLITS.get(split.lower())
            for place, file in enumerate(entry.files):
                where: Location = ("datasets", name, "splits", split, "files")
                if len(entry.files) > 1:
                    where = (*where, place)
                owner = owners.setdefault(file.path, split)
                words = {_SPLITS.get(word) for word in re.findall(r"[a-z]+", file.path.lower())}
                words -= {None}
                if owner != split:
                    yield (
                        where,
                        f"{file.path!r} is among the files of the split {owner}, too: a row that "
                        "is trained on must not be tested on",
                    )
                elif own is not None and words and own not in words:
                    yield (
                        where,
                        f"{file.path!r} is a file of {', '.join(sorted(map(str, words)))}, by its "
                        f"name, for the split {split}: name the files of {split}, or call the "
                        "split what they are",
                    )


def _coincidences(catalog: Catalog) -> Iterator[Mistake]:
    """No two things of a catalog have one name, in Dagster or under the contract's paths."""
    first: dict[tuple[str, str], str] = {}
    named: set[Location] = set()
    for what, name, owner, where in _claims(catalog):
        other = first.setdefault((what, name), owner)
        if other != owner and where not in named:
            named.add(where)
            remedy = "leave one of them out" if "upstream" in where else "choose another name"
            yield where, f"{owner} and {other} have one {what}, {name}: {remedy}"


def _claims(catalog: Catalog) -> Iterator[tuple[str, str, str, Location]]:
    """What must be unique: what it is, the name as compared, its owner, and its field.

    Dagster calls the operation of an asset as its key, with `_` for whatever it does not take, and
    the one of its checks by that name with `_checks`.
    """
    for section, upstreams in _upstreams(catalog).items():
        for name, upstream in upstreams.items():
            source = f"{section[:-1]} repository {upstream.repository}"
            where: Location = (section, name, "upstream", "repository")
            yield "operation", _operation("hub", *upstream.repository.split("/")), source, where
    for artifact in every_artifact(catalog):
        section = artifact.name.partition("/")[0]
        where = (section, artifact.owner)
        owner = f"{artifact.name} ({artifact.kind})"
        operation = _operation(*artifact.name.split("/"))
        yield "operation", operation, owner, where
        yield "operation", f"{operation}_checks", f"the checks of {owner}", where
        group = f"{section}.{artifact.owner}"
        if artifact.is_of_small_copy:
            group = f"the small copy of {group}"
        yield "group", artifact.group, _GROUPS.get(artifact.group, group), where
        for path in artifact.links:
            yield "published path", path.casefold(), owner, where


def _operation(*key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", "__".join(key))


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
        for field in ("config", "index", "tokenizer", "tokenizer_config"):
            file = getattr(model.files, field)
            if file is not None:
                yield "models", name, model.upstream, ("files", field), [file]
    for name, dataset in catalog.datasets.items():
        for split, entry in dataset.splits.items():
            yield "datasets", name, dataset.upstream, ("splits", split, "files"), list(entry.files)
        if dataset.package_file is not None:
            yield "datasets", name, dataset.upstream, ("package_file",), [dataset.package_file]
