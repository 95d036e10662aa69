"""The verdict says by which catalog and which code it was reached, and whether the catalog is one
that the package ships: by its contents, whatever it calls itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Verdict, judge, write_report
from wmtp_assets.artifacts.kinds import KINDS
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.catalog.identity import catalog_digest, identify
from wmtp_assets.catalog.reader import SHIPPED
from wmtp_assets.cli.report import verdict_text


def verdict_by(catalog: Catalog, storage: Path) -> Verdict:
    """The verdict by this catalog if nothing else spoke."""
    project = Project(catalog, storage)
    return judge(project, {name: [] for name in project.artifacts}, links=[])


def shipped_text(name: str) -> str:
    return (Path(str(load_catalog.__code__.co_filename)).parent / f"{name}.yaml").read_text("utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_catalog_is_said_to_be_so_also_from_a_copy_of_its_file(
    name: str, tmp_path: Path
) -> None:
    copy = tmp_path / "mine.yaml"
    copy.write_text("# a comment\n" + shipped_text(name), encoding="utf-8")
    verdict = verdict_by(load_catalog(copy), tmp_path)
    assert verdict.catalog == identify(load_catalog(name))
    assert verdict.catalog.shipped
    assert f"Catalog: {name}, as shipped" in verdict_text(verdict)
    assert next(c for c in verdict.conditions if c.name == "catalog_shipped").met


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("revision: sample-4", f"revision: {'f' * 40}"),
        ("        rows: 381\n        correct: 188\n        incorrect: 193\n", ""),
        ("vocab_size: 512", "vocab_size: 511"),
        ("    status: optional\n", ""),
        ("name: sample\nhub: sample", "name: full\nhub: sample"),
        ("name: sample\nhub: sample", "name: mine\nhub: sample"),
    ],
)
def test_a_changed_catalog_is_never_taken_for_a_shipped_one(
    old: str, new: str, tmp_path: Path
) -> None:
    text = shipped_text("sample")
    assert old in text
    path = tmp_path / "sample.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    verdict = verdict_by(load_catalog(path), tmp_path)
    assert not verdict.catalog.shipped
    assert verdict.catalog.digest not in {catalog_digest(load_catalog(n)) for n in SHIPPED}
    told = verdict_text(verdict)
    assert "NOT the shipped catalog" in told or "NOT a shipped catalog" in told
    assert "warning: catalog_shipped" in told
    assert verdict.open, "it is a warning: a catalog of one's own is no fault"


def test_the_report_holds_the_digest_and_the_code(tmp_path: Path) -> None:
    catalog = load_catalog("sample")
    verdict = verdict_by(catalog, tmp_path)
    write_report(Project(catalog, tmp_path), verdict)
    written = json.loads((tmp_path / "phase2_readiness.json").read_bytes())
    assert written["catalog"] == "sample"
    assert written["catalog_digest"] == catalog_digest(catalog)
    assert written["catalog_shipped"] is True
    assert written["code"]["wmtp-assets"]
    assert written["code"]["checkpoint"] == KINDS[Kind.CHECKPOINT].code_version
    assert Verdict.from_json(written) == verdict
    assert f"wmtp-assets {written['code']['wmtp-assets']}" in verdict_text(verdict)
