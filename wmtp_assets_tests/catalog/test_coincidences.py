"""No two artifacts, groups or published paths of a catalog coincide, whatever its names are.

Names are put together with every other; Dagster itself says whether the catalog can be loaded.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.catalog.artifacts import Kind, every_artifact
from wmtp_assets.catalog.contract import published_sets
from wmtp_assets.catalog.reader import CatalogError
from wmtp_assets.definitions import build_defs
from wmtp_assets_tests.catalog.test_reader import SAMPLE

NAMES = ("a", "a-raw", "a.raw", "a-checks", "a-small", "a-schema", "tokenizer", "hub", "gate")
SPLITS = ("train", "schema", "metadata", "raw", "small", "checks", "index")


def catalog_of(models: tuple[str, ...], datasets: tuple[str, ...], splits: tuple[str, ...]) -> Any:
    """The sample's tokenizer, with slices and datasets of those names, each with a small copy."""
    catalog = yaml.safe_load(SAMPLE)
    sliced, dataset = catalog["models"]["micro-mtp"], catalog["datasets"]["codecontests"]
    base = sliced["slice_of"]
    catalog["models"] = {base: catalog["models"][base]}
    catalog["models"] |= {name: copy.deepcopy(sliced) for name in models}
    dataset["splits"] = {name: {"files": [f"data/{name}.parquet"]} for name in splits}
    dataset["small"] = {"rows": dict.fromkeys(splits, 2), "seed": 1}
    del dataset["quality"]  # it is of other splits
    catalog["datasets"] = {name: copy.deepcopy(dataset) for name in datasets}
    return catalog


def accepted(catalog: Any, path: Path) -> Catalog | str:
    """The catalog, or the words of its refusal, which must name a line and a field."""
    path.write_text(yaml.safe_dump(catalog, sort_keys=False), encoding="utf-8")
    try:
        return load_catalog(path)
    except CatalogError as refusal:
        said = str(refusal)
        line, field = said.split(f"{path}:", 1)[1].split()[:2]
        shown = path.read_text(encoding="utf-8").splitlines()[int(line) - 1].strip()
        assert shown.partition(":")[0].strip("'\"") in field, said
        return said


def coinciding(catalog: Catalog) -> list[str]:
    """Names that two things of a catalog have, by Dagster's own words for its operations."""
    artifacts = every_artifact(catalog)
    operations = [
        dg.AssetKey(artifact.name.split("/")).to_python_identifier() for artifact in artifacts
    ]
    paths = [path for artifact in artifacts for path in artifact.links]
    groups = {
        (one.group, one.name.partition("/")[0], one.owner, one.kind.startswith("small"))
        for one in artifacts
        if one.kind is not Kind.TOKENIZER and one.name != "models/tokenizer_raw"
    }
    sets = published_sets(catalog)
    names = Counter(
        [
            *operations,
            *(f"{name}_checks" for name in operations),
            *paths,
            *(group[0] for group in groups),
            *(one.name for one in sets),
        ]
    )
    mounts = Counter(mount for one in sets for mount in one.mounts)
    return [name for name, count in (names | mounts).items() if count > 1]


CATALOGS = [
    *((pair, ("d",), ("train",)) for pair in itertools.combinations(NAMES, 2)),
    *((("m",), pair, ("train", "test")) for pair in itertools.combinations(NAMES, 2)),
    *(((one,), (other,), ("train",)) for one, other in itertools.product(NAMES, NAMES)),
    *((("m",), ("d",), pair) for pair in itertools.combinations(SPLITS, 2)),
]


def test_whatever_is_accepted_has_no_coincidence_and_the_rest_is_named_by_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.yaml"
    outcomes = Counter[str]()
    for models, datasets, splits in CATALOGS:
        catalog = accepted(catalog_of(models, datasets, splits), path)
        outcomes["refused" if isinstance(catalog, str) else "accepted"] += 1
        if isinstance(catalog, Catalog):
            assert coinciding(catalog) == [], (models, datasets, splits)
            published = {one.name for one in published_sets(catalog)}
            assert published >= {f"datasets/{d}_{s}" for d in datasets for s in splits}
    assert outcomes["accepted"] >= 30
    assert outcomes["refused"] >= 30


@pytest.mark.parametrize(
    ("models", "datasets", "splits", "field"),
    [
        (("tokenizer",), ("d",), ("train",), "models.tokenizer"),
        (("a", "a-metadata"), ("d",), ("train",), "models.a-metadata"),
        (("a", "a-checks"), ("d",), ("train",), "models.a-checks"),
        (("a", "a.config"), ("d",), ("train",), "models.a.config"),
        (("current",), ("d",), ("train",), "models.current"),
        (("0123456789ab",), ("d",), ("train",), "models.0123456789ab"),
        (("a" * 97,), ("d",), ("train",), "models." + "a" * 97),
        (("hub",), ("d",), ("train",), "models.hub"),
        (("m",), ("gate",), ("train",), "datasets.gate"),
        (("m",), ("tokenizer",), ("train",), "datasets.tokenizer"),
        (("a-small",), ("a",), ("train",), "datasets.a"),
        (("a.b",), ("a-b",), ("train",), "datasets.a-b"),
        (("m",), ("a.b", "a-b"), ("train",), "datasets.a-b"),
        (("m",), ("d", "d-small"), ("train",), "datasets.d-small"),
        *((("m",), ("d",), ("train", one), f"datasets.d.splits.{one}") for one in SPLITS[1:6]),
    ],
    ids=lambda value: "+".join(value)[:40] if isinstance(value, tuple) else value[:40],
)
def test_a_name_that_coincides_is_refused(
    tmp_path: Path,
    models: tuple[str, ...],
    datasets: tuple[str, ...],
    splits: tuple[str, ...],
    field: str,
) -> None:
    said = accepted(catalog_of(models, datasets, splits), tmp_path / "mine.yaml")
    assert isinstance(said, str)
    assert f" {field}" in said


def test_dagster_loads_a_catalog_of_names_that_are_nearly_equal(tmp_path: Path) -> None:
    catalog = accepted(
        catalog_of(("a", "a-b", "raw", "small"), ("d", "schema"), ("train", "index")),
        tmp_path / "mine.yaml",
    )
    assert isinstance(catalog, Catalog), catalog
    definitions = build_defs(catalog, None, tmp_path / "storage")
    assert definitions.get_repository_def().get_all_jobs()
