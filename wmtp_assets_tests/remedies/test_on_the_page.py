"""One click on "Materialize" repairs what is red: the run that the page starts for it, in process.

The page's run of one asset executes the asset and all its checks, with no configuration.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.assets.common import MADE, RESULT, key_of
from wmtp_assets_tests.artifact_checks.breaking import document, flip, recommit
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.tiny import Tiny

pytestmark = pytest.mark.slow
MODEL, SPLIT = "models/meta-llama-mtp", "datasets/humaneval_test"
LINES = "datasets_v2/humaneval/processed/test.jsonl"


@dataclass
class Page:
    """A storage behind the page, with the page's history of it."""

    world: Tiny
    instance: dg.DagsterInstance
    defs: dg.Definitions

    def click(self, name: str) -> bool:
        """Materializes one asset; whether it was made, rather than found unchanged."""
        result = self._run(asset_selection={key_of(name)})
        (made,) = result.asset_materializations_for_node(key_of(name).to_python_identifier())
        return made.metadata[RESULT].value == MADE

    def check(self, name: str) -> set[str]:
        """Executes the checks of one asset and nothing else; the names of those that failed."""
        project = self.world.project
        keys = {
            dg.AssetCheckKey(key_of(name), one.name)
            for one in checks_of(project, project.artifacts[name])
        }
        return failures(self._run(asset_selection=set(), asset_check_selection=keys))

    def _run(self, **selected: set[dg.AssetKey] | set[dg.AssetCheckKey]) -> Ran:
        job = self.defs.resolve_implicit_global_asset_job_def().get_subset(**selected)
        return job.execute_in_process(instance=self.instance, raise_on_error=False)


Ran = dg.ExecuteInProcessResult


def failures(result: Ran) -> set[str]:
    return {
        one.check_name
        for one in result.get_asset_check_evaluations()
        if not one.passed and one.severity is dg.AssetCheckSeverity.ERROR
    }


@pytest.fixture(scope="module")
def page(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One for all tests: each leaves it as it was, or the next fails."""
    world = tiny.whole(project, tmp_path_factory.mktemp("page") / "world")
    here = world.project
    defs = build_defs(here.catalog, here.hub_spec, here.storage)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Page(world, instance, defs)


def file_of(name: str, file: str) -> Callable[[Project], Path]:
    return lambda project: project.store.path(name) / file


def fetched(project: Project) -> Path:
    (path,) = project.storage.glob("upstream/datasets/openai/**/test-*.parquet")
    return path


FLIPPED: dict[str, tuple[str, Callable[[Project], Path]]] = {
    "a checkpoint": (MODEL, file_of(MODEL, "model.safetensors")),
    "a certificate": (f"{MODEL}_certificate", file_of(f"{MODEL}_certificate", "certificate.json")),
    "rows": (SPLIT, file_of(SPLIT, "test.jsonl")),
    "a row index": (SPLIT, file_of(SPLIT, "test.index.parquet")),
    "metadata of rows": (
        f"{SPLIT}_metadata",
        file_of(f"{SPLIT}_metadata", "test_metadata.json"),
    ),
    "the tokenizer": ("models/tokenizer", file_of("models/tokenizer", "tokenizer.model")),
    "a fetched file": (f"{SPLIT}_raw", fetched),
}


@pytest.mark.parametrize("what", FLIPPED)
def test_a_flipped_byte_that_a_check_has_found_is_made_again(page: Page, what: str) -> None:
    name, place = FLIPPED[what]
    path = place(page.world.project)
    before = path.read_bytes()
    flip(path)
    assert page.check(name), "red"
    assert page.click(name)
    assert path.read_bytes() == before
    assert page.check(name) == set()
    assert not page.click(name), "and is unchanged from then on"
    assert page.world.opens()


def test_a_flipped_byte_that_nobody_has_looked_for_is_found_by_the_first_click(page: Page) -> None:
    path = file_of(MODEL, "model.safetensors")(page.world.project)
    before = path.read_bytes()
    flip(path)
    assert not page.click(MODEL), "no file is read whole before its checks"
    assert page.click(MODEL)
    assert path.read_bytes() == before
    assert page.world.opens()


def test_what_is_not_even_as_long_as_it_was_is_made_again_at_once(page: Page) -> None:
    path = file_of(SPLIT, "test.jsonl")(page.world.project)
    before = path.read_bytes()
    path.write_bytes(before[:-1])
    assert page.click(SPLIT)
    assert path.read_bytes() == before
    assert page.world.opens()


def test_what_a_wrong_maker_left_below_a_receipt_that_fits_is_made_again(page: Page) -> None:
    name = f"{MODEL}_metadata"
    recommit(
        page.world.project,
        name,
        document("metadata.json", lambda value: value.update(dtype="float32")),
    )
    assert page.check(name) == {"metadata_agrees", "derived_from_inputs"}
    assert page.click(name)
    assert page.check(name) == set()
    assert page.world.opens()


def test_what_fails_a_quick_check_is_made_again_at_once(page: Page) -> None:
    def trailing(folder: Path) -> None:
        with (folder / "model.safetensors").open("ab") as file:
            file.write(bytes(8))

    recommit(page.world.project, MODEL, trailing)
    assert page.click(MODEL)
    assert page.check(MODEL) == set()
    assert page.world.opens()


def test_a_link_that_is_missing_is_published_again_and_nothing_is_made(page: Page) -> None:
    path = page.world.storage / LINES
    path.unlink()
    assert not page.click(SPLIT)
    assert path.is_file()
    assert page.world.opens()


def test_what_failed_before_it_was_last_made_is_unchanged(page: Page) -> None:
    """As after `wmtp materialize --force` in a terminal whose history is another."""
    path = file_of(SPLIT, "test.jsonl")(page.world.project)
    flip(path)
    assert page.check(SPLIT)
    with dg.DagsterInstance.ephemeral() as other:
        elsewhere = Page(page.world, other, page.defs)
        assert elsewhere.check(SPLIT)
        time.sleep(1)  # receipts state whole seconds
        assert elsewhere.click(SPLIT)
    assert not page.click(SPLIT)
    assert page.world.opens()
